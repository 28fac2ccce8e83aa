/**
 * Goal: whoever opens a thousand connections and means no good disturbs nobody who does. Method: connections that are
 * silent, slow, send nonsense, begin and never go on, or never read, held at the NBD socket, the NBD port and the node's
 * door together, each opened anew when it is closed; meanwhile a client reads 4 KiB after 4 KiB, one at a time. Its
 * median is compared with that of the calm just before, in the same run.
 */
import assert from 'node:assert/strict';
import net from 'node:net';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { submitAsync } from '#daemon/block/block-device.js';
import { readRequest, writeRequest } from '#daemon/block/block-request.js';
import { temporaryFolder } from '#test/support/temporary-folder.js';
import { FaultStack } from './fault-stack.js';
import { waitFor } from './fault-table.js';

const MIB = 1024 * 1024;
const VOLUME_BYTES = 16 * MIB;
const HOSTILE_CONNECTIONS = 1000;
const READ_BYTES = 4096;
const ROUND_MS = 1500;
const ROUNDS = 3;
/** An attacker that was thrown out comes back after this. */
const AGAIN_MS = 1000;
/** The promise. */
const SLOWER_MAX = 3;
/** What the 128 handshakes and 256 clients that the settings allow may cost, at 150 KiB each, twice. */
const GROWTH_BYTES_MAX = 128 * MIB;

const HTTP2_PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
/** Fixed newstyle, no zeroes; then the head of an option whose length never comes to an end. */
const NBD_BEGUN = Buffer.from('0000000349484156454f505400000006ffffff00', 'hex');

/** What each kind sends at once, and then now and again; undefined: nothing. */
const KINDS: readonly {
  readonly first?: Buffer;
  readonly then?: Buffer;
  readonly reads: boolean;
}[] = [
  { reads: true },
  { first: Buffer.alloc(1), then: Buffer.alloc(1), reads: true },
  { first: Buffer.alloc(64 * 1024, 0x5a), reads: true },
  { first: NBD_BEGUN, then: Buffer.alloc(1), reads: true },
  { first: HTTP2_PREFACE, then: Buffer.alloc(9), reads: false },
];

/** Keeps one connection open, again and again, until it is stopped. */
class Attacker {
  #socket: net.Socket | undefined;
  #isStopped = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(
    readonly door: net.NetConnectOpts,
    readonly kind: (typeof KINDS)[number],
  ) {
    this.#attack();
  }

  stop(): void {
    this.#isStopped = true;
    clearInterval(this.#timer);
    this.#socket?.destroy();
  }

  #attack(): void {
    if (this.#isStopped) return;
    const { first, then, reads } = this.kind;
    const socket = net.connect(this.door);
    this.#socket = socket;
    // Refused, cut, reset: that is what is wanted.
    socket.on('error', () => undefined);
    socket.on('close', () => {
      clearInterval(this.#timer);
      this.#timer = setTimeout(() => {
        this.#attack();
      }, AGAIN_MS);
    });
    if (reads) socket.resume();
    if (first !== undefined) socket.write(first);
    if (then !== undefined) {
      this.#timer = setInterval(() => {
        socket.write(then);
      }, AGAIN_MS);
    }
  }
}

describe('a thousand hostile connections', () => {
  const folder = temporaryFolder();
  let stack: FaultStack;
  let port = 0;

  before(async () => {
    port = await freePort();
    const daemon = { BLKFERRY_NBD_TCP: `127.0.0.1:${port}`, BLKFERRY_NBD_HANDSHAKE_TIMEOUT: '5s' };
    stack = await FaultStack.start(folder, VOLUME_BYTES, { daemon });
  });
  after(() => stack.stop());

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
        assert.equal(payload[0], 7);
      }
      return timesMs;
    };
    await readsFor(ROUND_MS / 2);
    const programs = [stack.daemon.program, stack.node];
    const calmBytes = programs.map(({ residentBytes }) => residentBytes);
    const doors: readonly net.NetConnectOpts[] = [
      { path: stack.daemon.nbdSocket },
      { host: '127.0.0.1', port },
      { path: path.join(folder, 'node.sock') },
    ];
    const calm: number[] = [];
    const attacked: number[] = [];
    for (let round = 0; round < ROUNDS; round += 1) {
      calm.push(median(await readsFor(ROUND_MS)));
      const attackers = Array.from({ length: HOSTILE_CONNECTIONS }, (_, index) => {
        const door = doors[index % doors.length];
        const kind = KINDS[index % KINDS.length];
        assert(door !== undefined && kind !== undefined);
        return new Attacker(door, kind);
      });
      // All have begun, and some were thrown out already.
      await wait(AGAIN_MS / 2);
      attacked.push(median(await readsFor(ROUND_MS)));
      for (const attacker of attackers) attacker.stop();
    }
    await client.close();
    const grownBytes = programs.map(({ peakResidentBytes }, index) => {
      return peakResidentBytes - (calmBytes[index] ?? 0);
    });
    const [calmMs, attackedMs] = [median(calm), median(attacked)];
    console.log(
      `median of a read: ${calmMs.toFixed(2)} ms calm, ${attackedMs.toFixed(2)} ms attacked; ` +
        `grown: ${grownBytes.map((bytes) => (bytes / MIB).toFixed(0)).join(' and ')} MiB`,
    );
    assert(attackedMs < SLOWER_MAX * calmMs, `${attackedMs} ms instead of ${calmMs} ms`);
    for (const bytes of grownBytes) assert(bytes < GROWTH_BYTES_MAX, `grown by ${bytes} bytes`);
  });

  it('leave nothing behind, and the doors open', async () => {
    await waitFor(async () => {
      const { clientCount } = await stack.daemon.admin.getAttachment('v1');
      return clientCount === 0;
    }, 'all clients are gone');
    const client = await stack.daemon.connect('v1');
    await submitAsync(client, readRequest(0, READ_BYTES));
    await client.close();
  });
});

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
