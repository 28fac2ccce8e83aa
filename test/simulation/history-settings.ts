/**
 * What one history is like, apart from its requests and faults: sizes, limits and times, drawn from the seed.
 * Limits are small, so that they are reached; times are those of the product divided by about ten, in the
 * same order.
 */
import type { SessionTimes } from '#daemon/transport/grpc-storage-session.js';
import type { Latency } from './network.js';
import type { SeededRandom } from './seeded-random.js';

export interface HistorySettings {
  readonly blockCount: number;
  readonly blockBytes: number;
  /** Frames go through the real codec. */
  readonly codec: boolean;
  readonly checksum: 'none' | 'crc32c';
  /** Of a frame; only with checksums. */
  readonly damageChance: number;
  readonly queueDepth: number;
  readonly inFlightBytesMax: number;
  readonly nodeRequestsMax: number;
  readonly nodeBytesMax: number;
  readonly replayBytesMax: number;
  readonly replayEntriesMax: number;
  readonly writeCache: boolean;
  /** 0: nothing is read ahead. */
  readonly readAheadBytes: number;
  readonly ioHoldTimeoutMs: number;
  readonly callTimeoutMs: number;
  readonly leaseTimeoutMs: number;
  readonly sessionTimes: SessionTimes;
  readonly latency: Latency;
  /** Of a session that begins on a new connection although the old one is open. */
  readonly newConnectionChance: number;
  /** Longest time of one request on the node's disk; 0: at once. */
  readonly diskMs: number;
  readonly clientCount: number;
  readonly clientDepth: number;
  /** What a daemon that died left unanswered is asked again, as the kernel does; otherwise its client is gone. */
  readonly clientsAskAgain: boolean;
}

const LATENCIES: readonly Latency[] = [
  { minMs: 0.05, maxMs: 0.4 },
  { minMs: 0.2, maxMs: 5 },
  { minMs: 1, maxMs: 40 },
];

export function drawSettings(random: SeededRandom): HistorySettings {
  // Large blocks fill the files of the replay log, so that it goes on to the next one.
  const isLarge = random.chance(0.02);
  const blockBytes = isLarge ? 65536 : 512;
  const codec = random.chance(0.3);
  const checksum = codec && random.chance(0.5) ? 'crc32c' : 'none';
  const hasDamage = checksum === 'crc32c' && random.chance(0.2);
  const queueDepth = random.pick([2, 8, 16, 64]);
  return {
    blockCount: random.between(24, 48),
    blockBytes,
    codec,
    checksum,
    damageChance: hasDamage ? 0.005 : 0,
    queueDepth,
    inFlightBytesMax: blockBytes * random.pick([8, 64, 1000]),
    nodeRequestsMax: random.pick([1, 3, 16, 1000]),
    nodeBytesMax: blockBytes * random.pick([6, 40, 1000]),
    replayBytesMax: blockBytes * (isLarge ? 400 : random.pick([16, 60, 1000])),
    replayEntriesMax: random.pick([12, 1000]),
    ioHoldTimeoutMs: random.pick([3_000, 8_000, Infinity]),
    callTimeoutMs: 1_500,
    leaseTimeoutMs: 4_000,
    sessionTimes: { openTimeoutMs: 1_500, probeIntervalMs: 400, probeTimeoutMs: 1_200 },
    latency: random.pick(LATENCIES),
    newConnectionChance: random.pick([0, 0.5]),
    diskMs: random.chance(0.3) ? 3 : 0,
    clientCount: random.between(1, 4),
    clientDepth: random.between(1, 8),
    clientsAskAgain: random.chance(0.6),
    // Drawn last: the histories of the seeds stay what they were.
    writeCache: random.chance(0.4),
    readAheadBytes: random.chance(0.5) ? blockBytes * random.pick([8, 16]) : 0,
  };
}
