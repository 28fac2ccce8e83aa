/**
 * The default backend: one sparse file, `data`, per volume.
 *
 * Writes, and reads of what is in the page cache, are done at once: that costs a third of a detour over another thread,
 * and keeps the order of requests by itself. Reads that must wait for a disk (file-reader.ts), a long trim or
 * write-zeroes (range-change.ts), and all changes while the disk does not keep up (disk-pace.ts) take several turns;
 * changes wait behind them, and reads behind changes (request-line.ts). Holes are not read (sparse-reads.ts). fdatasync
 * is asynchronous, because it waits for the disk. What a crash leaves is what the last fdatasync covered, and perhaps
 * more.
 */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { BlockError } from '../../../block/block-error.js';
import {
  DONE,
  failed,
  payloadBytes,
  type BlockRequest,
  type BlockResult,
} from '../../../block/block-request.js';
import type { BlockCompletion } from '../../../block/block-device.js';
import { REQUEST_BYTES_MAX, type DeviceFacts } from '../../../block/device-facts.js';
import { checkRequest } from '../../../block/request-check.js';
import type { BackendVolume, StorageBackend, VolumeIdentity } from '../backend.js';
import { completeWithFua } from '../fua-emulation.js';
import { BlockStatuses } from './block-statuses.js';
import { DiskPaces, type DiskPace } from './disk-pace.js';
import type { ReadCalls } from './file-reader.js';
import { FlushQueue } from './flush-queue.js';
import { changeSteps, writeHere } from './paced-change.js';
import { ReadBuffers } from './read-buffers.js';
import { RequestLine } from './request-line.js';
import { SparseReads } from './sparse-reads.js';
import { canPunchHoles } from './zeroing.js';

/** The block of nearly every file system. */
const PREFERRED_BYTES = 4096;

export class FileBackend implements StorageBackend {
  readonly name = 'file';
  readonly #buffers = new ReadBuffers();
  readonly #paces = new DiskPaces();

  /** @param slowness calls of the system and a disk's pace, in their places so that tests can make a disk slow */
  constructor(readonly slowness: { readonly calls?: ReadCalls; readonly pace?: DiskPace } = {}) {}

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
      const { size, dev } = fs.fstatSync(fd);
      if (size < volume.sizeBytes) {
        throw new BlockError(
          'EIO',
          `${file} has ${size} bytes, its volume ${volume.sizeBytes}: data is missing`,
        );
      }
      // A resize that a crash interrupted: the record decides, and nobody has written beyond it.
      if (size > volume.sizeBytes) fs.ftruncateSync(fd, volume.sizeBytes);
      const { calls, pace = this.#paces.of(dev) } = this.slowness;
      return await Promise.resolve(new FileVolume(fd, volume, this.#buffers, pace, calls));
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
  readonly #line = new RequestLine();
  readonly #reads: SparseReads;
  readonly #statuses: BlockStatuses;
  /** Set when the volume takes no more requests. */
  #closed: Promise<void> | undefined;

  constructor(
    readonly fd: number,
    volume: VolumeIdentity,
    readonly buffers: ReadBuffers,
    readonly pace: DiskPace,
    calls?: ReadCalls,
  ) {
    this.#flushes = new FlushQueue(fd);
    this.#reads = new SparseReads(fd, volume.blockBytes, buffers, this.#line, pace, calls);
    this.#statuses = new BlockStatuses(fd, this.#line, pace);
    const canPunch = canPunchHoles(fd, volume.sizeBytes);
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
    if (this.#closed !== undefined) complete(request, failed(closedError()));
    else if (request.kind === 'flush') {
      // It covers what has completed, so it need not wait behind what has not.
      this.#flushes.flush((error) => {
        complete(request, error === undefined ? DONE : failed(error));
      });
    } else if (request.kind === 'read' ? this.#line.isShareable : this.#line.isFree) {
      this.#start(request, complete);
    } else {
      const isShared = request.kind === 'read';
      this.#line.enter(() => {
        // A resize may have been before it in the line.
        const refusal = checkRequest(request, this.#facts);
        if (refusal === undefined) this.#start(request, complete);
        else complete(request, failed(refusal));
      }, isShared);
    }
  }

  async resize(sizeBytes: number): Promise<void> {
    if (this.#closed !== undefined) throw closedError();
    await new Promise<void>((resolve, reject) => {
      this.#line.enter(() => {
        this.#resizeNow(sizeBytes).then(resolve, reject);
      });
    });
  }

  reclaim(payload: readonly Buffer[]): void {
    this.buffers.giveBack(payload);
  }

  close(): Promise<void> {
    this.#closed ??= this.#end();
    return this.#closed;
  }

  async #end(): Promise<void> {
    await this.#line.whenIdle();
    await this.#flushes.whenIdle();
    fs.closeSync(this.fd);
  }

  async #resizeNow(sizeBytes: number): Promise<void> {
    const { sizeBytes: oldBytes } = this.#facts;
    if (sizeBytes < oldBytes) {
      // First of all nobody goes beyond the new end; if the rest fails, the next open cuts the file.
      this.#facts = { ...this.#facts, sizeBytes };
      fs.ftruncateSync(this.fd, sizeBytes);
      await this.#flushed();
      return;
    }
    // What a failed shrink left beyond the end must not come back as data.
    fs.ftruncateSync(this.fd, oldBytes);
    fs.ftruncateSync(this.fd, sizeBytes);
    await this.#flushed();
    this.#facts = { ...this.#facts, sizeBytes };
  }

  /** By the queue and not by a call of its own: the kernel tells of a failed write-back only once per file. */
  #flushed(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#flushes.flush((error) => {
        if (error === undefined) resolve();
        else reject(error);
      });
    });
  }

  /** In its turn. */
  #start<Request extends BlockRequest>(request: Request, complete: BlockCompletion<Request>): void {
    const { offsetBytes, lengthBytes, kind } = request;
    assert(offsetBytes + lengthBytes <= this.#facts.sizeBytes, 'the request was checked');
    if (kind === 'read') this.#reads.start(request, complete);
    else if (kind === 'block-status')
      this.#statuses.start(request, this.#facts.blockBytes, complete);
    // The page cache does it when the read comes.
    else if (kind === 'cache') complete(request, DONE);
    else if (kind === 'write' && !this.pace.isSlow)
      this.#finish(request, this.#written(request), complete);
    else {
      this.#line.run(changeSteps(this.fd, request, this.pace), (error) => {
        const result = error === undefined ? DONE : failed(BlockError.from(error));
        this.#finish(request, result, complete);
      });
    }
  }

  #finish<Request extends BlockRequest>(
    request: Request,
    result: BlockResult,
    complete: BlockCompletion<Request>,
  ): void {
    completeWithFua(
      request,
      result,
      (done) => {
        this.#flushes.flush(done);
      },
      complete,
    );
  }

  #written(request: BlockRequest): BlockResult {
    const { payload, lengthBytes } = request;
    try {
      assert(payloadBytes(payload) === lengthBytes, 'a write is as long as it says');
      writeHere(this.fd, request, this.pace);
      return DONE;
    } catch (error) {
      return failed(BlockError.from(error));
    }
  }
}

function closedError(): BlockError {
  return new BlockError('ESHUTDOWN', 'the volume is closed');
}
