/**
 * Goal: the time of day may jump, as it does when a machine's clock is set, and nothing comes of it: leases, waits and
 * probes go by a clock that only runs. Method: the lab's clock is set forward and back under a load that judges every
 * read, by an hour and by a day.
 */
import assert from 'node:assert/strict';
import os from 'node:os';
import { after, before, describe, it } from 'node:test';
import type { CheckedLoad } from '#daemon/cli/selftest/checked-load.js';
import { FaultStack } from '#test/faults/fault-stack.js';
import { assertKept, FaultTable, newLoad, randomPause } from '#test/faults/fault-table.js';
import { PATIENCE, runSuccessfully } from '#test/support/program.js';
import { temporaryFolder } from '#test/support/temporary-folder.js';

const VOLUME_BYTES = 16 * 1024 * 1024;
const HOUR_S = 3600;
const DAY_S = 24 * HOUR_S;
const STEPS_S = [HOUR_S, -2 * HOUR_S, HOUR_S, DAY_S, -DAY_S];

/** The lab's own name; no other machine's clock is ours to set. */
const skip =
  os.hostname() === 'lab' ? false : 'sets the clock of its machine: only in scripts/lab vm';

describe('a clock that is set', { skip }, () => {
  const folder = temporaryFolder();
  const table = new FaultTable('clocks');
  let stack: FaultStack;
  let load: CheckedLoad;

  before(async () => {
    stack = await FaultStack.start(folder, VOLUME_BYTES);
    load = newLoad(VOLUME_BYTES, () => stack.daemon.connect('v1'));
    await load.start();
  });
  after(async () => {
    await load.abandon();
    await stack.stop();
  });

  it('is noticed by nobody', async () => {
    const { generation } = await stack.daemon.admin.getAttachment('v1');
    for (const stepS of STEPS_S) {
      await table.inject('clock set', load, async () => {
        await setClock(stepS);
        await randomPause(300 * PATIENCE, 600 * PATIENCE);
      });
    }
    assert.deepEqual(table.errorsOf('clock set'), {});
    const now = await stack.daemon.admin.getAttachment('v1');
    assert.deepEqual([now.state, now.generation], ['active', generation]);
    assert.equal(now.counters?.reconnects, 0);
  });

  it('does not harm what comes next: a node that is killed', async () => {
    await table.inject('node killed between two steps', load, async () => {
      await setClock(-DAY_S);
      await stack.node.kill();
      await setClock(2 * DAY_S);
      await stack.startNode();
      await setClock(-DAY_S);
    });
    assert.deepEqual(table.errorsOf('node killed between two steps'), {});
  });

  it('left every block as it was promised', async () => {
    await load.stop();
    await load.verify();
    assertKept(load, 'the end');
  });
});

async function setClock(stepS: number): Promise<void> {
  const unixS = Math.round(Date.now() / 1000) + stepS;
  await runSuccessfully('date', ['--set', `@${unixS}`]);
}
