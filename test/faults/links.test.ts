/**
 * Goal: whatever the way between daemon and node does, clients see a pause at most, and never a wrong
 * block. Method: a relay in the test's process cuts, stalls (both directions or one), delays, refuses and
 * flips bits under a load that judges every read. Checksums are on, as they are between machines.
 */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import type { CheckedLoad } from '#daemon/cli/selftest/checked-load.js';
import { STAMP_BYTES } from '#daemon/cli/selftest/stamp.js';
import type { Direction } from '#test/support/faulty-relay.js';
import { temporaryFolder } from '#test/support/temporary-folder.js';
import { FaultStack, PROBE_BOUND_MS } from './fault-stack.js';
import {
  assertKept,
  chance,
  FaultTable,
  LOAD_FACTOR,
  newLoad,
  randomPause,
} from './fault-table.js';

const MIB = 1024 * 1024;
const VOLUME_BYTES = 32 * MIB;
const STAMP_BEGINNING = 'BLKSTAMP';
const DIRECTIONS: readonly [Direction, Direction] = ['to-node', 'to-daemon'];

/** A byte of the data of a write or a read. */
function placeInData(chunk: Buffer): number | undefined {
  const begin = chunk.indexOf(STAMP_BEGINNING);
  if (begin === -1) return undefined;
  const at = begin + chance.below(STAMP_BYTES / 4);
  return at < chunk.length ? at : undefined;
}

/** Any byte: of data, of places and sequences, or of what HTTP/2 puts around them. */
function placeAnywhere(chunk: Buffer): number {
  return chance.below(chunk.length);
}

/** Where the frames of HTTP/2 and ours have their heads. */
function placeInHead(chunk: Buffer): number {
  return chance.below(Math.min(chunk.length, 100));
}

describe('a bad way between daemon and node', () => {
  const folder = temporaryFolder();
  const table = new FaultTable('links');
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

  async function repeat(times: number, kind: string, fault: () => Promise<void>): Promise<void> {
    for (let round = 0; round < times; round += 1) {
      await randomPause(0, 60);
      await table.inject(kind, load, fault);
    }
    assert.deepEqual(table.errorsOf(kind), {});
  }

  it('that is cut, is there again at once, and nobody notices more than a pause', async () => {
    await repeat(35, 'link cut', () => {
      stack.relay.cut();
      return Promise.resolve();
    });
  });

  it('that is cut again while it is being mended', async () => {
    await repeat(8, 'link cut three times', async () => {
      for (let cut = 0; cut < 3; cut += 1) {
        stack.relay.cut();
        await randomPause(0, 120);
      }
    });
  });

  it('that refuses connections for a while', async () => {
    await repeat(6, 'link refused', async () => {
      stack.relay.refuse(true);
      stack.relay.cut();
      await randomPause(50, 500);
      stack.relay.refuse(false);
    });
  });

  it('that stalls in one direction for less than a node may be silent, and goes on', async () => {
    await repeat(16, 'link stalled, one way, short', async () => {
      stack.relay.stall(chance.pick(DIRECTIONS));
      await randomPause(20, PROBE_BOUND_MS / 3);
      stack.relay.flow();
    });
  });

  it('that stalls for good in one direction: another connection is made, without waiting for TCP', async () => {
    for (const direction of DIRECTIONS) {
      const connectionsBefore = stack.relay.connections;
      await repeat(2, `link dead, ${direction}`, async () => {
        stack.relay.stall(direction);
        await wait(PROBE_BOUND_MS);
        // What hangs stays as it is: only new connections flow.
        stack.relay.forgetStalls();
      });
      const longestMs = table.pausesOf(`link dead, ${direction}`).at(-1) ?? 0;
      assert(
        longestMs < LOAD_FACTOR * (2 * PROBE_BOUND_MS + 1000),
        `the longest pause was ${longestMs} ms`,
      );
      assert(stack.relay.connections >= connectionsBefore + 2);
      stack.relay.flow();
    }
  });

  it('on which everything arrives late', async () => {
    await repeat(5, 'link slow', async () => {
      stack.relay.delay(chance.between(5, 60));
      await wait(300);
      stack.relay.delay(0);
      // Chunks must not overtake those that are still late.
      stack.relay.cut();
    });
  });

  it('on which any bit is flipped: nothing wrong is stored or returned, and nobody sees an error', async () => {
    for (const [kind, place] of [
      ['bit of data flipped', placeInData],
      ['bit of a head flipped', placeInHead],
      ['any bit flipped', placeAnywhere],
    ] as const) {
      const damagesBefore = stack.relay.damages;
      await repeat(25, kind, async () => {
        stack.relay.damage(chance.pick(DIRECTIONS), place, chance.below(8));
        await randomPause(10, 40);
      });
      assert(stack.relay.damages > damagesBefore + 20, kind);
    }
    const { counters } = await stack.daemon.admin.getAttachment('v1');
    assert((counters?.damagedSessions ?? 0) > 20);
  });

  it('every block holds afterwards what was promised', async () => {
    await load.stop();
    await load.verify();
    assertKept(load, 'the end');
  });
});
