/**
 * A backend's open volume on the simulated disk. The flush queue and the emulation of FUA are the file
 * backend's own; what is simulated is fdatasync, its delays and failures, and a device that is so slow that
 * requests wait in line.
 */
import { BlockError } from '#daemon/block/block-error.js';
import {
  DONE,
  failed,
  payloadBytes,
  type BlockRequest,
  type BlockResult,
} from '#daemon/block/block-request.js';
import type { BlockCompletion } from '#daemon/block/block-device.js';
import { REQUEST_BYTES_MAX, type DeviceFacts } from '#daemon/block/device-facts.js';
import { FlushQueue } from '#daemon/storage-node/backend/file/flush-queue.js';
import { completeWithFua } from '#daemon/storage-node/backend/fua-emulation.js';
import type { BackendVolume } from '#daemon/storage-node/backend/backend.js';
import type { DiskWeather } from './disk-weather.js';
import type { SimulatedDisk } from './simulated-disk.js';
import type { SimulatedProcess } from './simulated-process.js';

export interface VolumeWatch {
  /** A change was handed to the backend, before anything of it is done. */
  submitted(request: BlockRequest): void;
  /** A change takes effect. */
  applied(request: BlockRequest): void;
}

interface Waiting {
  readonly start: () => void;
}

export class SimulatedVolume implements BackendVolume {
  readonly #flushes: FlushQueue;
  readonly #line: Waiting[] = [];
  #busy = false;
  #whenIdle: (() => void)[] = [];
  #closed = false;
  readonly facts: DeviceFacts;

  constructor(
    readonly disk: SimulatedDisk,
    readonly process: SimulatedProcess,
    readonly weather: DiskWeather,
    readonly watch: VolumeWatch,
  ) {
    this.#flushes = new FlushQueue(0, (_fd, done) => {
      weather.sync(disk, (error) => {
        process.deliver(() => {
          done(error);
          if (error !== null) weather.failureTold(disk);
        });
      });
    });
    this.facts = {
      sizeBytes: disk.blockCount * disk.blockBytes,
      blockBytes: disk.blockBytes,
      preferredBytes: Math.max(4096, disk.blockBytes),
      requestBytesMax: REQUEST_BYTES_MAX,
      capabilities: {
        canWrite: true,
        fua: 'emulated',
        canTrim: true,
        canFastZero: true,
        canBlockStatus: true,
      },
    };
  }

  submit<Request extends BlockRequest>(request: Request, complete: BlockCompletion<Request>): void {
    if (this.#closed) {
      complete(request, failed(new BlockError('ESHUTDOWN', 'the volume is closed')));
      return;
    }
    if (request.kind === 'flush') {
      this.#flush((error) => {
        complete(request, error === undefined ? DONE : failed(error));
      });
      return;
    }
    this.watch.submitted(request);
    const start = (): void => {
      const result = this.#apply(request);
      completeWithFua(
        request,
        result,
        (done) => {
          this.#flush(done);
        },
        complete,
      );
    };
    this.#enter(start);
  }

  resize(): Promise<void> {
    return Promise.reject(new BlockError('ENOTSUP', 'a simulated volume keeps its size'));
  }

  async close(): Promise<void> {
    this.#closed = true;
    if (this.#busy)
      await new Promise<void>((resolve) => {
        this.#whenIdle.push(resolve);
      });
    await this.#flushes.whenIdle();
    this.weather.dropLost(this.disk);
  }

  #flush(done: (error: BlockError | undefined) => void): void {
    this.#flushes.flush(done);
  }

  /** At once, or behind what waits, each in a time of its own. */
  #enter(start: () => void): void {
    if (!this.#busy && this.weather.requestMs() === 0) {
      start();
      return;
    }
    this.#line.push({ start });
    if (!this.#busy) this.#next();
  }

  #next(): void {
    this.#busy = true;
    this.process.clock.setTimer(this.weather.requestMs(), () => {
      this.#line.shift()?.start();
      if (this.#line.length > 0) {
        this.#next();
        return;
      }
      this.#busy = false;
      for (const wake of this.#whenIdle.splice(0)) wake();
    });
  }

  #apply(request: BlockRequest): BlockResult {
    const { kind, offsetBytes, lengthBytes } = request;
    const { blockBytes } = this.disk;
    const first = offsetBytes / blockBytes;
    const count = lengthBytes / blockBytes;
    switch (kind) {
      case 'read': {
        const parts: Buffer[] = [];
        for (let block = first; block < first + count; block += 1)
          parts.push(this.disk.read(block));
        return { ...DONE, payload: parts };
      }
      case 'write':
      case 'trim':
      case 'write-zeroes':
        return this.#change(request, first, count);
      default:
        return DONE;
    }
  }

  #change(request: BlockRequest, first: number, count: number): BlockResult {
    this.watch.applied(request);
    const { blockBytes } = this.disk;
    const data = Buffer.concat(request.payload);
    if (request.kind === 'write' && payloadBytes(request.payload) !== request.lengthBytes)
      throw new Error('a write that carries another length than it says');
    const failure = this.weather.writeFailure(count);
    const written = failure?.blocksWritten ?? count;
    for (let index = 0; index < written; index += 1) {
      const bytes =
        request.kind === 'write'
          ? data.subarray(index * blockBytes, (index + 1) * blockBytes)
          : Buffer.alloc(blockBytes);
      this.disk.write(first + index, bytes);
    }
    return failure === undefined ? DONE : failed(failure.error);
  }
}
