/**
 * Turns whatever a command threw into the sentence and the exit code that the user gets. Sentences of
 * node and daemon errors are made where they are met (transport/call-error.ts); here they only get
 * their exit code.
 */
import { BlockError } from '../block/block-error.js';
import { StorageError, type StorageErrorKind } from '../rpc/storage-error.js';
import { CommandError, type FailureCode } from './exit-codes.js';

const CODE_OF_KIND: Readonly<Record<StorageErrorKind, FailureCode>> = {
  'not-found': 'not-found',
  exists: 'refused',
  refused: 'refused',
  fenced: 'refused',
  invalid: 'usage',
  exhausted: 'no-space',
  damaged: 'unreachable',
  unavailable: 'unreachable',
  denied: 'refused',
  internal: 'failed',
};

export function toCommandError(error: unknown): CommandError {
  if (error instanceof CommandError) return error;
  if (error instanceof StorageError) {
    return new CommandError(CODE_OF_KIND[error.kind], error.message, { cause: error });
  }
  if (error instanceof BlockError) {
    const code = error.errno === 'ENOSPC' ? 'no-space' : 'failed';
    return new CommandError(code, error.reason, { cause: error });
  }
  const message = error instanceof Error ? error.message : String(error);
  return new CommandError('failed', message, { cause: error });
}

/** System errors of files in words, with the exit code where it is not "failed". */
const FILE_ERRNO: Readonly<Record<string, readonly [words: string, code?: FailureCode]>> = {
  ENOENT: ['no such file or directory', 'not-found'],
  ENOSPC: ['no space left on the file system', 'no-space'],
  EDQUOT: ['the disk quota is used up', 'no-space'],
  EFBIG: ['larger than a file may be there', 'no-space'],
  EACCES: ['permission denied'],
  EPERM: ['not permitted'],
  EROFS: ['the file system is read-only'],
  EISDIR: ['it is a directory'],
  EIO: ['the disk reports an error (EIO)'],
  EPIPE: ['the reader went away'],
};

/** @param doing "read", "write": what could not be done with the path */
export function fileFailure(error: unknown, doing: string, path: string): CommandError {
  if (error instanceof CommandError) return error;
  const { code: errno = '', message } = error as NodeJS.ErrnoException;
  const [words = message, code = 'failed'] = FILE_ERRNO[errno] ?? [];
  return new CommandError(code, `cannot ${doing} ${path}: ${words}`, { cause: error });
}
