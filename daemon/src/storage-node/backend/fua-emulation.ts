/** FUA for a backend that has only flush: the write, then a flush, then the answer. */
import {
  BLOCK_FLAG,
  failed,
  type BlockRequest,
  type BlockResult,
} from '../../block/block-request.js';
import type { BlockCompletion } from '../../block/block-device.js';
import type { BlockError } from '../../block/block-error.js';

/**
 * Answers a change that has been applied: at once, or after a flush if it asked for FUA.
 * @param flush covers everything applied before it is called
 */
export function completeWithFua<Request extends BlockRequest>(
  request: Request,
  result: BlockResult,
  flush: (done: (error: BlockError | undefined) => void) => void,
  complete: BlockCompletion<Request>,
): void {
  if ((request.flags & BLOCK_FLAG.FUA) === 0 || result.error !== undefined) {
    complete(request, result);
    return;
  }
  flush((error) => {
    complete(request, error === undefined ? result : failed(error));
  });
}
