/** Goal: attach, detach, list and show ask the daemon for the right thing and say what came of it. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { StorageError } from '#daemon/rpc/storage-error.js';
import { attachRequest } from '#test/support/attach-request.js';
import { attachment } from './fake-daemon.js';
import { FakeSurroundings, widthOf } from './fake-surroundings.js';

describe('blkferry attach', () => {
  it('leaves node and export name to the daemon unless they are given', async () => {
    const world = new FakeSurroundings();
    const { exitCode, stdout } = await world.run('attach v1');
    assert.equal(exitCode, 0);
    assert.deepEqual(world.daemon.attachRequests, [attachRequest('v1', { device: 'unspecified' })]);
    assert.equal(
      stdout,
      'volume v1 attached as v1\n/dev/blkferry/v1\nnbd+unix:///v1?socket=/run/blkferry/nbd.sock\n',
    );
    assert.equal(world.daemon.closed, 1);
  });

  it('passes every option on', async () => {
    const world = new FakeSurroundings();
    await world.run('attach v1 --node 127.0.0.1:9 --name disk --read-only --take-over');
    assert.deepEqual(world.daemon.attachRequests, [
      attachRequest('v1', {
        node: '127.0.0.1:9',
        exportName: 'disk',
        readOnly: true,
        takeOver: true,
        device: 'unspecified',
      }),
    ]);
  });

  it('says so when it was attached already, and succeeds', async () => {
    const world = new FakeSurroundings();
    world.daemon.existed = true;
    const { exitCode, stdout } = await world.run('attach v1');
    assert.equal(exitCode, 0);
    assert.match(stdout, /^volume v1 was attached already as v1\n/);
  });

  it("prints the daemon's reply with --json", async () => {
    const { stdout } = await new FakeSurroundings().run('attach v1 --json');
    const reply = JSON.parse(stdout) as { attachment: { uris: string[] }; existed: boolean };
    assert.equal(reply.existed, false);
    assert.deepEqual(reply.attachment.uris, ['nbd+unix:///v1?socket=/run/blkferry/nbd.sock']);
  });

  it('ends with 4 and the sentence of the daemon when another writer holds the volume', async () => {
    const world = new FakeSurroundings();
    world.daemon.away = new StorageError('refused', 'volume v1 is held by blkferryd on dom1');
    const { exitCode, stderr } = await world.run('attach v1');
    assert.equal(exitCode, 4);
    assert.equal(stderr, 'blkferry: volume v1 is held by blkferryd on dom1\n');
  });

  it('asks for a device, for none, and for its shape as the flags say', async () => {
    const world = new FakeSurroundings();
    await world.run('attach v1 --device --connections 4 --block-size 4096');
    await world.run('attach v1 --no-device');
    assert.deepEqual(world.daemon.attachRequests, [
      attachRequest('v1', { device: 'kernel', deviceConnections: 4, deviceBlockBytes: 4096 }),
      attachRequest('v1', { device: 'none' }),
    ]);
    const wrong = await world.run('attach v1 --connections 17');
    assert.match(wrong.stderr, /"17" is not a whole number from 1 to 16/);
    assert.equal(wrong.exitCode, 2);
  });

  it('says why there is no device where one would have been made', async () => {
    const world = new FakeSurroundings();
    world.daemon.deviceProblem = 'the kernel module nbd is not loaded; run: modprobe nbd';
    const { exitCode, stderr } = await world.run('attach v1');
    assert.equal(exitCode, 0);
    assert.match(stderr, /no block device: the kernel module nbd is not loaded; run: modprobe nbd/);
  });
});

describe('blkferry attach of a volume that is not there', () => {
  it('ends with 3 and the near names of the node that was meant', async () => {
    for (const node of ['', ' --node 127.0.0.1:9']) {
      const world = new FakeSurroundings();
      world.node.add('mail', 4096);
      world.daemon.attachError = new StorageError('not-found', 'no such volume');
      const { exitCode, stderr } = await world.run(`attach mial${node}`);
      const address = node === '' ? '127.0.0.1:7600' : '127.0.0.1:9';
      assert.equal(exitCode, 3);
      assert.equal(stderr, `blkferry: no volume mial at ${address}; did you mean mail?\n`);
    }
  });

  it('keeps the sentence of the daemon when the node cannot be asked from here', async () => {
    const world = new FakeSurroundings();
    world.daemon.attachError = new StorageError('not-found', 'no volume mial there');
    world.node.away = new StorageError('unavailable', 'gone');
    const { exitCode, stderr } = await world.run('attach mial');
    assert.equal(exitCode, 3);
    assert.equal(stderr, 'blkferry: no volume mial there\n');
  });
});

describe('blkferry detach', () => {
  it('detaches', async () => {
    const world = new FakeSurroundings();
    const { exitCode, stdout } = await world.run('detach v1');
    assert.equal(exitCode, 0);
    assert.deepEqual(world.daemon.detachRequests, [
      { exportName: 'v1', force: false, attachmentIds: [], waitMs: 0 },
    ]);
    assert.equal(stdout, 'v1 detached\n');
  });

  it('succeeds when there is nothing to detach, and says which name was perhaps meant', async () => {
    const world = new FakeSurroundings();
    world.daemon.attachments = [attachment({ exportName: 'disk1' })];
    world.daemon.detachReply = { absent: true, discardedBytes: 0 };
    const { exitCode, stdout } = await world.run('detach disk2');
    assert.equal(exitCode, 0);
    assert.equal(stdout, 'disk2 was not attached; did you mean disk1?\n');
  });

  it('says how much --force gave up', async () => {
    const world = new FakeSurroundings();
    world.daemon.detachReply = { absent: false, discardedBytes: 65536 };
    const { exitCode, stderr } = await world.run(
      'detach v1 --force --wait 20s --attachment id-1 id-2',
    );
    assert.equal(exitCode, 0);
    assert.deepEqual(world.daemon.detachRequests, [
      { exportName: 'v1', force: true, attachmentIds: ['id-1', 'id-2'], waitMs: 20_000 },
    ]);
    assert.match(stderr, /64 KiB of answered writes were given up/);
  });

  it('waits longer than a question does, because the daemon flushes', async () => {
    const world = new FakeSurroundings();
    await world.run('detach v1');
    assert.equal(world.daemonOptions[0]?.timeoutMs, 300_000);
  });
});

describe('blkferry list', () => {
  it('shows attachments in a table of at most 80 columns', async () => {
    const world = new FakeSurroundings();
    world.daemon.attachments = [
      attachment({ exportName: 'e'.repeat(64), node: 'storage-node-1.example.org:7600' }),
      attachment({ exportName: 'v2', readOnly: true, state: 'holding', clientCount: 0 }),
    ];
    const { exitCode, stdout } = await world.run('list');
    assert.equal(exitCode, 0);
    assert.match(stdout, /^EXPORT +VOLUME +NODE +SIZE +MODE +STATE +DEVICE\n/);
    assert.match(stdout, /^v2 +v2 +127\.0\.0\.1:7600 +20 GiB +ro +holding +nbd3$/m);
    assert.ok(widthOf(stdout) <= 80, stdout);
  });

  it('says what to do when there is none', async () => {
    const { stdout } = await new FakeSurroundings().run('list');
    assert.match(stdout, /^nothing is attached; attach a volume with: blkferry attach VOLUME\n/);
  });

  it('prints the attachments with --json', async () => {
    const world = new FakeSurroundings();
    world.daemon.attachments = [attachment()];
    const { stdout } = await world.run('list --json');
    assert.deepEqual(JSON.parse(stdout), { attachments: [attachment()] });
  });
});

describe('blkferry show', () => {
  it('shows one attachment with its counters and why its state is what it is', async () => {
    const world = new FakeSurroundings();
    world.daemon.attachments = [
      attachment({ state: 'holding', detail: 'the node has been silent for 12 s' }),
    ];
    const { exitCode, stdout } = await world.run('show v1');
    assert.equal(exitCode, 0);
    assert.match(stdout, /^state +holding: the node has been silent for 12 s$/m);
    assert.match(stdout, /^mode +writer, generation 7$/m);
    assert.match(stdout, /^writes +20 requests, 80 KiB$/m);
    assert.match(stdout, /^reconnects +1, 4 requests sent again$/m);
    assert.match(stdout, /^reached at +nbd\+unix:/m);
  });

  it('ends with 3 and the near names when there is no such export', async () => {
    const world = new FakeSurroundings();
    world.daemon.attachments = [attachment({ exportName: 'mail' })];
    const { exitCode, stderr } = await world.run('show mial');
    assert.equal(exitCode, 3);
    assert.equal(stderr, 'blkferry: nothing is attached as mial; did you mean mail?\n');
  });
});
