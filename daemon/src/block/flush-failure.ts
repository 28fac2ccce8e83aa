/**
 * The error of a flush, or of the flush behind a change with FUA: what was answered before may be lost. A change
 * that failed by itself, for want of space say, is an ordinary BlockError and says nothing about others.
 */
import { BlockError } from './block-error.js';

export class FlushFailure extends BlockError {
  /** Keeps errno and sentence of what the system said. */
  static of(cause: unknown): FlushFailure {
    const { errno, reason } = BlockError.from(cause);
    return new FlushFailure(errno, reason, { cause });
  }
}
