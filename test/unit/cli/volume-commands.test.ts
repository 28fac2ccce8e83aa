/** Goal: `blkferry volume ...` asks the node for the right thing and says what came of it. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { FakeSurroundings, widthOf } from './fake-surroundings.js';
import { MiB } from './fake-node.js';

describe('blkferry volume create', () => {
  it('makes a volume of the size asked for', async () => {
    const world = new FakeSurroundings();
    const { exitCode, stdout } = await world.run('volume create v1 2MiB');
    assert.equal(exitCode, 0);
    assert.equal(world.node.content('v1').length, 2 * MiB);
    assert.equal(stdout, 'volume v1 created: 2 MiB at 127.0.0.1:7600\n');
  });

  it('says so when an equal volume is there, and succeeds', async () => {
    const world = new FakeSurroundings();
    world.node.add('v1', 2 * MiB);
    const { exitCode, stdout } = await world.run('volume create v1 2MiB');
    assert.equal(exitCode, 0);
    assert.equal(stdout, 'volume v1 is there already, with 2 MiB at 127.0.0.1:7600\n');
  });

  it('prints the reply of the node with --json, absent fields as null', async () => {
    const world = new FakeSurroundings();
    const { stdout } = await world.run('volume create v1 1M --json');
    const { volume, existed } = JSON.parse(stdout) as {
      volume: Record<string, unknown>;
      existed: boolean;
    };
    assert.equal(existed, false);
    assert.equal(volume['sizeBytes'], MiB);
    assert.equal(volume['holder'], null);
    assert.equal(volume['volumeId'], 'id-of-v1');
  });
});

describe('blkferry volume list', () => {
  it('shows the volumes in a table of at most 80 columns, long names wrapped and whole', async () => {
    const world = new FakeSurroundings();
    const longName = 'a'.repeat(40) + 'b'.repeat(24);
    world.node.add('v1', 2 * MiB);
    world.node.hold('v1', { description: 'blkferryd on a-host-with-a-long-name.example.org' });
    world.node.add(longName, MiB);
    const { exitCode, stdout } = await world.run('volume list');
    assert.equal(exitCode, 0);
    assert.match(stdout, /^NAME +SIZE +USED +BLOCK +BACKEND +WRITER\n/);
    assert.match(stdout, /^v1 +2 MiB +0 B +512 +file +blkferryd on/m);
    assert.ok(widthOf(stdout) <= 80, stdout);
    const letters = stdout.replace(/^NAME.*\n/, '').match(/\b(a+|a*b+)\b/gm) ?? [];
    assert.equal(letters.join('').length >= 64, true, stdout);
    assert.doesNotMatch(stdout, /…/);
  });

  it('prints one row per line, as wide as needed, when stdout is no terminal', async () => {
    const world = new FakeSurroundings();
    world.stdoutColumns = undefined;
    world.node.add('x'.repeat(64), MiB);
    world.node.hold('x'.repeat(64), { description: 'somebody with a long description of himself' });
    const { stdout } = await world.run('volume ls');
    assert.equal(stdout.trimEnd().split('\n').length, 2);
    assert.match(stdout, /x{64} .*somebody with a long description of himself/);
  });

  it('says what to do when there is none', async () => {
    const { stdout } = await new FakeSurroundings().run('volume list');
    assert.match(stdout, /^no volumes at 127\.0\.0\.1:7600; make one with: blkferry volume create/);
  });

  it('prints {"volumes": []} with --json when there is none', async () => {
    const { stdout } = await new FakeSurroundings().run('volume list --json');
    assert.deepEqual(JSON.parse(stdout), { volumes: [] });
  });
});

describe('blkferry volume show', () => {
  it('shows one volume with its writer', async () => {
    const world = new FakeSurroundings();
    world.node.add('v1', 2 * MiB);
    world.node.hold('v1');
    const { exitCode, stdout } = await world.run('volume show v1');
    assert.equal(exitCode, 0);
    assert.match(stdout, /^name +v1\nid +id-of-v1\nsize +2 MiB \(2097152 bytes\)\n/);
    assert.match(stdout, /^created +2026-01-02T03:04:05Z$/m);
    assert.match(stdout, /^writer +blkferryd on dom0, since 2026-01-02T00:00:00Z, connected$/m);
  });

  it('ends with 3 and the near names when there is no such volume', async () => {
    const world = new FakeSurroundings();
    world.node.add('mail-data', MiB);
    world.node.add('www', MiB);
    const { exitCode, stderr } = await world.run('volume show mail-dtaa');
    assert.equal(exitCode, 3);
    assert.equal(
      stderr,
      'blkferry: no volume mail-dtaa at 127.0.0.1:7600; did you mean mail-data?\n',
    );
  });

  it('points to the list when no name is near', async () => {
    const { stderr } = await new FakeSurroundings().run('volume show v1');
    assert.equal(
      stderr,
      'blkferry: no volume v1 at 127.0.0.1:7600; see: blkferry volume list --node 127.0.0.1:7600\n',
    );
  });
});

describe('blkferry volume resize', () => {
  it('makes a volume larger', async () => {
    const world = new FakeSurroundings();
    world.node.add('v1', MiB);
    const { exitCode, stdout, stderr } = await world.run('volume resize v1 4MiB');
    assert.equal(exitCode, 0);
    assert.equal(stdout, 'volume v1 has 4 MiB at 127.0.0.1:7600\n');
    assert.equal(stderr, '');
  });

  it('makes it smaller only with --allow-shrink', async () => {
    const world = new FakeSurroundings();
    world.node.add('v1', 2 * MiB);
    const refused = await world.run('volume resize v1 1MiB');
    assert.equal(refused.exitCode, 4);
    const allowed = await world.run('volume resize v1 1MiB --allow-shrink');
    assert.equal(allowed.exitCode, 0);
  });

  it('warns when the volume is in use', async () => {
    const world = new FakeSurroundings();
    world.node.add('v1', MiB).message.sessionCount = 1;
    const { stderr } = await world.run('volume resize v1 4MiB');
    assert.match(
      stderr,
      /v1 is in use: block devices show the new size now, NBD clients when they connect again/,
    );
  });
});

describe('blkferry volume delete', () => {
  it('deletes a volume', async () => {
    const world = new FakeSurroundings();
    world.node.add('v1', MiB);
    const { exitCode, stdout } = await world.run('volume delete v1');
    assert.equal(exitCode, 0);
    assert.equal(stdout, 'volume v1 deleted\n');
    assert.equal(world.node.volumes.size, 0);
  });

  it('deletes nothing when --id is the id of another volume', async () => {
    const world = new FakeSurroundings();
    world.node.add('v1', MiB);
    const { exitCode } = await world.run('volume delete v1 --id other');
    assert.equal(exitCode, 3);
    assert.equal(world.node.volumes.size, 1);
  });
});
