/**
 * Whether a read begins with a hole of the file, or is in one, so that it need not be read: a hole costs a system call
 * then, not a copy, room in the page cache and the way to the client.
 *
 * Only where the next data is, is asked (SEEK_DATA). Where the next hole is, the file system has to look for in all that is
 * written until there: on tmpfs 12 ms for a GiB.
 *
 * Only on file systems of the kernel's own that have told holes from data rightly for years, also of what is written
 * and not yet on the disk; some others have called data a hole then (OpenZFS until 2.2.2). Block status trusts more of
 * them, but there a client asks for it.
 */
import fs from 'node:fs';
import { seekData, seekHole } from 'blkferry-kernel';
import type { DiskPace } from './disk-pace.js';

/** linux/magic.h: ext2 to ext4, xfs, btrfs, tmpfs. */
const TRUSTED_FILE_SYSTEMS = new Set([0xef53, 0x58465342, 0x9123683e, 0x01021994]);

/**
 * Shorter reads are not looked at. Measured: data costs a call of 0.7 us more, beside 75 us of processor time that a read
 * of 64 KiB takes of node and daemon together; beside the 15 us of one of 4 KiB it would show, and zeroes that short cost
 * little on the way. The call needs what the file system knows of the file, which it keeps in memory, and the read too.
 */
export const HOLE_READ_BYTES_MIN = 64 * 1024;
/** A hole shorter than this is read with what is behind it: a piece of its own costs as much. */
export const HOLE_BYTES_MIN = 16 * 1024;
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
   * @returns with how many bytes of hole the read begins; 0 if all of it must be read
   */
  bytesAt(offsetBytes: number, lengthBytes: number): number {
    if (lengthBytes < HOLE_READ_BYTES_MIN || !this.#isTrusted) return 0;
    // The answer may have to be read from the disk, and a slow one is not waited for here.
    if (this.pace.isSlow) return 0;
    const begunMs = this.pace.begins();
    try {
      return this.#ask(offsetBytes, offsetBytes + lengthBytes);
    } catch (error) {
      // Of a disk that fails the read will tell.
      if ((error as NodeJS.ErrnoException).code !== 'EIO') this.#isTrusted = false;
      return 0;
    } finally {
      this.pace.ended(begunMs, 0);
    }
  }

  #ask(offsetBytes: number, endBytes: number): number {
    const dataAt = seekData(this.fd, offsetBytes);
    const dataBlock = dataAt < 0 ? endBytes : dataAt - (dataAt % this.blockBytes);
    const holeEnd = Math.min(dataBlock, endBytes);
    if (holeEnd - offsetBytes < HOLE_BYTES_MIN) return 0;
    // Behind the end of a file that was cut nothing is data either; but that is an error, which the read tells.
    if (holeEnd === endBytes && seekHole(this.fd, endBytes - 1) < 0) return 0;
    return holeEnd - offsetBytes;
  }
}

/** The file is on a file system whose word is taken for it. */
export function isTrustedWithHoles(fd: number): boolean {
  return TRUSTED_FILE_SYSTEMS.has(fs.statfsSync(`/proc/self/fd/${fd}`).type);
}
