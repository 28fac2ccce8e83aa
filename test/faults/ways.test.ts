/**
 * Goal: a node that is in two networks is used through the one that works, and clients see a pause at most.
 * Method: two relays lead to the node; one after the other refuses, or falls silent and stays so, under a load
 * that judges every read. The way that is broken stays broken until the other one is: nothing mends by itself.
 */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { CheckedLoad } from '#daemon/cli/selftest/checked-load.js';
import type { FaultyRelay } from '#test/support/faulty-relay.js';
import { temporaryFolder } from '#test/support/temporary-folder.js';
import { FaultStack, PROBE_BOUND_MS } from './fault-stack.js';
import {
  assertKept,
  FaultTable,
  LOAD_FACTOR,
  newLoad,
  randomPause,
  waitFor,
} from './fault-table.js';

const MIB = 1024 * 1024;
const VOLUME_BYTES = 32 * MIB;
/** One wait before the next try, the search and the new session. */
const CHANGE_MS = 1000;

describe('a node that has two addresses', () => {
  const folder = temporaryFolder();
  const table = new FaultTable('ways');
  let stack: FaultStack;
  let load: CheckedLoad;

  before(async () => {
    stack = await FaultStack.start(folder, VOLUME_BYTES, { ways: 2 });
    load = newLoad(VOLUME_BYTES, () => stack.daemon.connect('v1'));
    await load.start();
  });
  after(async () => {
    await load.abandon();
    await stack.stop();
  });

  /** The ways take turns: the one in use breaks, the other one is whole again just before. */
  async function takeTurns(
    kind: string,
    boundMs: number,
    breakWay: (used: FaultyRelay) => void,
    mend: (other: FaultyRelay) => void,
  ): Promise<void> {
    const [first, second] = stack.relays;
    assert(first && second);
    for (const [used, other] of [
      [first, second],
      [second, first],
      [first, second],
      [second, first],
    ] as const) {
      await randomPause(0, 60);
      mend(other);
      const { counters: earlier } = await stack.daemon.admin.getAttachment('v1');
      await table.inject(kind, load, async () => {
        breakWay(used);
        // With this way broken, only the other can have made it active again.
        await waitFor(async () => {
          const { state, counters } = await stack.daemon.admin.getAttachment('v1');
          const isAnother = (counters?.reconnects ?? 0) > (earlier?.reconnects ?? 0);
          return isAnother && state === 'active';
        }, 'the other way is used');
      });
    }
    for (const relay of stack.relays) mend(relay);
    assert.deepEqual(table.errorsOf(kind), {});
    const longestMs = table.pausesOf(kind).at(-1) ?? 0;
    assert(longestMs < LOAD_FACTOR * boundMs, `the longest pause was ${longestMs} ms`);
  }

  it('is reached by the second when the first refuses, and by the first again when the second does', async () => {
    await takeTurns(
      'one of two ways refused',
      CHANGE_MS,
      (used) => {
        used.refuse(true);
        used.cut();
      },
      (other) => {
        other.refuse(false);
      },
    );
  });

  it('is reached by the other when one falls silent for good', async () => {
    await takeTurns(
      'one of two ways silent',
      PROBE_BOUND_MS + CHANGE_MS,
      (used) => {
        used.stall('to-node');
        used.stall('to-daemon');
      },
      (other) => {
        // What was on its way arrives now, behind newer writes that went the other way.
        other.flow();
      },
    );
  });

  it('is named with both in what the daemon and the command say', async () => {
    const { node } = await stack.daemon.admin.getAttachment('v1');
    assert.equal(node, stack.relays.map(({ address }) => address).join(','));
  });

  it('every block holds afterwards what was promised', async () => {
    await load.stop();
    await load.verify();
    assertKept(load, 'the end');
  });
});
