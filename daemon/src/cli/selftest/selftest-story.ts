/**
 * The self test, its steps in order: a volume of its own, attached through the daemon as any other; a load
 * that knows what it may read, with connections cut under it; a restart of the node, if the operator makes
 * one; everything read back; the lease taken away from the daemon, whose writes must then change nothing;
 * everything read back around the daemon. What it leaves behind after a failure is named by the caller.
 */
import { randomUUID } from 'node:crypto';
import { submitAsync } from '../../block/block-device.js';
import { readRequest, writeRequest } from '../../block/block-request.js';
import type { VolumeMessage } from '../../rpc/storage-messages.js';
import { StorageError } from '../../rpc/storage-error.js';
import type { Clock } from '../../runtime/clock.js';
import type { StorageClient } from '../../transport/storage-client.js';
import type { AdminClient } from '../admin-client.js';
import { underLease } from '../transfer/held-lease.js';
import type { TransferProgress } from '../transfer/transfer-progress.js';
import { VolumeSession } from '../transfer/volume-session.js';
import { CheckedLoad } from './checked-load.js';
import type { CuttableDevice } from './load-lane.js';
import type { LoadCounters } from './load-record.js';
import type { NbdTarget } from './nbd-target.js';
import { SeededChance } from './seeded-chance.js';
import { STAMP_BYTES } from './stamp.js';

/** Connections cut under the load, spread over its time. */
const CUTS = 8;
/** Requests under way on each connection. */
const DEPTH = 16;
/** How often the node is asked whether it has been restarted. */
const RESTART_POLL_MS = 250;
/** Answers after a restart that show that I/O goes on. */
const ANSWERS_AFTER_RESTART = 100;
/** A node that was restarted and is not used again by then was not found. */
const RECOVERY_MS = 60_000;

export interface SelftestPeers {
  readonly node: StorageClient;
  readonly daemon: AdminClient;
  readonly connect: (target: NbdTarget) => Promise<CuttableDevice>;
  readonly clock: Clock;
  readonly progress: TransferProgress;
  /** A sentence for the operator, now. */
  readonly tell: (sentence: string) => void;
  readonly signal: AbortSignal;
}

export interface SelftestWishes {
  readonly volume: VolumeMessage;
  readonly target: NbdTarget;
  /** The volume is not new: what it holds is destroyed first. */
  readonly clearFirst: boolean;
  readonly durationMs: number;
  readonly connections: number;
  readonly seed: number;
  /** For people: which program holds the lease at the end. */
  readonly description: string;
  /** How long to wait for the operator to restart the node; undefined: no restart. */
  readonly restartWaitMs: number | undefined;
}

export interface SelftestOutcome {
  readonly counters: LoadCounters;
  readonly cuts: number;
  /** While requests waited and none was answered. */
  readonly longestPauseMs: number;
  /** Undefined: none was wished for. */
  readonly restart: { readonly pauseMs: number; readonly requestsReplayed: number } | undefined;
  /** The daemon's write was refused after its lease had been taken. */
  readonly lateWriteRefused: boolean;
  /** Broken promises, the first of `problemCount`. */
  readonly problems: readonly string[];
  readonly problemCount: number;
}

/** @throws StorageError, BlockError, CommandError when it could not be carried out */
export async function runSelftest(
  peers: SelftestPeers,
  wishes: SelftestWishes,
): Promise<SelftestOutcome> {
  const { clock, progress, signal } = peers;
  const { volume, target, seed, connections } = wishes;
  const load = new CheckedLoad({
    ...{ connect: () => peers.connect(target), connections, depth: DEPTH, clock, seed },
    ...{ sizeBytes: volume.sizeBytes, owner: `${volume.volumeId} ${randomUUID()}` },
    requestsPerSecondMax: Infinity,
  });
  const { record } = load;
  const show = (label: string): ((bytes: number) => void) => {
    signal.throwIfAborted();
    progress.begin(label, volume.sizeBytes);
    return (bytes) => {
      signal.throwIfAborted();
      progress.reached(bytes);
    };
  };
  if (wishes.clearFirst) await load.clear(show('clear'));
  let restart: SelftestOutcome['restart'];
  let longestPauseMs: number;
  try {
    await load.start();
    await loadWithCuts(load, peers, wishes);
    longestPauseMs = record.pauses.longestMs;
    if (wishes.restartWaitMs !== undefined) {
      restart = await throughRestart(load, peers, wishes, wishes.restartWaitMs);
    }
    await load.stop();
  } finally {
    await load.abandon();
  }
  await load.verify(show('verify'));
  const lateWriteRefused = await takeOver(load, peers, wishes, show('verify'));
  progress.end();
  return {
    ...{ counters: record.counters, cuts: CUTS, longestPauseMs, restart, lateWriteRefused },
    ...{ problems: record.problems, problemCount: record.problemCount },
  };
}

