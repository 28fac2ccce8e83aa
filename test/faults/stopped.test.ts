/**
 * Goal: a program that stands still and goes on later does no harm: neither a short stop, nor a long one
 * after which it is given up, nor, above all, a daemon that goes on after another one has taken its volume.
 * Method: SIGSTOP and SIGCONT at random moments under a load that judges every read.
 */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import type { CheckedLoad } from '#daemon/cli/selftest/checked-load.js';
import type { AttachmentState } from '#daemon/rpc/admin-messages.js';
import { attachRequest } from '#test/support/attach-request.js';
import { temporaryFolder } from '#test/support/temporary-folder.js';
import { FaultStack, PROBE_BOUND_MS, type FaultDaemon } from './fault-stack.js';
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

describe('programs that stand still', () => {
  const folder = temporaryFolder();
  const table = new FaultTable('stopped');
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

  async function stopped(
    program: 'node' | 'daemon',
    leastMs: number,
    mostMs: number,
  ): Promise<void> {
    const running = program === 'node' ? stack.node : stack.daemon.program;
    running.signal('SIGSTOP');
    await randomPause(leastMs, mostMs);
    running.signal('SIGCONT');
  }

  it('node, for less than it may be silent', async () => {
    for (let round = 0; round < 18; round += 1) {
      await randomPause(0, 60);
      await table.inject('node stopped, short', load, () => stopped('node', 20, 400));
    }
    assert.deepEqual(table.errorsOf('node stopped, short'), {});
  });

  it('node, for longer: it is given up, and found again when it goes on', async () => {
    const mostMs = 2 * PROBE_BOUND_MS;
    for (let round = 0; round < 5; round += 1) {
      const pauseMs = await table.inject('node stopped, given up', load, () =>
        stopped('node', PROBE_BOUND_MS, mostMs),
      );
      assert(pauseMs < mostMs + LOAD_FACTOR * 1000, `${pauseMs} ms`);
    }
    assert.deepEqual(table.errorsOf('node stopped, given up'), {});
  });

  it('daemon', async () => {
    for (let round = 0; round < 12; round += 1) {
      await randomPause(0, 60);
      await table.inject('daemon stopped', load, () => stopped('daemon', 20, 400));
    }
    assert.deepEqual(table.errorsOf('daemon stopped'), {});
  });

  it('clients that go without a word while the node stands still, and come back', async () => {
    for (let round = 0; round < 10; round += 1) {
      await table.inject('clients cut, node stopped', load, async () => {
        stack.node.signal('SIGSTOP');
        await randomPause(20, 200);
        for (let lane = 0; lane < load.options.connections; lane += 1) load.cut(lane);
        await randomPause(20, 200);
        stack.node.signal('SIGCONT');
      });
    }
  });

  it('clients that go without a word', async () => {
    for (let round = 0; round < 30; round += 1) {
      await randomPause(0, 40);
      await table.inject('client cut', load, () => {
        load.cut(chance.below(load.options.connections));
        return Promise.resolve();
      });
    }
  });

  it('node, until an operator has had enough, and until he asks for it again', async () => {
    const { admin } = stack.daemon;
    await table.inject('node stopped, fail-now', load, async () => {
      stack.node.signal('SIGSTOP');
      await waitForState(stack.daemon, 'holding');
      const { requestsFailed, attachment } = await admin.failNow('v1');
      assert(requestsFailed > 0);
      assert.equal(attachment.state, 'failing');
      stack.node.signal('SIGCONT');
      await waitForState(stack.daemon, 'active', () => admin.retryNow('v1'));
    });
    assert.deepEqual(Object.keys(table.errorsOf('node stopped, fail-now')), ['EIO']);
  });

  it('daemon whose volume is taken over meanwhile: what it still sends changes nothing', async () => {
    let daemon = stack.daemon;
    await load.stop();
    // One model for both daemons: the load goes on with the second where the first was given up.
    load = newLoad(VOLUME_BYTES, () => daemon.connect('v1'));
    await load.clear();
    await load.start();
    for (let round = 0; round < 2; round += 1) {
      const old = daemon;
      const next = round === 0 ? await stack.addDaemon() : stack.daemon;
      await table.inject('volume taken over', load, async () => {
        await randomPause(50, 150);
        old.program.signal('SIGSTOP');
        await next.admin.attach(attachRequest('v1', { takeOver: true }));
        daemon = next;
        for (let lane = 0; lane < load.options.connections; lane += 1) load.cut(lane);
        await randomPause(50, 150);
        old.program.signal('SIGCONT');
        await wait(300);
      });
      await waitForState(old, 'fenced');
      const { detail } = await old.admin.getAttachment('v1');
      const winner = `blkferryd\\[${next.program.child.pid}\\] on \\S+, export v1 since ${new Date().getUTCFullYear()}-`;
      assert.match(detail, new RegExp(winner));
      await old.admin.detach({ exportName: 'v1', force: true });
    }
  });

  it('every block holds afterwards what was promised', async () => {
    await load.stop();
    await load.verify();
    assertKept(load, 'the end');
  });
});

/** @param between what is done before each look */
async function waitForState(
  { admin }: FaultDaemon,
  wanted: AttachmentState,
  between: () => Promise<unknown> = () => wait(20),
): Promise<void> {
  for (let tries = 0; tries < 500; tries += 1) {
    if ((await admin.getAttachment('v1')).state === wanted) return;
    await between();
  }
  assert.fail(`the attachment did not become ${wanted}`);
}
