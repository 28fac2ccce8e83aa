/** Goal: fail-now, retry-now and selftest ask for the right thing and say what came of it. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { StorageError } from '#daemon/rpc/storage-error.js';
import { attachment } from './fake-daemon.js';
import { FakeSurroundings } from './fake-surroundings.js';

function worldIn(
  state: 'active' | 'holding' | 'failing' | 'fenced',
  detail = '',
): FakeSurroundings {
  const world = new FakeSurroundings();
  world.daemon.attachments = [attachment({ state, detail })];
  return world;
}

describe('blkferry fail-now', () => {
  it('says how many requests failed and why the node is away', async () => {
    const world = worldIn('holding', 'the node has been silent for 12 s');
    world.daemon.requestsFailed = 3;
    world.daemon.stateAfterFailNow = 'failing';
    const { exitCode, stdout } = await world.run('fail-now v1');
    assert.equal(exitCode, 0);
    assert.equal(
      stdout,
      '3 requests of v1 failed now, and every further one does until the node is back\n' +
        'why it is away: the node has been silent for 12 s\n',
    );
  });

  it('changes nothing while the node answers, and says so', async () => {
    const { exitCode, stdout } = await worldIn('active').run('fail-now v1');
    assert.equal(exitCode, 0);
    assert.equal(stdout, 'v1 is active: nothing waits for its node, nothing was changed\n');
  });

  it("prints the daemon's reply with --json", async () => {
    const { stdout } = await worldIn('active').run('fail-now v1 --json');
    const reply = JSON.parse(stdout) as { requestsFailed: number; attachment: { state: string } };
    assert.equal(reply.requestsFailed, 0);
    assert.equal(reply.attachment.state, 'active');
  });

  it('ends with 3 and the near names when there is no such export', async () => {
    const { exitCode, stderr } = await worldIn('active').run('fail-now v2');
    assert.equal(exitCode, 3);
    assert.equal(stderr, 'blkferry: nothing is attached as v2; did you mean v1?\n');
  });
});

describe('blkferry retry-now', () => {
  it('succeeds when the node answers', async () => {
    const { exitCode, stdout } = await worldIn('active').run('retry-now v1');
    assert.equal(exitCode, 0);
    assert.equal(stdout, 'v1 is active: its node 127.0.0.1:7600 answers\n');
  });

  it('ends with 5 and the reason when it does not, with 4 when another writer has the volume', async () => {
    const away = await worldIn('holding', 'connection refused').run('retry-now v1');
    assert.equal(away.exitCode, 5);
    assert.equal(away.stdout, 'v1 is holding: connection refused\n');
    const fenced = await worldIn('fenced', 'held by dom1').run('retry-now v1');
    assert.equal(fenced.exitCode, 4);
  });

  it('ends with 3 when there is no such export, with 5 when there is no daemon', async () => {
    assert.equal((await worldIn('active').run('retry-now v2')).exitCode, 3);
    const world = worldIn('active');
    world.daemon.away = new StorageError('unavailable', 'no daemon answers');
    assert.equal((await world.run('retry-now v1')).exitCode, 5);
  });
});

describe('blkferry selftest', () => {
  it('touches no volume that is named without --destroy-data', async () => {
    const world = new FakeSurroundings();
    world.node.add('v1', 4096 * 16, 0xee);
    const { exitCode, stderr } = await world.run('selftest v1');
    assert.equal(exitCode, 2);
    assert.match(stderr, /volume v1 would lose what it holds; say --destroy-data/);
    assert.deepEqual(world.daemon.attachRequests, []);
  });

  it('uses no volume that is attached already, and leaves it attached', async () => {
    const world = new FakeSurroundings();
    world.node.add('v1', 4096 * 16, 0xee);
    world.daemon.existed = true;
    const { exitCode, stderr } = await world.run('selftest v1 --destroy-data');
    assert.equal(exitCode, 4);
    assert.match(stderr, /volume v1 is attached and perhaps used; detach it first/);
    assert.deepEqual(world.daemon.detachRequests, []);
    assert(world.node.content('v1').every((byte) => byte === 0xee));
  });

  it('knows the node from NAME@NODE, and names what is near when there is no such volume', async () => {
    const world = new FakeSurroundings();
    world.node.add('mail', 4096);
    const { exitCode, stderr } = await world.run('selftest mial@127.0.0.1:9 --destroy-data');
    assert.equal(exitCode, 3);
    assert.equal(stderr, 'blkferry: no volume mial at 127.0.0.1:9; did you mean mail?\n');
  });

  it('refuses a size that is no multiple of its blocks', async () => {
    const { exitCode, stderr } = await new FakeSurroundings().run('selftest --size 1000');
    assert.equal(exitCode, 2);
    assert.match(stderr, /--size is a multiple of 4 KiB/);
  });

  it('deletes the volume that it made also when it cannot be attached', async () => {
    const world = new FakeSurroundings();
    world.daemon.attachError = new StorageError('unavailable', 'no node answers');
    const { exitCode, stderr } = await world.run('selftest');
    assert.equal(exitCode, 5);
    assert.equal(stderr, 'blkferry: no node answers\n');
    assert.equal(world.node.volumes.size, 0);
  });
});
