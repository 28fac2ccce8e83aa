/**
 * Goal: whoever opens a thousand connections and means no good disturbs nobody who does. Method: peers that are silent,
 * slow, send nonsense, begin and never go on, ask and never read, call with what is no message, held at the NBD socket,
 * the NBD port and the doors of two nodes together, each opened anew when it is closed; meanwhile a client reads 4 KiB
 * after 4 KiB, one at a time. Its median is compared with that of the calm just before, in the same run.
 */
import assert from 'node:assert/strict';
import net from 'node:net';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { submitAsync } from '#daemon/block/block-device.js';
import { joined, readRequest, writeRequest } from '#daemon/block/block-request.js';
import { RunningProgram } from '#test/support/program.js';
import { temporaryFolder } from '#test/support/temporary-folder.js';
import { FaultStack } from './fault-stack.js';
import { waitFor } from './fault-table.js';
import {
  AGAIN_MS,
  babbler,
  deafReader,
  stranger,
  type Door,
  type Hostile,
} from './hostile-peer.js';

const MIB = 1024 * 1024;
const VOLUME_BYTES = 16 * MIB;
const HOSTILE_PEERS = 1000;
/** Of those, clients that were let in and do not read, and callers. */
const DEAF_READERS = 200;
const BABBLERS = 40;
const READ_BYTES = 4096;
const ROUND_MS = 1500;
const ROUNDS = 3;
/** The promise. */
const SLOWER_MAX = 3;
/** What deaf readers may be owed; less than they ask for, so that the limit is reached. */
const REPLY_BYTES_MAX = 256 * MIB;
/** What the handshakes and clients that the settings allow may cost, at 150 KiB each, twice; and a heap not collected yet. */
const GROWTH_BYTES_MAX = 192 * MIB;

const NODE_PROGRAM = fileURLToPath(
  new URL('../../../daemon/dist/program/blkferry-node.js', import.meta.url),
);

