/**
 * Goal: programs that die at any moment lose nothing that was answered, bring nothing old back, and are
 * for clients a pause, or a connection to open again. Method: kill -9 at random moments under a load that
 * judges every read; at the end every block is read. kill -9 leaves the page cache: what a node's machine
 * loses with its power is for the simulation and the system tests.
 */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { CheckedLoad } from '#daemon/cli/selftest/checked-load.js';
import { temporaryFolder } from '#test/support/temporary-folder.js';
import { FaultStack } from './fault-stack.js';
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

/** Of each, with and without a write cache. */
const NODE_KILLS = 15;
const DAEMON_KILLS = 8;
const BOTH_KILLS = 4;

/**
 * What is promised of a node that is killed and started again at once, measured from its being ready: the
 * first waits of retry-policy.ts.
 */
const PAUSE_AFTER_READY_MS = LOAD_FACTOR * 1000;

for (const writeCache of ['off', 'on']) {
  describe(`programs that are killed, with write cache ${writeCache}`, () => {
    const folder = temporaryFolder();
    const table = new FaultTable(`killed, write cache ${writeCache}`);
    let stack: FaultStack;
    let load: CheckedLoad;

    before(async () => {
      const daemon = { BLKFERRY_WRITE_CACHE: writeCache };
      stack = await FaultStack.start(folder, VOLUME_BYTES, { daemon });
      load = newLoad(VOLUME_BYTES, () => stack.daemon.connect('v1'));
      await load.start();
    });
    after(async () => {
      await load.abandon();
      await stack.stop();
    });

    it('node: clients see a pause, no error and no wrong block', async () => {
      for (let round = 0; round < NODE_KILLS; round += 1) {
        await randomPause(0, 60);
        await table.inject('node killed', load, async () => {
          await stack.node.kill();
          await stack.startNode();
        });
      }
      assert.deepEqual(table.errorsOf('node killed'), {});
      assert.equal(load.record.counters.unanswered, 0, 'connections stayed open');
    });

    it('node: from its being ready again to the next answer it is less than a second', async () => {
      for (let round = 0; round < 4; round += 1) {
        await randomPause(0, 60);
        let readyMs = 0;
        const pauseMs = await table.inject('node killed, from ready', load, async () => {
          await stack.node.kill();
          await stack.startNode();
          readyMs = load.record.pauses.silentMs;
          load.record.pauses.restart();
        });
        assert(pauseMs < PAUSE_AFTER_READY_MS, `${pauseMs} ms; it was away for ${readyMs} ms`);
      }
    });

    it('daemon: what was answered is there when it is back', async () => {
      for (let round = 0; round < DAEMON_KILLS; round += 1) {
        await randomPause(0, 60);
        await table.inject('daemon killed', load, async () => {
          await stack.daemon.kill();
          await stack.daemon.start();
        });
      }
      assert(load.record.counters.reconnects >= DAEMON_KILLS);
    });

    it('both, in any order', async () => {
      for (let round = 0; round < BOTH_KILLS; round += 1) {
        await randomPause(0, 60);
        await table.inject('both killed', load, async () => {
          const nodeFirst = chance.below(2) === 0;
          await (nodeFirst ? stack.node.kill() : stack.daemon.kill());
          await randomPause(0, 30);
          await (nodeFirst ? stack.daemon.kill() : stack.node.kill());
          if (chance.below(2) === 0) {
            await stack.startNode();
            await stack.daemon.start();
          } else {
            await stack.daemon.start();
            await stack.startNode();
          }
        });
      }
    });

    it('every block holds afterwards what was promised', async () => {
      await load.stop();
      await load.verify();
      assertKept(load, 'the end');
      const { blocksChecked, writes, flushes } = load.record.counters;
      assert(blocksChecked > VOLUME_BYTES / 4096 && writes > 1000 && flushes > 100);
    });
  });
}
