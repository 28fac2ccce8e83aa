/**
 * Goal: a guest moves from one machine to another while it runs, and its disk with it. Method: two daemons, the
 * second on standby while the load runs with the first; the load pauses as a guest does at the switch, and goes on
 * with the second. The first one stays alive all the time, as Dom0 does.
 */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { CheckedLoad } from '#daemon/cli/selftest/checked-load.js';
import { attachRequest } from '#test/support/attach-request.js';
import { temporaryFolder } from '#test/support/temporary-folder.js';
import { FaultStack, type FaultDaemon } from './fault-stack.js';
import { assertKept, FaultTable, newLoad, randomPause } from './fault-table.js';

const MIB = 1024 * 1024;
const VOLUME_BYTES = 16 * MIB;
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
