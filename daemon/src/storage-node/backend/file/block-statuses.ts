/** The answers to block status: here while the disk keeps up, else on another thread, one at a time for each volume. */
import type { BlockCompletion } from '../../../block/block-device.js';
import { BlockError } from '../../../block/block-error.js';
import {
  BLOCK_FLAG,
  DONE,
  NO_EXTENTS,
  failed,
  type BlockRequest,
  type Extent,
} from '../../../block/block-request.js';
import type { DiskPace } from './disk-pace.js';
import { fileExtents, fileExtentsAway, type FileRange } from './file-extents.js';
import type { RequestLine } from './request-line.js';

/** What looking through the page cache takes, on a slow machine: 12 ms for a GiB of tmpfs were measured. */
const LOOKED_THROUGH_BYTES_PER_MS = 32 * 1024 * 1024;

export class BlockStatuses {
  constructor(
    readonly fd: number,
    readonly line: RequestLine,
    readonly pace: DiskPace,
  ) {}

  /** A request whose turn it is. */
  start<Request extends BlockRequest>(
    request: Request,
    blockBytes: number,
    complete: BlockCompletion<Request>,
  ): void {
    const { offsetBytes, lengthBytes, flags } = request;
    const range = { offsetBytes, endBytes: offsetBytes + lengthBytes, blockBytes };
    const extentsMax = (flags & BLOCK_FLAG.ONE_EXTENT) === 0 ? undefined : 1;
    let extents = NO_EXTENTS;
    const step = (): true | Promise<true> => {
      if (!this.pace.isSlow) {
        extents = this.#here(range, extentsMax);
        return true;
      }
      return fileExtentsAway(this.fd, range, extentsMax).then((found) => {
        extents = found;
        return true;
      });
    };
    this.line.run(step, (error) => {
      complete(
        request,
        error === undefined ? { ...DONE, extents } : failed(BlockError.from(error)),
      );
    });
  }

  #here(range: FileRange, extentsMax: number | undefined): Extent[] {
    const begunMs = this.pace.begins();
    try {
      return fileExtents(this.fd, range, extentsMax);
    } finally {
      const bytes = range.endBytes - range.offsetBytes;
      this.pace.ended(begunMs, bytes / LOOKED_THROUGH_BYTES_PER_MS);
    }
  }
}
