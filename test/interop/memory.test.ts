/**
 * What the daemon holds in memory is bounded by its settings and not by its clients: many volumes that
 * nobody uses, clients that send without end, clients that ask without end and read no answer, and a
 * node that does not answer.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { afterEach, beforeEach, describe, it, type TestContext } from 'node:test';
import { BlkferryStack, type StackSettings } from '#test/support/blkferry-stack.js';
import { READ, request, write } from '#test/support/nbd-bytes.js';
import type { NbdExport } from '#test/support/nbd-server-interface.js';
import { RawConnection } from './raw-connection.js';

const MIB = 1024 * 1024;

const IN_FLIGHT_MIB = 16;

/** Small limits, so that a client passes them soon. */
const SMALL_LIMITS: StackSettings = {
  daemon: {
    BLKFERRY_IN_FLIGHT_BYTES_MAX: `${IN_FLIGHT_MIB}MiB`,
    BLKFERRY_REPLAY_BYTES_MAX: `${IN_FLIGHT_MIB}MiB`,
  },
};

/**
 * More than the limits: what received chunks, HTTP/2 buffers and a heap that is not collected yet add.
 * The traffic of these tests is ten times and more above it.
 */
const OVERHEAD_BYTES = 128 * MIB;

const SIZE_BYTES = 64 * MIB;

/** A connection that moves nothing for so long has come to a stand. */
const STAND_STILL_MS = 1500;

describe('the memory of blkferryd', () => {
  let folder: string;
  let stack: BlkferryStack;

  beforeEach(() => {
    folder = mkdtempSync(path.join(os.tmpdir(), 'blkferry-test-'));
  });

  afterEach(async () => {
    try {
      await stack.stop();
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });

  const start = async (settings: StackSettings = SMALL_LIMITS): Promise<void> => {
    stack = await BlkferryStack.start(folder, settings);
  };

  const connected = (disk: NbdExport): Promise<RawConnection> =>
    RawConnection.inTransmission(disk.socketPath, disk.name);

  /** Waits until the number of bytes stands still. */
  async function untilStill(bytesSoFar: () => number): Promise<number> {
    let seen = -1;
    for (let stillMs = 0; stillMs < STAND_STILL_MS; stillMs += 50) {
      const now = bytesSoFar();
      if (now !== seen) stillMs = 0;
      seen = now;
      await wait(50);
    }
    return seen;
  }

  function assertBounded(t: TestContext, baseBytes: number): void {
    const grown = stack.daemon.peakResidentBytes - baseBytes;
    t.diagnostic(`blkferryd grew by ${Math.round(grown / MIB)} MiB`);
    assert(grown < OVERHEAD_BYTES, `grown by ${Math.round(grown / MIB)} MiB`);
  }

  it('is below 150 MiB with 100 volumes that are attached and idle', async (t) => {
    await start({});
    for (let count = 0; count < 100; count += 1) await stack.newExport({ sizeBytes: MIB });
    const resident = stack.daemon.residentBytes;
    t.diagnostic(`blkferryd has ${Math.round(resident / MIB)} MiB`);
    assert(resident < 150 * MIB, `${Math.round(resident / MIB)} MiB`);
  });

  it('does not grow with a client that sends 10,000 writes of 1 MiB while the node does not answer', async (t) => {
    await start();
    const disk = await stack.newExport({ sizeBytes: SIZE_BYTES });
    const peer = await connected(disk);
    const baseBytes = stack.daemon.peakResidentBytes;
    stack.node.signal('SIGSTOP');
    const flood = sendWrites(peer, 10_000);
    const acceptedBytes = await untilStill(() => peer.socket.bytesWritten - unsent(peer));
    assert(acceptedBytes < 4 * IN_FLIGHT_MIB * MIB, `${acceptedBytes} bytes were taken in`);
    assertBounded(t, baseBytes);
    flood.stop();
    stack.node.signal('SIGCONT');
    await peer.receive(16 * (await flood.sent));
    assertBounded(t, baseBytes);
    peer.close();
  });

  it('does not grow with a client that sends 1,000 writes of 1 MiB at full speed', async (t) => {
    await start();
    const disk = await stack.newExport({ sizeBytes: SIZE_BYTES });
    const peer = await connected(disk);
    const baseBytes = stack.daemon.peakResidentBytes;
    const flood = sendWrites(peer, 1000);
    await peer.receive(16 * (await flood.sent));
    assertBounded(t, baseBytes);
    peer.close();
  });

  it('does not grow with a client that asks for 10,000 reads of 1 MiB and reads no answer', async (t) => {
    await start();
    const disk = await stack.newExport({ sizeBytes: SIZE_BYTES });
    const peer = await connected(disk);
    const baseBytes = stack.daemon.peakResidentBytes;
    peer.socket.pause();
    for (let count = 0; count < 10_000; count += 1) {
      peer.send(request({ ...READ, length: MIB, cookie: BigInt(count) }));
    }
    await untilStill(() => peer.socket.bytesWritten - unsent(peer));
    await untilStill(() => stack.daemon.residentBytes);
    assertBounded(t, baseBytes);
    const other = await connected(disk);
    other.send(request(READ));
    await other.receive(16 + 512);
    other.close();
    peer.close();
  });
});

/** Bytes that wait in this process because the daemon does not take them. */
function unsent(peer: RawConnection): number {
  return peer.socket.writableLength;
}

/** Writes of 1 MiB one after the other, as fast as the daemon takes them. */
function sendWrites(peer: RawConnection, count: number): { stop(): void; sent: Promise<number> } {
  const stopping = new AbortController();
  const payload = Buffer.alloc(MIB, 0x3c);
  const sent = (async () => {
    let done = 0;
    while (done < count && !stopping.signal.aborted) {
      const offset = BigInt((done * MIB) % SIZE_BYTES);
      done += 1;
      if (!peer.send(request(write(payload, BigInt(done), offset)))) {
        await new Promise<void>((resolve) => {
          peer.socket.once('drain', resolve);
        });
      }
    }
    return done;
  })();
  return {
    stop: () => {
      stopping.abort();
    },
    sent,
  };
}
