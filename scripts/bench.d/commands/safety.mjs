/**
 * `scripts/bench safety`: what keeping data safe costs, each part by itself in this process: the replay log of the
 * daemon, which every write passes, and checksums at rest, which the node does not keep (ARCHITECTURE.md, Decisions).
 * Processor time, not time of day: another load on the machine disturbs it less, though caches are shared.
 */
import {
  closeSync,
  fdatasyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import path from 'node:path';
import { crc32c } from '@node-rs/crc32';
import { positive, readCommandOptions, withFolder } from '../command.mjs';
import { describeMachine } from '../machine.mjs';
import { median } from '../statistics.mjs';
import { writeRequest } from '../../../daemon/dist/block/block-request.js';
import { ReplayFile } from '../../../daemon/dist/volume/replay-file.js';
import { ReplayLog } from '../../../daemon/dist/volume/replay-log.js';

const USAGE = `usage: scripts/bench safety [--rounds N] [--dir FOLDER] [--sync-dir FOLDER] [--json FILE]

  --rounds N         medians of so many (default 7)
  --dir FOLDER       where the replay log goes; it belongs on tmpfs (default /dev/shm)
  --sync-dir FOLDER  on the disk whose fdatasync is measured (default: not measured)
`;

const MIB = 2 ** 20;
/** The daemon's defaults: a flush at half of either. */
const LIMITS = { bytesMax: 64 * MIB, entriesMax: 16_384 };
const LOG_CASES = [
  { bytes: 4096, batch: 1, writes: 20_000 },
  { bytes: 4096, batch: 16, writes: 40_000 },
  { bytes: 4096, batch: 64, writes: 40_000 },
  { bytes: MIB, batch: 4, writes: 400 },
];
const CHECKSUM_BYTES = 4;
const CHECKSUMS_MEASURED = 20_000;
const SYNCS_MEASURED = 50;

export async function measureSafety(words) {
  const options = readCommandOptions(words, USAGE, {
    rounds: { type: 'string' },
    'sync-dir': { type: 'string' },
  });
  const rounds = positive('--rounds', options.rounds, 7);
  await withFolder(options, (folder) => {
    const results = {
      machine: describeMachine(),
      log: LOG_CASES.map((one, index) => ({
        ...one,
        microsecondsPerWrite: medianOf(rounds, (round) =>
          logCost(path.join(folder, `log-${index}-${round}`), one),
        ),
      })),
      memory: logMemory(path.join(folder, 'memory')),
      checksum: {
        crc32cMicroseconds: medianOf(rounds, () => checksumCost()),
        storeMicroseconds: medianOf(rounds, () => storeCost(path.join(folder, 'checksums'))),
      },
      flushMilliseconds: options['sync-dir'] && flushCost(path.resolve(options['sync-dir'])),
    };
    options.report(format(results), results);
    return Promise.resolve();
  });
}

function medianOf(rounds, measure) {
  return median(Array.from({ length: rounds }, (_, round) => measure(round)));
}

/** Processor time of this process, kernel included. */
function microsecondsOf(work, count) {
  const before = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / count;
}

function openLog(folder) {
  mkdirSync(path.dirname(folder), { recursive: true });
  const owner = { volumeId: 'v', attachmentId: 'a', bootId: 'bench' };
  return new ReplayLog(ReplayFile.open(folder, owner).store, LIMITS);
}

/** As the pipeline does it: a batch is what one turn brought, committed together; flushes at half of the limits. */
function logCost(folder, { bytes, batch, writes }) {
  const log = openLog(folder);
  const request = writeRequest(0, Buffer.alloc(bytes, 0xa5));
  const run = (from, count) => {
    for (let sequence = from; sequence < from + count; sequence += 1) {
      log.append(sequence, request);
      if (sequence % batch === 0) log.commit();
      if (log.wantsFlush()) {
        log.commit();
        log.dropBelow(sequence + 1);
      }
    }
  };
  // Warm, and with files that are written over, as in a daemon that runs.
  run(1, writes);
  const cost = microsecondsOf(() => run(writes + 1, writes), writes);
  log.store.close({ remove: true });
  return cost;
}

/** A log that is full by count and nearly so by bytes: what its index takes, and its files. */
function logMemory(folder) {
  const log = openLog(folder);
  const request = writeRequest(0, Buffer.alloc(4096, 0xa5));
  globalThis.gc?.();
  const before = process.memoryUsage().heapUsed;
  for (let sequence = 1; sequence < LIMITS.entriesMax; sequence += 1) {
    log.append(sequence, request);
    log.commit();
  }
  globalThis.gc?.();
  const indexBytes = process.memoryUsage().heapUsed - before;
  const fileBytes = readdirSync(folder)
    .map((name) => statSync(path.join(folder, name)).blocks * 512)
    .reduce((sum, one) => sum + one, 0);
  const entries = log.count;
  const payloadBytes = log.bytes;
  log.store.close({ remove: true });
  return { entries, indexBytesPerEntry: indexBytes / entries, fileBytes, payloadBytes };
}

function checksumCost() {
  const block = Buffer.alloc(4096, 0xa5);
  return microsecondsOf(() => {
    for (let count = 0; count < CHECKSUMS_MEASURED; count += 1) crc32c(block, count);
  }, CHECKSUMS_MEASURED);
}

/** A checksum beside the data, per block of 4 KiB: one more write to a file in the page cache. */
function storeCost(file) {
  const fd = openSync(file, 'w');
  const checksum = Buffer.alloc(CHECKSUM_BYTES, 1);
  const cost = microsecondsOf(() => {
    for (let count = 0; count < CHECKSUMS_MEASURED; count += 1)
      writeSync(fd, checksum, 0, CHECKSUM_BYTES, (count % 4096) * CHECKSUM_BYTES);
  }, CHECKSUMS_MEASURED);
  closeSync(fd);
  return cost;
}

/** Time of day of a flush behind one written block: of the data alone, and of data and checksums. */
function flushCost(folder) {
  const files = ['data', 'sums'].map((name) => openSync(path.join(folder, `bench-${name}`), 'w'));
  const block = Buffer.alloc(4096, 0xa5);
  const times = [1, 2].map((count) => {
    const samples = Array.from({ length: SYNCS_MEASURED }, (_, index) => {
      const used = files.slice(0, count);
      for (const fd of used) writeSync(fd, block, 0, block.length, (index % 64) * block.length);
      const before = process.hrtime.bigint();
      for (const fd of used) fdatasyncSync(fd);
      return Number(process.hrtime.bigint() - before) / 1e6;
    });
    return median(samples);
  });
  for (const fd of files) closeSync(fd);
  for (const name of ['data', 'sums']) rmSync(path.join(folder, `bench-${name}`));
  return { data: times[0], dataAndChecksums: times[1] };
}

function format({ machine, log, memory, checksum, flushMilliseconds }) {
  const lines = [
    `${machine.cpu}, ${machine.cores} cores, load ${machine.loadAverageBefore.toFixed(1)} at the beginning`,
    '',
    'replay log, processor time per write (header, checksum, write to tmpfs, forgetting):',
    ...log.map(
      ({ bytes, batch, microsecondsPerWrite }) =>
        `  ${bytes / 1024} KiB, ${batch} in a turn: ${microsecondsPerWrite.toFixed(1)} µs`,
    ),
    `replay log, memory: ${Math.round(memory.indexBytesPerEntry)} bytes a write in the heap; with ${memory.entries} writes ` +
      `of 4 KiB ${(memory.fileBytes / MIB).toFixed(1)} MiB of tmpfs for ${(memory.payloadBytes / MIB).toFixed(1)} MiB of data`,
    '',
    `CRC-32C of 4 KiB: ${checksum.crc32cMicroseconds.toFixed(2)} µs; keeping it beside the data: ${checksum.storeMicroseconds.toFixed(2)} µs`,
  ];
  if (flushMilliseconds !== undefined)
    lines.push(
      `a flush: ${flushMilliseconds.data.toFixed(2)} ms; of data and checksums: ${flushMilliseconds.dataAndChecksums.toFixed(2)} ms`,
    );
  return `${lines.join('\n')}\n`;
}
