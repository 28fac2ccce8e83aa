/**
 * Ranges of a file that become zeroes, with or without giving their space back, in the cheapest way that the file system
 * has: at once, or on another thread.
 */
import fs from 'node:fs';
import { promisify } from 'node:util';
import {
  FALLOC_FL_KEEP_SIZE,
  FALLOC_FL_PUNCH_HOLE,
  FALLOC_FL_ZERO_RANGE,
  fallocate,
  fallocateAway,
} from 'blkferry-kernel';

/** Modes of fallocate, one after the other. */
type Way = readonly number[];

const PUNCH: Way = [FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE];
const ZERO: Way = [FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE];
/** tmpfs has no ZERO_RANGE: a hole that is allocated again is the same. */
const PUNCH_AND_ALLOCATE: Way = [...PUNCH, FALLOC_FL_KEEP_SIZE];

/** Gives the range back. */
export const HOLE_WAYS: readonly Way[] = [PUNCH];
/** Makes the range zeroes; holes if that is cheaper. */
export const ZERO_WAYS: readonly Way[] = [PUNCH, ZERO];
/** Makes the range zeroes that are allocated. */
export const ALLOCATED_ZERO_WAYS: readonly Way[] = [ZERO, PUNCH_AND_ALLOCATE];

/** Written at once where nothing else works. */
const ZEROES = Buffer.alloc(1024 * 1024);

const writeAway = promisify(fs.write);

/**
 * Takes the first way that the file system has.
 * @returns false if it has none of them; the content is then unchanged
 */
export function zeroQuickly(
  fd: number,
  ways: readonly Way[],
  offsetBytes: number,
  lengthBytes: number,
): boolean {
  for (const way of ways) {
    try {
      for (const mode of way) fallocate(fd, mode, offsetBytes, lengthBytes);
      return true;
    } catch (error) {
      if (!isUnsupported(error)) throw error;
    }
  }
  return false;
}

/** The same on another thread. */
export async function zeroQuicklyAway(
  fd: number,
  ways: readonly Way[],
  offsetBytes: number,
  lengthBytes: number,
): Promise<boolean> {
  for (const way of ways) {
    try {
      for (const mode of way) await fallocateAway(fd, mode, offsetBytes, lengthBytes);
      return true;
    } catch (error) {
      if (!isUnsupported(error)) throw error;
    }
  }
  return false;
}

export function writeZeroes(fd: number, offsetBytes: number, lengthBytes: number): void {
  for (let doneBytes = 0; doneBytes < lengthBytes;) {
    const pieceBytes = Math.min(ZEROES.length, lengthBytes - doneBytes);
    doneBytes += fs.writeSync(fd, ZEROES, 0, pieceBytes, offsetBytes + doneBytes);
  }
}

/** The same on libuv's threads. */
export async function writeZeroesAway(
  fd: number,
  offsetBytes: number,
  lengthBytes: number,
): Promise<void> {
  for (let doneBytes = 0; doneBytes < lengthBytes;) {
    const pieceBytes = Math.min(ZEROES.length, lengthBytes - doneBytes);
    const { bytesWritten } = await writeAway(fd, ZEROES, 0, pieceBytes, offsetBytes + doneBytes);
    doneBytes += bytesWritten;
  }
}

/** Whether the file system can make holes. Tried beyond the end, where a hole changes nothing. */
export function canPunchHoles(fd: number, endBytes: number): boolean {
  try {
    return zeroQuickly(fd, HOLE_WAYS, endBytes, 1);
  } catch (error) {
    // The file is as large as one can be there, so there is no beyond: the first trim will tell. ENOSPC: a file that
    // is a device in disguise (FUSE) and has one size for ever.
    const { code } = error as { code?: string };
    if (code === 'EFBIG' || code === 'ENOSPC') return true;
    throw error;
  }
}

function isUnsupported(error: unknown): boolean {
  const { code } = error as { code?: string };
  return code === 'EOPNOTSUPP' || code === 'ENOTSUP' || code === 'ENOSYS';
}
