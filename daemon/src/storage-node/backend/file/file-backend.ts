/**
 * The default backend: one sparse file, `data`, per volume.
 *
 * Reads and writes are synchronous: on pages in the cache they cost a third of the asynchronous ones,
 * and they keep the order of requests by themselves. fdatasync is asynchronous, because it waits for
 * the disk. What a crash leaves is what the last fdatasync covered, and perhaps more.
 */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { BlockError } from '../../../block/block-error.js';
import {
  BLOCK_FLAG,
  DONE,
  failed,
  type BlockRequest,
  type BlockResult,
} from '../../../block/block-request.js';
import type { BlockCompletion } from '../../../block/block-device.js';
import { REQUEST_BYTES_MAX, type DeviceFacts } from '../../../block/device-facts.js';
import type { BackendVolume, StorageBackend, VolumeIdentity } from '../backend.js';
import { completeWithFua } from '../fua-emulation.js';
import { fileExtents } from './file-extents.js';
import { FlushQueue } from './flush-queue.js';
import { ReadSlab } from './read-slab.js';
import { punchHole, writeZeroes, zeroQuickly } from './zeroing.js';

/** The block of nearly every file system. */
const PREFERRED_BYTES = 4096;

export class FileBackend implements StorageBackend {
  readonly name = 'file';

  async create(volume: VolumeIdentity, folder: string): Promise<void> {
    const handle = await fs.promises.open(dataPath(folder), 'wx', 0o600);
    try {
      await handle.truncate(volume.sizeBytes);
      await handle.sync();
    } finally {
      await handle.close();
    }
  }

  async open(volume: VolumeIdentity, folder: string): Promise<BackendVolume> {
    const file = dataPath(folder);
    const fd = fs.openSync(file, 'r+');
    try {
      const { size } = fs.fstatSync(fd);
      if (size < volume.sizeBytes) {
        throw new BlockError(
          'EIO',
          `${file} has ${size} bytes, its volume ${volume.sizeBytes}: data is missing`,
        );
      }
      // A resize that a crash interrupted: the record decides, and nobody has written beyond it.
      if (size > volume.sizeBytes) fs.ftruncateSync(fd, volume.sizeBytes);
      return await Promise.resolve(new FileVolume(fd, volume));
    } catch (error) {
      fs.closeSync(fd);
      throw error;
    }
  }

  async allocatedBytes(_volume: VolumeIdentity, folder: string): Promise<number> {
    // st_blocks counts 512 bytes, whatever the file system's block is.
    return (await fs.promises.stat(dataPath(folder))).blocks * 512;
  }

  delete(): Promise<void> {
    return Promise.resolve();
  }
}

function dataPath(folder: string): string {
  return path.join(folder, 'data');
}

class FileVolume implements BackendVolume {
  #facts: DeviceFacts;
  readonly #flushes: FlushQueue;
  readonly #slab = new ReadSlab();
  #closed = false;

  constructor(
    readonly fd: number,
    volume: VolumeIdentity,
  ) {
    this.#flushes = new FlushQueue(fd);
    // Beyond the end a hole changes nothing; it tells whether the file system can make one.
    const canPunch = punchHole(fd, volume.sizeBytes, PREFERRED_BYTES);
    this.#facts = {
      sizeBytes: volume.sizeBytes,
      blockBytes: volume.blockBytes,
      preferredBytes: PREFERRED_BYTES,
      requestBytesMax: REQUEST_BYTES_MAX,
      capabilities: {
        canWrite: true,
        fua: 'emulated',
        canTrim: canPunch,
        canFastZero: canPunch,
        canBlockStatus: true,
      },
    };
  }

  get facts(): DeviceFacts {
    return this.#facts;
  }

  submit<Request extends BlockRequest>(request: Request, complete: BlockCompletion<Request>): void {
    if (this.#closed) {
      complete(request, failed(new BlockError('ESHUTDOWN', 'the volume is closed')));
      return;
    }
    if (request.kind === 'flush') {
      this.#flushes.flush((error) => {
        complete(request, error === undefined ? DONE : failed(error));
      });
      return;
    }
    const result = this.#apply(request);
    completeWithFua(
      request,
      result,
      (done) => {
        this.#flushes.flush(done);
      },
      complete,
    );
  }

  async resize(sizeBytes: number): Promise<void> {
    fs.ftruncateSync(this.fd, sizeBytes);
    this.#facts = { ...this.#facts, sizeBytes };
    await new Promise<void>((resolve, reject) => {
      fs.fsync(this.fd, (error) => {
        if (error === null) resolve();
        else reject(BlockError.from(error));
      });
    });
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#flushes.whenIdle();
    fs.closeSync(this.fd);
  }

  #apply(request: BlockRequest): BlockResult {
    const { offsetBytes, lengthBytes, flags } = request;
    assert(offsetBytes + lengthBytes <= this.#facts.sizeBytes, 'the request was checked');
    try {
      switch (request.kind) {
        case 'read':
          return { ...DONE, payload: this.#read(offsetBytes, lengthBytes) };
        case 'write':
          this.#write(offsetBytes, lengthBytes, request.payload);
          return DONE;
        case 'trim':
          punchHole(this.fd, offsetBytes, lengthBytes);
          return DONE;
        case 'write-zeroes':
          return this.#zero(offsetBytes, lengthBytes, flags);
        case 'block-status': {
          const extentsMax = (flags & BLOCK_FLAG.ONE_EXTENT) === 0 ? undefined : 1;
          return {
            ...DONE,
            extents: fileExtents(this.fd, offsetBytes, offsetBytes + lengthBytes, extentsMax),
          };
        }
        default:
          // cache: the page cache does it when the read comes; flush is not here.
          return DONE;
      }
    } catch (error) {
      return failed(BlockError.from(error));
    }
  }

  #read(offsetBytes: number, lengthBytes: number): Buffer {
    const buffer = this.#slab.take(lengthBytes);
    for (let doneBytes = 0; doneBytes < lengthBytes;) {
      const readBytes = fs.readSync(
        this.fd,
        buffer,
        doneBytes,
        lengthBytes - doneBytes,
        offsetBytes + doneBytes,
      );
      if (readBytes === 0)
        throw new BlockError(
          'EIO',
          `the data file ends at byte ${offsetBytes + doneBytes}, inside the volume`,
        );
      doneBytes += readBytes;
    }
    return buffer;
  }

  #write(offsetBytes: number, lengthBytes: number, payload: readonly Buffer[]): void {
    let at = offsetBytes;
    for (const part of payload) {
      for (let doneBytes = 0; doneBytes < part.length;) {
        doneBytes += fs.writeSync(
          this.fd,
          part,
          doneBytes,
          part.length - doneBytes,
          at + doneBytes,
        );
      }
      at += part.length;
    }
    assert(at === offsetBytes + lengthBytes, 'a write carries as many bytes as it says');
  }

  #zero(offsetBytes: number, lengthBytes: number, flags: number): BlockResult {
    if (zeroQuickly(this.fd, offsetBytes, lengthBytes, (flags & BLOCK_FLAG.NO_HOLE) === 0))
      return DONE;
    if ((flags & BLOCK_FLAG.FAST_ZERO) !== 0) {
      return failed(new BlockError('ENOTSUP', 'this file system cannot make zeroes quickly'));
    }
    writeZeroes(this.fd, offsetBytes, lengthBytes);
    return DONE;
  }
}
