/**
 * Reads of one file that keep nobody waiting but who asked: what is in the page cache is read at once, which costs a
 * third of a detour over another thread; what a disk would have to be waited for goes to libuv's threads. So a slow disk,
 * or one that spins up, holds up its own volume and no other.
 *
 * Files in memory (tmpfs) are read at once, they have no disk; and where the file system cannot say what is cached (FUSE,
 * some of the network) everything takes the detour.
 */
import fs from 'node:fs';
import { readCached } from 'blkferry-kernel';
import { BlockError } from '../../../block/block-error.js';

/** linux/magic.h: tmpfs, ramfs. */
const MEMORY_FILE_SYSTEMS = new Set([0x01021994, 0x858458f6]);

/**
 * Of one volume on libuv's threads at a time; the others wait. The programs have 32 of these threads (first line of
 * bin/blkferry-node.ts), so that three volumes on disks that hang leave some to the others.
 */
export const DETOURS_MAX = 8;

type Done = (error: BlockError | undefined) => void;

/** In its own place so that tests can make a disk slow. */
export interface ReadCalls {
  /** As blkferry-kernel's. */
  readonly cached: typeof readCached;
  readonly detour: (
    fd: number,
    buffer: Buffer,
    offsetBytes: number,
    done: (error: Error | null, readBytes: number) => void,
  ) => void;
}

const REAL: ReadCalls = {
  cached: readCached,
  detour: (fd, buffer, offsetBytes, done) => {
    fs.read(fd, buffer, 0, buffer.length, offsetBytes, done);
  },
};

export class FileReader {
  #way: 'memory' | 'cached first' | 'detour';
  #detours = 0;
  #waiting: (() => void)[] = [];

  constructor(
    readonly fd: number,
    readonly calls = REAL,
  ) {
    this.#way = isInMemory(fd) && calls === REAL ? 'memory' : 'cached first';
  }

  /**
   * Fills as much of the buffer as goes without waiting.
   * @returns how many bytes; if not all, `readLater` gets the rest
   * @throws BlockError
   */
  readNow(buffer: Buffer, offsetBytes: number): number {
    switch (this.#way) {
      case 'memory':
        return this.#readHere(buffer, offsetBytes);
      case 'cached first':
        return this.#readCached(buffer, offsetBytes);
      case 'detour':
        return 0;
    }
  }

  /** The rest of a buffer. */
  readLater(rest: Buffer, offsetBytes: number, done: Done): void {
    const begin = (): void => {
      this.#detours += 1;
      this.#detour(rest, offsetBytes, (error) => {
        this.#detours -= 1;
        this.#waiting.shift()?.();
        done(error);
      });
    };
    if (this.#detours < DETOURS_MAX) begin();
    else this.#waiting.push(begin);
  }

  #readHere(buffer: Buffer, offsetBytes: number): number {
    for (let at = 0; at < buffer.length;) {
      const readBytes = fs.readSync(this.fd, buffer, at, buffer.length - at, offsetBytes + at);
      if (readBytes === 0) throw endsAt(offsetBytes + at);
      at += readBytes;
    }
    return buffer.length;
  }

  #readCached(buffer: Buffer, offsetBytes: number): number {
    try {
      return Math.max(0, this.calls.cached(this.fd, buffer, offsetBytes));
    } catch (error) {
      // An error of the disk comes again on the detour, which tells it.
      if ((error as NodeJS.ErrnoException).code !== 'EIO') this.#way = 'detour';
      return 0;
    }
  }

  #detour(rest: Buffer, offsetBytes: number, done: Done): void {
    this.calls.detour(this.fd, rest, offsetBytes, (error, readBytes) => {
      if (error !== null) done(BlockError.from(error));
      else if (readBytes === 0) done(endsAt(offsetBytes));
      else if (readBytes === rest.length) done(undefined);
      else this.#detour(rest.subarray(readBytes), offsetBytes + readBytes, done);
    });
  }
}

function isInMemory(fd: number): boolean {
  // A device's file is in memory, and what is in the device is not.
  return (
    fs.fstatSync(fd).isFile() && MEMORY_FILE_SYSTEMS.has(fs.statfsSync(`/proc/self/fd/${fd}`).type)
  );
}

function endsAt(offsetBytes: number): BlockError {
  return new BlockError('EIO', `the data file ends at byte ${offsetBytes}, inside the volume`);
}
