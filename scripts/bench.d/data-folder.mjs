/** The folder that holds the data of all targets: what it is on, and how much fits. */
import { execFileSync } from 'node:child_process';
import { readFileSync, statfsSync } from 'node:fs';
import { BenchFailure } from './bench-failure.mjs';

const MIB = 2 ** 20;

/** Below it a measurement is over before it has begun. */
const SIZE_BYTES_MIN = 64 * MIB;

/** Left for everything else on the machine. */
const PART_USED_MAX = 0.7;

/** Beside the volume of each target: the source, and the copy that is compared with it. */
const FURTHER_COPIES = 2;

/**
 * @param size wanted bytes per target, and whether they were asked for
 * @returns the bytes per target: what was wanted, or half of it as often as it takes to fit
 * @throws BenchFailure if it does not fit
 */
export function chooseSizeBytes(folder, size, targetCount) {
  const { bavail, bsize } = statfsSync(folder);
  const isMemory = fileSystemOf(folder) === 'tmpfs';
  const availableBytes = Math.min(bavail * bsize, isMemory ? availableMemoryBytes() : Infinity);
  const fits = (bytes) => bytes * (targetCount + FURTHER_COPIES) <= availableBytes * PART_USED_MAX;
  let bytes = size.wanted;
  while (!size.isFixed && !fits(bytes) && bytes > SIZE_BYTES_MIN) bytes /= 2;
  if (fits(bytes)) return bytes;
  const mebibytes = Math.round(availableBytes / MIB);
  throw new BenchFailure(
    `${targetCount} targets of ${bytes / MIB} MiB and ${FURTHER_COPIES} copies do not fit into ${folder}, ` +
      `which has ${mebibytes} MiB; use --size, --rivals or --dir`,
  );
}

export function describeFolder(folder) {
  return `${folder} (${fileSystemOf(folder)})`;
}

function fileSystemOf(folder) {
  const output = execFileSync('stat', ['-f', '-c', '%T', folder], { encoding: 'utf8' });
  return output.trim();
}

function availableMemoryBytes() {
  const text = readFileSync('/proc/meminfo', 'utf8');
  return Number(/^MemAvailable:\s*(\d+) kB/m.exec(text)?.[1] ?? 0) * 1024;
}
