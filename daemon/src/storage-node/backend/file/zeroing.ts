/**
 * Ranges of a file that become zeroes, with or without giving their space back, in the cheapest way
 * that the file system has. All calls are synchronous, so that they keep their place among the writes.
 */
import fs from 'node:fs';
import {
  FALLOC_FL_KEEP_SIZE,
  FALLOC_FL_PUNCH_HOLE,
  FALLOC_FL_ZERO_RANGE,
  fallocate,
} from 'blkferry-kernel';

const PUNCH = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
const ZERO = FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE;

/** Written at once where nothing else works. */
const ZEROES = Buffer.alloc(1024 * 1024);

function isUnsupported(error: unknown): boolean {
  const { code } = error as { code?: string };
  return code === 'EOPNOTSUPP' || code === 'ENOTSUP' || code === 'ENOSYS';
}

/** Tries the calls in order until one is supported. @returns false if none is */
function firstSupported(...attempts: (() => void)[]): boolean {
  for (const attempt of attempts) {
    try {
      attempt();
      return true;
    } catch (error) {
      if (!isUnsupported(error)) throw error;
    }
  }
  return false;
}

/** Whether the file system can make holes. Tried beyond the end, where a hole changes nothing. */
export function canPunchHoles(fd: number, endBytes: number): boolean {
  try {
    return punchHole(fd, endBytes, 1);
  } catch (error) {
    // The file is as large as one can be there, so there is no beyond: the first trim will tell. ENOSPC: a file that
    // is a device in disguise (FUSE) and has one size for ever.
    const { code } = error as { code?: string };
    if (code === 'EFBIG' || code === 'ENOSPC') return true;
    throw error;
  }
}

/** Gives the range back. @returns false if the file system cannot; the content is then unchanged */
export function punchHole(fd: number, offsetBytes: number, lengthBytes: number): boolean {
  return firstSupported(() => {
    fallocate(fd, PUNCH, offsetBytes, lengthBytes);
  });
}

/** Makes the range zeroes; holes if `mayPunch`, else allocated. @returns false if it would have to be written */
export function zeroQuickly(
  fd: number,
  offsetBytes: number,
  lengthBytes: number,
  mayPunch: boolean,
): boolean {
  const punch = (): void => {
    fallocate(fd, PUNCH, offsetBytes, lengthBytes);
  };
  const zero = (): void => {
    fallocate(fd, ZERO, offsetBytes, lengthBytes);
  };
  // tmpfs has no ZERO_RANGE: a hole that is allocated again is the same.
  const punchAndAllocate = (): void => {
    punch();
    fallocate(fd, FALLOC_FL_KEEP_SIZE, offsetBytes, lengthBytes);
  };
  return mayPunch ? firstSupported(punch, zero) : firstSupported(zero, punchAndAllocate);
}

export function writeZeroes(fd: number, offsetBytes: number, lengthBytes: number): void {
  for (let doneBytes = 0; doneBytes < lengthBytes;) {
    const pieceBytes = Math.min(ZEROES.length, lengthBytes - doneBytes);
    doneBytes += fs.writeSync(fd, ZEROES, 0, pieceBytes, offsetBytes + doneBytes);
  }
}
