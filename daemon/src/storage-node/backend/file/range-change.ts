/**
 * A trim or write-zeroes on a file, piece by piece: a range may be as long as the volume, and all other
 * volumes of the node wait while a system call runs.
 */
import { BlockError } from '../../../block/block-error.js';
import { BLOCK_FLAG, type BlockRequest } from '../../../block/block-request.js';
import {
  ALLOCATED_ZERO_WAYS,
  HOLE_WAYS,
  ZERO_WAYS,
  writeZeroes,
  writeZeroesAway,
  zeroQuickly,
  zeroQuicklyAway,
} from './zeroing.js';

/** Most that one call gives back: on ext4 some 30 ms when all of it was just written. */
export const QUICK_PIECE_BYTES = 1024 * 1024 * 1024;
/** Most that is written in one turn: a few milliseconds of copying into the page cache. */
export const WRITTEN_PIECE_BYTES = 8 * 1024 * 1024;

export class RangeChange {
  #atBytes: number;
  readonly #endBytes: number;
  readonly #ways: readonly (readonly number[])[];
  /** The file system has no quicker way. */
  #mustWrite = false;

  constructor(
    readonly fd: number,
    readonly request: BlockRequest,
  ) {
    this.#atBytes = request.offsetBytes;
    this.#endBytes = request.offsetBytes + request.lengthBytes;
    if (request.kind === 'trim') this.#ways = HOLE_WAYS;
    else this.#ways = (request.flags & BLOCK_FLAG.NO_HOLE) === 0 ? ZERO_WAYS : ALLOCATED_ZERO_WAYS;
  }

  /**
   * Does the next piece.
   *
   * @returns true when all is done
   * @throws BlockError ENOTSUP for zeroes that were to be quick and cannot be; system errors as they come
   */
  step(): boolean {
    const quickBytes = this.#pieceBytes(QUICK_PIECE_BYTES);
    if (
      !this.#mustWrite &&
      this.#isDone(zeroQuickly(this.fd, this.#ways, this.#atBytes, quickBytes))
    )
      return this.#advance(quickBytes);
    const writtenBytes = this.#pieceBytes(WRITTEN_PIECE_BYTES);
    writeZeroes(this.fd, this.#atBytes, writtenBytes);
    return this.#advance(writtenBytes);
  }

  /** The same on another thread. */
  async stepAway(): Promise<boolean> {
    const quickBytes = this.#pieceBytes(QUICK_PIECE_BYTES);
    if (!this.#mustWrite) {
      const isDone = await zeroQuicklyAway(this.fd, this.#ways, this.#atBytes, quickBytes);
      if (this.#isDone(isDone)) return this.#advance(quickBytes);
    }
    const writtenBytes = this.#pieceBytes(WRITTEN_PIECE_BYTES);
    await writeZeroesAway(this.fd, this.#atBytes, writtenBytes);
    return this.#advance(writtenBytes);
  }

  #pieceBytes(mostBytes: number): number {
    return Math.min(this.#endBytes - this.#atBytes, mostBytes);
  }

  #advance(pieceBytes: number): boolean {
    this.#atBytes += pieceBytes;
    return this.#atBytes === this.#endBytes;
  }

  /** @returns false if the piece has to be written instead */
  #isDone(wasSupported: boolean): boolean {
    // A trim is advice: where the file system cannot take it, nothing happens.
    if (wasSupported || this.request.kind === 'trim') return true;
    if ((this.request.flags & BLOCK_FLAG.FAST_ZERO) !== 0)
      throw new BlockError('ENOTSUP', 'this file system cannot make zeroes quickly');
    this.#mustWrite = true;
    return false;
  }
}
