/**
 * A trim or write-zeroes on a file, piece by piece: a range may be as long as the volume, and all other
 * volumes of the node wait while a system call runs.
 */
import { BlockError } from '../../../block/block-error.js';
import { BLOCK_FLAG, type BlockRequest } from '../../../block/block-request.js';
import { punchHole, writeZeroes, zeroQuickly } from './zeroing.js';

/** Most that one call gives back: on ext4 some 30 ms when all of it was just written. */
export const QUICK_PIECE_BYTES = 1024 * 1024 * 1024;
/** Most that is written in one turn: a few milliseconds of copying into the page cache. */
export const WRITTEN_PIECE_BYTES = 8 * 1024 * 1024;

export class RangeChange {
  #atBytes: number;
  readonly #endBytes: number;
  /** The file system has no quicker way. */
  #mustWrite = false;

  constructor(
    readonly fd: number,
    readonly request: BlockRequest,
  ) {
    this.#atBytes = request.offsetBytes;
    this.#endBytes = request.offsetBytes + request.lengthBytes;
  }

  /**
   * Does the next piece.
   *
   * @returns true when all is done
   * @throws BlockError ENOTSUP for zeroes that were to be quick and cannot be; system errors as they come
   */
  step(): boolean {
    const leftBytes = this.#endBytes - this.#atBytes;
    let pieceBytes = Math.min(leftBytes, QUICK_PIECE_BYTES);
    if (this.#mustWrite || !this.#applyQuickly(pieceBytes)) {
      pieceBytes = Math.min(leftBytes, WRITTEN_PIECE_BYTES);
      writeZeroes(this.fd, this.#atBytes, pieceBytes);
    }
    this.#atBytes += pieceBytes;
    return this.#atBytes === this.#endBytes;
  }

  /** @returns false if the piece has to be written instead */
  #applyQuickly(pieceBytes: number): boolean {
    const { kind, flags } = this.request;
    if (kind === 'trim') {
      // Advice: where the file system cannot take it, nothing happens.
      punchHole(this.fd, this.#atBytes, pieceBytes);
      return true;
    }
    const mayPunch = (flags & BLOCK_FLAG.NO_HOLE) === 0;
    if (zeroQuickly(this.fd, this.#atBytes, pieceBytes, mayPunch)) return true;
    if ((flags & BLOCK_FLAG.FAST_ZERO) !== 0)
      throw new BlockError('ENOTSUP', 'this file system cannot make zeroes quickly');
    this.#mustWrite = true;
    return false;
  }
}