describe('a thousand hostile connections', () => {
  const folder = temporaryFolder();
  let stack: FaultStack;
  let tcpNode: RunningProgram;
  let port = 0;
  let nodePort = 0;

  before(async () => {
    [port, nodePort] = [await freePort(), await freePort()];
    const daemon = {
      BLKFERRY_NBD_TCP: `127.0.0.1:${port}`,
      BLKFERRY_NBD_HANDSHAKE_TIMEOUT: '5s',
      BLKFERRY_NBD_REPLY_BYTES_MAX: `${REPLY_BYTES_MAX / MIB}MiB`,
    };
    stack = await FaultStack.start(folder, VOLUME_BYTES, { daemon });
    const args = ['--data-directory', path.join(folder, 'data2')];
    const { program } = await RunningProgram.start(
      NODE_PROGRAM,
      [...args, '--listen', `127.0.0.1:${nodePort}`],
      { readyLine: /ready: / },
    );
    tcpNode = program;
  });
  after(async () => {
    await tcpNode.stop();
    await stack.stop();
  });

  function attack(): Hostile[] {
    const nbd: Door[] = [{ path: stack.daemon.nbdSocket }, { host: '127.0.0.1', port }];
    const nodes: Door[] = [
      { path: path.join(folder, 'node.sock') },
      { host: '127.0.0.1', port: nodePort },
    ];
    const calls = [`unix:${path.join(folder, 'node.sock')}`, `127.0.0.1:${nodePort}`];
    const pick = <One>(from: readonly One[], index: number): One => {
      const one = from[index % from.length];
      assert(one !== undefined);
      return one;
    };
    return Array.from({ length: HOSTILE_PEERS }, (_, index) => {
      if (index < DEAF_READERS) return deafReader(pick(nbd, index), 'v1');
      if (index < DEAF_READERS + BABBLERS) return babbler(pick(calls, index));
      return stranger(pick([...nbd, ...nodes], index), Math.floor(index / 4));
    });
  }

  it('leave a good client its speed, and the programs their memory', async () => {
    const client = await stack.daemon.connect('v1');
    await submitAsync(client, writeRequest(0, [Buffer.alloc(READ_BYTES, 7)]));
    const readsFor = async (durationMs: number): Promise<number[]> => {
      const timesMs: number[] = [];
      const endMs = performance.now() + durationMs;
      while (performance.now() < endMs) {
        const begunMs = performance.now();
        const { payload } = await submitAsync(client, readRequest(0, READ_BYTES));
        timesMs.push(performance.now() - begunMs);
        assert.equal(joined(payload)[0], 7);
      }
      return timesMs;
    };
    await readsFor(ROUND_MS / 2);
    const programs = [stack.daemon.program, stack.node, tcpNode];
    const calmBytes = programs.map(({ residentBytes }) => residentBytes);
    const calm: number[] = [];
    const attacked: number[] = [];
    const afterwardsMs: number[] = [];
    for (let round = 0; round < ROUNDS; round += 1) {
      calm.push(median(await readsFor(ROUND_MS)));
      const hostile = attack();
      // All have begun, and some were thrown out already.
      await wait(AGAIN_MS / 2);
      attacked.push(median(await readsFor(ROUND_MS)));
      for (const one of hostile) one.stop();
      const begunMs = performance.now();
      await submitAsync(client, readRequest(0, READ_BYTES));
      afterwardsMs.push(performance.now() - begunMs);
    }
    await client.close();
    const { refusals } = await stack.daemon.admin.getDaemon();
    const counts = refusals.map(({ event, count }) => `${event} ${count}`).join(', ');
    const grownBytes = programs.map(({ peakResidentBytes }, index) => {
      return peakResidentBytes - (calmBytes[index] ?? 0);
    });
    const [calmMs, attackedMs] = [median(calm), median(attacked)];
    console.log(
      `median of a read: ${calmMs.toFixed(2)} ms calm, ${attackedMs.toFixed(2)} ms attacked; ` +
        `${Math.max(...afterwardsMs).toFixed(0)} ms for the first one after; grown: daemon ${mib(grownBytes[0])}, nodes ${mib(grownBytes[1])} and ${mib(grownBytes[2])} MiB; ` +
        `the daemon turned away: ${counts}`,
    );
    const ofNode = (await stack.storage.getNode()).refusals.map(({ event }) => event);
    assert.deepEqual(ofNode, ['session_broken']);
    const failed = refusals.find(({ event }) => event === 'client_failed')?.count ?? 0;
    // Each was thrown out at least once, in each round, and a half of them came to the daemon.
    assert(failed >= (ROUNDS * HOSTILE_PEERS) / 4, counts);
    assert(attackedMs < SLOWER_MAX * calmMs, `${attackedMs} ms instead of ${calmMs} ms`);
    const allowed = [REPLY_BYTES_MAX + GROWTH_BYTES_MAX, GROWTH_BYTES_MAX, GROWTH_BYTES_MAX];
    for (const [index, bytes] of grownBytes.entries())
      assert(bytes < (allowed[index] ?? 0), `program ${index} has grown by ${mib(bytes)} MiB`);
  });

  it('leave nothing behind, and the doors open', async () => {
    await waitFor(async () => {
      const { clientCount } = await stack.daemon.admin.getAttachment('v1');
      return clientCount === 0;
    }, 'all clients are gone');
    const client = await stack.daemon.connect('v1');
    await submitAsync(client, readRequest(0, READ_BYTES));
    await client.close();
    assert.equal((await stack.storage.getNode()).sessionCount, 1);
  });
});

function mib(bytes = 0): string {
  return (bytes / MIB).toFixed(0);
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((left, right) => left - right);
  return sorted[Math.floor(sorted.length / 2)] ?? NaN;
}

/** Free now; nothing else takes ports at random here in the moment until it is used. */
async function freePort(): Promise<number> {
  const server = net.createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as net.AddressInfo;
  await new Promise<void>((resolve) => {
    server.close(() => {
      resolve();
    });
  });
  return port;
}
