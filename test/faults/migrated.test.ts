/**
 * Goal: a guest moves from one machine to another while it runs, and its disk with it; and the disk of a machine that is
 * gone can be had elsewhere. Method: two daemons, the
 * second on standby while the load runs with the first; the load pauses as a guest does at the switch, and goes on
 * with the second. The first one stays alive all the time, as Dom0 does.
 */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { submitAsync } from '#daemon/block/block-device.js';
import { joined, readRequest, writeRequest } from '#daemon/block/block-request.js';
import type { CheckedLoad } from '#daemon/cli/selftest/checked-load.js';
import { attachRequest } from '#test/support/attach-request.js';
import { PATIENCE } from '#test/support/program.js';
import { temporaryFolder } from '#test/support/temporary-folder.js';
import { FaultStack, type FaultDaemon } from './fault-stack.js';
import { assertKept, FaultTable, newLoad, randomPause, waitFor } from './fault-table.js';

const MIB = 1024 * 1024;
const VOLUME_BYTES = 16 * MIB;
const BLOCK_BYTES = 512;
const STANDBY = attachRequest('v1', { standby: true });

describe('a guest that moves', () => {
  const folder = temporaryFolder();
  const table = new FaultTable('migrated');
  let stack: FaultStack;
  let load: CheckedLoad;
  /** Where the guest runs. */
  let here: FaultDaemon;
  let there: FaultDaemon;

  before(async () => {
    stack = await FaultStack.start(folder, VOLUME_BYTES);
    here = stack.daemon;
    there = await stack.addDaemon();
    load = newLoad(VOLUME_BYTES, () => here.connect('v1'));
    await load.start();
  });
  after(async () => {
    await load.abandon();
    await stack.stop();
  });

  it('finds its disk at the destination, which disturbed nobody before it wrote', async () => {
    for (let round = 0; round < 6; round += 1) {
      const { generation } = await here.admin.getAttachment('v1');
      await table.inject('guest moves', load, async () => {
        const { attachment } = await there.admin.attach(STANDBY);
        assert.deepEqual([attachment.standby, attachment.generation], [true, 0]);
        await randomPause(50, 150);
        const source = await here.admin.getAttachment('v1');
        assert.deepEqual([source.state, source.generation], ['active', generation]);
        await load.stop();
        [here, there] = [there, here];
        await load.start();
      });
      const moved = await here.admin.getAttachment('v1');
      assert.deepEqual([moved.standby, moved.generation], [false, generation + 1]);
      assert.equal((await there.admin.getAttachment('v1')).state, 'fenced');
      await there.admin.detach({ exportName: 'v1', force: false });
    }
    assert.deepEqual(table.errorsOf('guest moves'), {});
  });

  it('that does not move after all goes on where it is', async () => {
    await table.inject('move given up', load, async () => {
      await there.admin.attach(STANDBY);
      await randomPause(50, 150);
      await there.admin.detach({ exportName: 'v1', force: false });
    });
    assert.equal((await here.admin.getAttachment('v1')).state, 'active');
  });

  it('is not robbed by a destination that was restarted before the switch, or after it', async () => {
    await there.admin.attach(STANDBY);
    await there.kill();
    await there.start();
    const { standby } = await there.admin.getAttachment('v1');
    assert.equal(standby, true);
    await table.inject('guest moves to a restarted daemon', load, async () => {
      await load.stop();
      [here, there] = [there, here];
      await load.start();
    });
    await here.kill();
    await here.start();
    assert.equal((await here.admin.getAttachment('v1')).standby, false);
    assert.equal((await there.admin.getAttachment('v1')).state, 'fenced');
  });

  it('every block holds afterwards what was promised', async () => {
    await load.stop();
    await load.verify();
    assertKept(load, 'the end');
  });
});

describe('a daemon that is gone for good', () => {
  const folder = temporaryFolder();
  const LEASE_TIMEOUT_MS = 3000 * PATIENCE;
  let stack: FaultStack;

  before(async () => {
    const node = { BLKFERRY_LEASE_TIMEOUT: `${LEASE_TIMEOUT_MS}ms` };
    stack = await FaultStack.start(folder, VOLUME_BYTES, { node });
  });
  after(() => stack.stop());

  it('loses its lease to another when that has run out, and not before', async () => {
    const dead = stack.daemon;
    const heir = await stack.addDaemon();
    await writeBlock(dead, 1);
    await dead.kill();
    const killedMs = performance.now();
    const refused = await heir.admin.attach(attachRequest('v1')).then(
      () => 'nothing',
      (error: unknown) => (error as Error).message,
    );
    assert.match(
      refused,
      /volume v1 is held by blkferryd\[\d+\] on .*; detach it there or use --take-over/,
    );
    await waitFor(
      () =>
        heir.admin.attach(attachRequest('v1')).then(
          () => true,
          () => false,
        ),
      'the lease runs out',
    );
    const tookMs = performance.now() - killedMs;
    // The node may have heard of the death a moment after it.
    assert(tookMs > LEASE_TIMEOUT_MS * 0.9, `attached ${tookMs} ms after the death`);
    assert.deepEqual(await readBlock(heir), Buffer.alloc(BLOCK_BYTES, 1));
    await writeBlock(heir, 2);
    await dead.start();
    await waitFor(
      async () => (await dead.admin.getAttachment('v1')).state === 'fenced',
      'the daemon hears that its volume is with another',
    );
    assert.deepEqual(await readBlock(heir), Buffer.alloc(BLOCK_BYTES, 2));
  });
});

async function writeBlock(daemon: FaultDaemon, fill: number): Promise<void> {
  const device = await daemon.connect('v1');
  await submitAsync(device, writeRequest(0, [Buffer.alloc(BLOCK_BYTES, fill)]));
  await device.close();
}

async function readBlock(daemon: FaultDaemon): Promise<Buffer> {
  const device = await daemon.connect('v1');
  const { payload } = await submitAsync(device, readRequest(0, BLOCK_BYTES));
  await device.close();
  return joined(payload);
}
