/** What a failure of the disk is to the caller of the node. */
import { BlockError } from '../block/block-error.js';
import { StorageError } from '../rpc/storage-error.js';

/** @param what did not work, as the beginning of the sentence */
export function diskFailure(error: unknown, what: string): StorageError {
  if (error instanceof StorageError) return error;
  const { errno, reason } = BlockError.from(error);
  return new StorageError(errno === 'ENOSPC' ? 'exhausted' : 'internal', `${what}: ${reason}`, {
    cause: error,
  });
}
