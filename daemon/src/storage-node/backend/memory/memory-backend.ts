/**
 * Volumes in memory, for tests and demonstrations: sparse, ordered, and gone with the node. A flush has
 * nothing to do, and the write verifier tells the daemon when everything was lost.
 */
import { BlockError } from '../../../block/block-error.js';
import {
  BLOCK_FLAG,
  DONE,
  failed,
  type BlockRequest,
  type BlockResult,
  type Extent,
} from '../../../block/block-request.js';
import type { BlockCompletion } from '../../../block/block-device.js';
import { REQUEST_BYTES_MAX, type DeviceFacts } from '../../../block/device-facts.js';
import type { BackendVolume, StorageBackend, VolumeIdentity } from '../backend.js';

const PAGE_BYTES = 64 * 1024;
const PREFERRED_BYTES = 4096;
/** A block-status answer is cut here: bounds the pages that one request looks at, to 65536. */
const STATUS_BYTES_MAX = 4 * 1024 * 1024 * 1024;

type Pages = Map<number, Buffer>;

export class MemoryBackend implements StorageBackend {
  readonly name = 'memory';
  readonly #volumes = new Map<string, Pages>();

  create(volume: VolumeIdentity): Promise<void> {
    this.#volumes.set(volume.volumeId, new Map());
    return Promise.resolve();
  }

  open(volume: VolumeIdentity): Promise<BackendVolume> {
    const pages = this.#volumes.get(volume.volumeId);
    if (pages === undefined)
      return Promise.reject(new BlockError('EIO', 'a memory volume does not outlive its node'));
    return Promise.resolve(new MemoryVolume(pages, volume));
  }