async function loadWithCuts(
  load: CheckedLoad,
  { clock, progress, signal }: SelftestPeers,
  { durationMs, connections, seed }: SelftestWishes,
): Promise<void> {
  const chance = new SeededChance(seed);
  progress.begin('load', undefined);
  for (let step = 0; step <= CUTS; step += 1) {
    await wait(clock, durationMs / (CUTS + 1), signal);
    const { readBytes, writtenBytes } = load.record.counters;
    progress.reached(readBytes + writtenBytes);
    if (step < CUTS) load.cut(chance.below(connections));
  }
}

/** @throws StorageError when the node is not restarted in time, or not found afterwards */
async function throughRestart(
  load: CheckedLoad,
  { node, daemon, clock, tell, signal }: SelftestPeers,
  { target, volume }: SelftestWishes,
  restartWaitMs: number,
): Promise<{ pauseMs: number; requestsReplayed: number }> {
  const before = await node.getNode();
  const replayedBefore = await replayed(daemon, target.exportName);
  const seconds = Math.round(restartWaitMs / 1000);
  tell(
    `restart the node ${node.address} now, within ${seconds} s (systemctl restart blkferry-node)`,
  );
  load.record.pauses.restart();
  const verifier = (): Promise<bigint> =>
    node.getNode().then(
      ({ writeVerifier }) => writeVerifier,
      () => before.writeVerifier,
    );
  await until(clock, signal, restartWaitMs, 'the node was not restarted', async () => {
    return (await verifier()) !== before.writeVerifier;
  });
  const answered = load.record.requestCount;
  const what = `volume ${volume.name} was not answered again after the node's restart`;
  await until(clock, signal, RECOVERY_MS, what, () =>
    Promise.resolve(load.record.requestCount >= answered + ANSWERS_AFTER_RESTART),
  );
  const requestsReplayed = (await replayed(daemon, target.exportName)) - replayedBefore;
  return { pauseMs: load.record.pauses.longestMs, requestsReplayed };
}

async function replayed(daemon: AdminClient, exportName: string): Promise<number> {
  return (await daemon.getAttachment(exportName)).counters?.requestsReplayed ?? 0;
}

/**
 * Takes the lease away from the daemon, lets a client of the daemon write nevertheless, and reads everything
 * around the daemon.
 * @returns whether that write was refused
 */
async function takeOver(
  load: CheckedLoad,
  peers: SelftestPeers,
  { volume, target, description }: SelftestWishes,
  onProgress: (bytes: number) => void,
): Promise<boolean> {
  const { node, tell, signal } = peers;
  const attachmentId = `selftest-${randomUUID()}`;
  const device = await peers.connect(target);
  const wish = { volume, attachmentId, description, takeOver: true, warn: tell };
  try {
    return await underLease(node, wish, async ({ generation }) => {
      // Not in the model: if it is found anywhere, it is a block that nobody may have written.
      const late = load.record.stamps.blocks(0, 1, Number.MAX_SAFE_INTEGER);
      const isRefused = await submitAsync(device, writeRequest(0, late)).then(
        () => false,
        () => true,
      );
      if (!isRefused) load.record.note('a write was accepted after the lease had been taken over');
      const { volumeId } = volume;
      const session = await VolumeSession.open(
        node,
        { volumeId, attachmentId, generation },
        signal,
      );
      try {
        await load.verifyThrough(async (offsetBytes, lengthBytes) => {
          return await readAround(session, offsetBytes, lengthBytes);
        }, onProgress);
      } finally {
        session.close();
      }
      return isRefused;
    });
  } finally {
    device.cut();
  }
}

async function readAround(
  session: VolumeSession,
  offsetBytes: number,
  lengthBytes: number,
): Promise<Buffer> {
  const stepBytes = Math.max(STAMP_BYTES, session.requestBytes);
  const parts: Buffer[] = [];
  for (let doneBytes = 0; doneBytes < lengthBytes; doneBytes += stepBytes) {
    const partBytes = Math.min(stepBytes, lengthBytes - doneBytes);
    parts.push(...(await session.submit(readRequest(offsetBytes + doneBytes, partBytes))).payload);
  }
  return Buffer.concat(parts);
}

async function until(
  clock: Clock,
  signal: AbortSignal,
  timeoutMs: number,
  otherwise: string,
  isSo: () => Promise<boolean>,
): Promise<void> {
  const untilMs = clock.nowMs() + timeoutMs;
  while (!(await isSo())) {
    if (clock.nowMs() > untilMs) {
      throw new StorageError(
        'unavailable',
        `${otherwise} within ${Math.round(timeoutMs / 1000)} s`,
      );
    }
    await wait(clock, RESTART_POLL_MS, signal);
  }
}

/** @throws the signal's reason as soon as it is aborted */
function wait(clock: Clock, delayMs: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = (): void => {
      cancel();
      reject(signal.reason instanceof Error ? signal.reason : new Error(String(signal.reason)));
    };
    const cancel = clock.setTimer(delayMs, () => {
      signal.removeEventListener('abort', stop);
      resolve();
    });
    if (signal.aborted) stop();
    else signal.addEventListener('abort', stop, { once: true });
  });
}
