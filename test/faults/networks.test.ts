/**
 * Goal: on a real network, whatever its cables do, clients see a pause at most and never a wrong block.
 * Method: the node runs in a network namespace with two cables to the daemon; they are pulled and plugged, and
 * made late, lossy, narrow, disordered and dumb in one direction, under a load that judges every read. Frames
 * carry checksums, as they do between machines by default.
 */
import assert from 'node:assert/strict';
import { after, before, describe, it, type TestContext } from 'node:test';
import type { CheckedLoad } from '#daemon/cli/selftest/checked-load.js';
import { PATIENCE } from '#test/support/program.js';
import { temporaryFolder } from '#test/support/temporary-folder.js';
import { FaultStack, PROBE_BOUND_MS } from './fault-stack.js';
import { assertKept, chance, FaultTable, newLoad, randomPause } from './fault-table.js';
import { DIRECTIONS, NodeNetwork, type Direction, type Way } from './node-network.js';

const MIB = 1024 * 1024;
const VOLUME_BYTES = 32 * MIB;
/** How long a way stays bad; TCP sends again after 200 ms at the earliest. */
const BAD_MS = 600;

const problem = await NodeNetwork.problem();
const skip = problem === undefined ? false : `no network namespaces with cables here: ${problem}`;

describe('a network', { skip }, () => {
  const folder = temporaryFolder();
  const table = new FaultTable('networks');
  const network = new NodeNetwork();
  let stack: FaultStack | undefined;
  let load: CheckedLoad;
  /** The way that the load takes. A way that was left is taken again only when the other one fails. */
  let used: Way = 1;

  before(async () => {
    await network.make();
    const daemon = { BLKFERRY_CHECKSUM: 'auto' };
    const started = await FaultStack.start(folder, VOLUME_BYTES, { network, daemon });
    load = newLoad(VOLUME_BYTES, () => started.daemon.connect('v1'));
    stack = started;
    await load.start();
  });
  after(async () => {
    try {
      if (stack !== undefined) await load.abandon();
      await stack?.stop();
    } finally {
      await network.remove();
    }
  });

  async function repeat(times: number, kind: string, fault: () => Promise<void>): Promise<void> {
    for (let round = 0; round < times; round += 1) {
      await randomPause(0, 60);
      await table.inject(kind, load, fault);
    }
    assert.deepEqual(table.errorsOf(kind), {});
  }

  function otherWay(): Way {
    return used === 1 ? 2 : 1;
  }

  /** Makes the way in use bad for a while. */
  async function disturbed(
    disturbance: string,
    directions: readonly Direction[],
    forMs = BAD_MS * PATIENCE,
  ): Promise<void> {
    for (const direction of directions) await network.disturb(used, direction, disturbance);
    await randomPause(forMs / 2, forMs);
    for (const direction of directions) await network.calm(used, direction);
  }

  async function skippedWithoutNetem(t: TestContext): Promise<boolean> {
    if (await network.canDisturb()) return false;
    t.skip('this kernel cannot make cables bad: no sch_netem; scripts/lab vm has it');
    return true;
  }

  it('one of whose cables is pulled is used through the other', async () => {
    await repeat(6, 'cable pulled, another there', async () => {
      await network.plug(otherWay());
      await network.pull(used);
      await randomPause(PROBE_BOUND_MS, 2 * PROBE_BOUND_MS);
      used = otherWay();
    });
    await network.plug(otherWay());
  });

  it('whose cables are both pulled for a moment goes on where it was', async () => {
    await repeat(4, 'both cables pulled, shortly', async () => {
      await network.pull(1);
      await network.pull(2);
      await randomPause(20, PROBE_BOUND_MS / 3);
      await network.plug(1);
      await network.plug(2);
    });
  });

  it('whose cables are both pulled is waited for', async () => {
    await repeat(3, 'both cables pulled', async () => {
      await network.pull(1);
      await network.pull(2);
      await randomPause(PROBE_BOUND_MS, 3 * PROBE_BOUND_MS);
      await network.plug(1);
      await network.plug(2);
    });
    // Which of the two was found first is not known: from here on there is one.
    await network.pull(2);
    used = 1;
    await table.inject('the second cable pulled for good', load, () => randomPause(0, 1));
  });

  it('that is late, loses, doubles and disorders packets, or is narrow, only makes things slow', async (t) => {
    if (await skippedWithoutNetem(t)) return;
    for (const [kind, disturbance] of [
      ['packets late', 'delay 30ms 20ms'],
      ['packets lost, 5 %', 'loss 5%'],
      ['packets lost in rows', 'loss gemodel 3% 30%'],
      ['packets doubled and disordered', 'delay 5ms reorder 30% 50% duplicate 10%'],
      ['bits flipped below TCP', 'corrupt 2%'],
      ['cable of 20 Mbit/s', 'rate 20mbit'],
    ] as const) {
      await repeat(3, kind, () => disturbed(disturbance, DIRECTIONS));
    }
  });

  it('that is dumb in one direction is waited for', async (t) => {
    if (await skippedWithoutNetem(t)) return;
    for (const direction of DIRECTIONS) {
      await repeat(2, `nothing passes ${direction}`, () =>
        disturbed('loss 100%', [direction], chance.between(1, 3) * PROBE_BOUND_MS),
      );
    }
  });

  it('left every block as it was promised', async () => {
    await load.stop();
    await load.verify();
    assertKept(load, 'the end');
  });

  it('does not hold up the end of a node by connections that nobody will answer any more', async () => {
    const begunMs = performance.now();
    assert.equal(await stack?.node.stop(), 0);
    const tookMs = performance.now() - begunMs;
    assert(tookMs < 5000 * PATIENCE, `the stop took ${tookMs} ms`);
  });
});
