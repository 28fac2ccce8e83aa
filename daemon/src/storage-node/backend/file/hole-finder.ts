/**
 * Which parts of a read are holes of the file, so that they need not be read: a hole costs a system call then, not a
 * copy, room in the page cache and the way to the client.
 *
 * Only on file systems of the kernel's own that have told holes from data rightly for years, also of what is written
 * and not yet on the disk; some others have called data a hole then (OpenZFS until 2.2.2). Block status trusts more of
 * them, but there a client asks for it.
 */
import fs from 'node:fs';
import { seekHole } from 'blkferry-kernel';
import type { DiskPace } from './disk-pace.js';
import { fileExtents } from './file-extents.js';

/** linux/magic.h: ext2 to ext4, xfs, btrfs, tmpfs. */
const TRUSTED_FILE_SYSTEMS = new Set([0xef53, 0x58465342, 0x9123683e, 0x01021994]);

/**
 * Shorter reads are not looked at. Measured: data costs a call of 0.7 us more, beside 75 us of processor time that a read
 * of 64 KiB takes of node and daemon together; beside the 15 us of one of 4 KiB it would show, and zeroes that short cost
 * little on the way. The calls need what the file system knows of the file, which it keeps in memory, and the read too.
 */
export const HOLE_READ_BYTES_MIN = 64 * 1024;
/** A hole shorter than this is read with what is around it: a call and a piece of its own cost as much. */
export const HOLE_BYTES_MIN = 16 * 1024;
/** A read of more is read as a whole: bounds the calls for one request. */
export const EXTENTS_PER_READ_MAX = 16;

/** A part of a read, in order. */
export interface ReadPart {
  readonly lengthBytes: number;
  readonly hole: boolean;
}

export class HoleFinder {
  #isTrusted: boolean;

  constructor(
    readonly fd: number,
    /** Holes are whole blocks. */
    readonly blockBytes: number,
    readonly pace: DiskPace,
  ) {
    this.#isTrusted = isTrustedWithHoles(fd);
  }

  /**
   * To be asked in the read's own turn among the changes.
   * @returns undefined if all of it must be read
   */
  partsOf(offsetBytes: number, lengthBytes: number): readonly ReadPart[] | undefined {
    if (lengthBytes < HOLE_READ_BYTES_MIN || !this.#isTrusted) return undefined;
    // The answer may have to be read from the disk, and a slow one is not waited for here.
    if (this.pace.isSlow) return undefined;
    const begunMs = this.pace.begins();
    try {
      return this.#ask(offsetBytes, offsetBytes + lengthBytes);
    } catch (error) {
      // Of a disk that fails the read will tell.
      if ((error as NodeJS.ErrnoException).code !== 'EIO') this.#isTrusted = false;
      return undefined;
    } finally {
      this.pace.ended(begunMs, 0);
    }
  }

  #ask(offsetBytes: number, endBytes: number): readonly ReadPart[] | undefined {
    const { fd, blockBytes } = this;
    // Data from end to end, which most reads are, is known after one call.
    if (seekHole(fd, offsetBytes) >= endBytes) return undefined;
    const range = { offsetBytes, endBytes, blockBytes };
    const parts: { lengthBytes: number; hole: boolean }[] = [];
    let toldBytes = 0;
    for (const extent of fileExtents(fd, range, EXTENTS_PER_READ_MAX)) {
      const hole = extent.hole && extent.lengthBytes >= HOLE_BYTES_MIN;
      const last = parts.at(-1);
      if (last?.hole === hole) last.lengthBytes += extent.lengthBytes;
      else parts.push({ lengthBytes: extent.lengthBytes, hole });
      toldBytes += extent.lengthBytes;
    }
    if (toldBytes < endBytes - offsetBytes || !parts.some(({ hole }) => hole)) return undefined;
    // Behind the end of a file that was cut nothing is data either; but that is an error, which the read tells.
    const isInside = parts.at(-1)?.hole === false || seekHole(fd, endBytes - 1) >= 0;
    return isInside ? parts : undefined;
  }
}

/** The file is on a file system whose word is taken for it. */
export function isTrustedWithHoles(fd: number): boolean {
  return TRUSTED_FILE_SYSTEMS.has(fs.statfsSync(`/proc/self/fd/${fd}`).type);
}