  allocatedBytes(volume: VolumeIdentity): Promise<number> {
    return Promise.resolve((this.#volumes.get(volume.volumeId)?.size ?? 0) * PAGE_BYTES);
  }

  delete(volume: VolumeIdentity): Promise<void> {
    this.#volumes.delete(volume.volumeId);
    return Promise.resolve();
  }
}

class MemoryVolume implements BackendVolume {
  #facts: DeviceFacts;
  #closed = false;

  constructor(
    readonly pages: Pages,
    volume: VolumeIdentity,
  ) {
    this.#facts = {
      sizeBytes: volume.sizeBytes,
      blockBytes: volume.blockBytes,
      preferredBytes: PREFERRED_BYTES,
      requestBytesMax: REQUEST_BYTES_MAX,
      capabilities: {
        canWrite: true,
        fua: 'native',
        canTrim: true,
        canFastZero: true,
        canBlockStatus: true,
      },
    };
  }

  get facts(): DeviceFacts {
    return this.#facts;
  }

  submit<Request extends BlockRequest>(request: Request, complete: BlockCompletion<Request>): void {
    if (this.#closed)
      complete(request, failed(new BlockError('ESHUTDOWN', 'the volume is closed')));
    else complete(request, this.#attempt(request));
  }

  resize(sizeBytes: number): Promise<void> {
    const { sizeBytes: oldBytes } = this.#facts;
    if (sizeBytes < oldBytes) this.#zero(sizeBytes, oldBytes - sizeBytes);
    this.#facts = { ...this.#facts, sizeBytes };
    return Promise.resolve();
  }

  close(): Promise<void> {
    this.#closed = true;
    return Promise.resolve();
  }

  #attempt(request: BlockRequest): BlockResult {
    try {
      return this.#apply(request);
    } catch (error) {
      return failed(BlockError.from(error, 'ENOMEM'));
    }
  }

  #apply(request: BlockRequest): BlockResult {
    const { offsetBytes, lengthBytes, flags } = request;
    switch (request.kind) {
      case 'read':
        return { ...DONE, payload: [this.#read(offsetBytes, lengthBytes)] };
      case 'write':
        this.#write(offsetBytes, request.payload);
        return DONE;
      case 'trim':
        this.#zero(offsetBytes, lengthBytes);
        return DONE;
      case 'write-zeroes':
        if ((flags & BLOCK_FLAG.NO_HOLE) === 0) this.#zero(offsetBytes, lengthBytes);
        else this.#write(offsetBytes, zeroPieces(lengthBytes));
        return DONE;
      case 'block-status': {
        const extents = this.#extents(offsetBytes, Math.min(lengthBytes, STATUS_BYTES_MAX));
        return {
          ...DONE,
          extents: (flags & BLOCK_FLAG.ONE_EXTENT) === 0 ? extents : extents.slice(0, 1),
        };
      }
      default:
        return DONE;
    }
  }

  #read(offsetBytes: number, lengthBytes: number): Buffer {
    const data = Buffer.alloc(lengthBytes);
    for (const { page, start, end, at } of pieces(offsetBytes, lengthBytes)) {
      this.pages.get(page)?.copy(data, at, start, end);
    }
    return data;
  }

  #write(offsetBytes: number, payload: readonly Buffer[]): void {
    let partOffset = offsetBytes;
    for (const part of payload) {
      for (const { page, start, end, at } of pieces(partOffset, part.length)) {
        part.copy(this.#page(page), start, at, at + end - start);
      }
      partOffset += part.length;
    }
  }

  #zero(offsetBytes: number, lengthBytes: number): void {
    const endBytes = offsetBytes + lengthBytes;
    // The range may be as long as the volume, which is sparse: whichever is shorter is gone through.
    const isLong = lengthBytes > this.pages.size * PAGE_BYTES;
    const indexes = isLong ? [...this.pages.keys()] : pageIndexes(offsetBytes, endBytes);
    for (const index of indexes) {
      const start = Math.max(0, offsetBytes - index * PAGE_BYTES);
      const end = Math.min(PAGE_BYTES, endBytes - index * PAGE_BYTES);
      if (start === 0 && end === PAGE_BYTES) this.pages.delete(index);
      else if (start < end) this.pages.get(index)?.fill(0, start, end);
    }
  }

  #extents(offsetBytes: number, lengthBytes: number): Extent[] {
    const extents: Extent[] = [];
    for (const { page, start, end } of pieces(offsetBytes, lengthBytes)) {
      const hole = !this.pages.has(page);
      const last = extents.at(-1);
      const bytes = end - start;
      if (last?.hole === hole)
        extents[extents.length - 1] = { ...last, lengthBytes: last.lengthBytes + bytes };
      else extents.push({ lengthBytes: bytes, hole, zero: hole });
    }
    return extents;
  }

  #page(index: number): Buffer {
    let page = this.pages.get(index);
    if (page === undefined) {
      page = Buffer.alloc(PAGE_BYTES);
      this.pages.set(index, page);
    }
    return page;
  }
}

/** A range cut at page borders: bytes [start, end) of a page are the range's bytes from `at` on. */
function* pieces(
  offsetBytes: number,
  lengthBytes: number,
): Generator<{ page: number; start: number; end: number; at: number }> {
  for (let at = 0; at < lengthBytes;) {
    const page = Math.floor((offsetBytes + at) / PAGE_BYTES);
    const start = (offsetBytes + at) % PAGE_BYTES;
    const end = Math.min(PAGE_BYTES, start + lengthBytes - at);
    yield { page, start, end, at };
    at += end - start;
  }
}

function* pageIndexes(offsetBytes: number, endBytes: number): Generator<number> {
  for (let index = Math.floor(offsetBytes / PAGE_BYTES); index * PAGE_BYTES < endBytes; index += 1)
    yield index;
}

/** That many zeroes, as views onto one page. */
function zeroPieces(lengthBytes: number): Buffer[] {
  const page = Buffer.alloc(PAGE_BYTES);
  const views: Buffer[] = [];
  for (let left = lengthBytes; left > 0; left -= PAGE_BYTES)
    views.push(page.subarray(0, Math.min(left, PAGE_BYTES)));
  return views;
}
