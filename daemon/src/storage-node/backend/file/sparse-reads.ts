/**
 * The reads of one file: what is data is read, at once or later (file-reader.ts); the hole that a read begins with becomes
 * zeroes that are there already (block/zeroes.ts).
 */
import type { BlockCompletion } from '../../../block/block-device.js';
import { BlockError } from '../../../block/block-error.js';
import { DONE, failed, type BlockRequest } from '../../../block/block-request.js';
import { zeroPiece } from '../../../block/zeroes.js';
import type { DiskPace } from './disk-pace.js';
import { FileReader, type ReadCalls } from './file-reader.js';
import { HoleFinder } from './hole-finder.js';
import type { ReadBuffers } from './read-buffers.js';
import type { RequestLine } from './request-line.js';

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
    const holeBytes = this.#holes.bytesAt(offsetBytes, lengthBytes);
    if (holeBytes === lengthBytes) {
      complete(request, { ...DONE, payload: [zeroPiece(lengthBytes)] });
      return;
    }
    const data = this.buffers.take(lengthBytes - holeBytes);
    const payload = holeBytes === 0 ? [data] : [zeroPiece(holeBytes), data];
    const dataAt = offsetBytes + holeBytes;
    let readBytes: number;
    try {
      readBytes = this.#reader.readNow(data, dataAt);
    } catch (error) {
      complete(request, failed(BlockError.from(error)));
      return;
    }
    if (readBytes === data.length) {
      complete(request, { ...DONE, payload });
      return;
    }
    this.line.share();
    this.#reader.readLater(data.subarray(readBytes), dataAt + readBytes, (error) => {
      complete(request, error === undefined ? { ...DONE, payload } : failed(error));
      this.line.unshare();
    });
  }
}
