/**
 * The reads of one file: what is data is read, at once or later (file-reader.ts), holes become zeroes that are there
 * already (block/zeroes.ts).
 */
import type { BlockCompletion } from '../../../block/block-device.js';
import { BlockError } from '../../../block/block-error.js';
import { DONE, failed, type BlockRequest } from '../../../block/block-request.js';
import { zeroPiece } from '../../../block/zeroes.js';
import type { DiskPace } from './disk-pace.js';
import { FileReader, type ReadCalls } from './file-reader.js';
import { HoleFinder, type ReadPart } from './hole-finder.js';
import type { ReadBuffers } from './read-buffers.js';
import type { RequestLine } from './request-line.js';

/** What is left of a part that did not come at once. */
interface Rest {
  readonly buffer: Buffer;
  readonly offsetBytes: number;
}

export class SparseReads {
  readonly #reader: FileReader;
  readonly #holes: HoleFinder;

  constructor(
    fd: number,
    blockBytes: number,
    readonly buffers: ReadBuffers,
    readonly line: RequestLine,
    pace: DiskPace,
    calls?: ReadCalls,
  ) {
    this.#reader = new FileReader(fd, calls);
    this.#holes = new HoleFinder(fd, blockBytes, pace);
  }

  /** A read whose turn it is. */
  start<Request extends BlockRequest>(request: Request, complete: BlockCompletion<Request>): void {
    const { offsetBytes, lengthBytes } = request;
    const parts = this.#holes.partsOf(offsetBytes, lengthBytes);
    const isHole = parts?.every(({ hole }) => hole) === true;
    const buffer = isHole ? zeroPiece(lengthBytes) : this.buffers.take(lengthBytes);
    const rests: Rest[] = [];
    let payload: readonly Buffer[] = [buffer];
    try {
      if (parts === undefined) this.#readNow(buffer, offsetBytes, rests);
      else if (!isHole) payload = this.#readParts(buffer, offsetBytes, parts, rests);
    } catch (error) {
      complete(request, failed(BlockError.from(error)));
      return;
    }
    if (rests.length === 0) complete(request, { ...DONE, payload });
    else this.#readLater(request, rests, payload, complete);
  }

  /** @throws BlockError */
  #readNow(buffer: Buffer, offsetBytes: number, rests: Rest[]): void {
    const readBytes = this.#reader.readNow(buffer, offsetBytes);
    if (readBytes < buffer.length)
      rests.push({ buffer: buffer.subarray(readBytes), offsetBytes: offsetBytes + readBytes });
  }

  /** @returns the payload: pieces of the buffer, which has room for all of it, and zeroes @throws BlockError */
  #readParts(
    buffer: Buffer,
    offsetBytes: number,
    parts: readonly ReadPart[],
    rests: Rest[],
  ): Buffer[] {
    const payload: Buffer[] = [];
    const read: Buffer[] = [];
    let at = 0;
    for (const { lengthBytes, hole } of parts) {
      const piece = hole ? zeroPiece(lengthBytes) : buffer.subarray(at, at + lengthBytes);
      payload.push(piece);
      if (!hole) {
        read.push(piece);
        this.#readNow(piece, offsetBytes + at, rests);
      }
      at += lengthBytes;
    }
    this.buffers.cut(buffer, read);
    return payload;
  }

  #readLater<Request extends BlockRequest>(
    request: Request,
    rests: readonly Rest[],
    payload: readonly Buffer[],
    complete: BlockCompletion<Request>,
  ): void {
    let missing = rests.length;
    let failure: BlockError | undefined;
    this.line.share();
    for (const { buffer, offsetBytes } of rests) {
      this.#reader.readLater(buffer, offsetBytes, (error) => {
        failure ??= error;
        missing -= 1;
        if (missing > 0) return;
        complete(request, failure === undefined ? { ...DONE, payload } : failed(failure));
        this.line.unshare();
      });
    }
  }
}
