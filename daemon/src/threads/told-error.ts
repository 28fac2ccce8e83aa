/** Errors as values that pass between threads: a copied Error is one of no class, without errno, kind and code. */
import { BlockError, type BlockErrno } from '../block/block-error.js';
import { StorageError, type StorageErrorKind } from '../rpc/storage-error.js';
import { FlushFailure } from '../block/flush-failure.js';

export type ToldError =
  | { readonly of: 'flush' | 'block'; readonly errno: BlockErrno; readonly reason: string }
  | { readonly of: 'storage'; readonly kind: StorageErrorKind; readonly reason: string }
  | { readonly of: 'system'; readonly code: string | undefined; readonly reason: string };

export function toldError(error: unknown): ToldError {
  if (error instanceof BlockError) {
    const { errno, reason } = error;
    return { of: error instanceof FlushFailure ? 'flush' : 'block', errno, reason };
  }
  if (error instanceof StorageError)
    return { of: 'storage', kind: error.kind, reason: error.message };
  if (!(error instanceof Error)) return { of: 'system', code: undefined, reason: String(error) };
  const { code } = error as NodeJS.ErrnoException;
  return { of: 'system', code, reason: error.message };
}

/** The same class, errno, kind or code, and sentence. */
export function heardError(told: ToldError): Error {
  switch (told.of) {
    case 'flush':
      return new FlushFailure(told.errno, told.reason);
    case 'block':
      return new BlockError(told.errno, told.reason);
    case 'storage':
      return new StorageError(told.kind, told.reason);
    case 'system': {
      const { code, reason } = told;
      return Object.assign(new Error(reason), code === undefined ? {} : { code });
    }
  }
}

export function heardStorageError(told: ToldError): StorageError {
  return StorageError.from(heardError(told));
}

/** For log records: bunyan shows it as it shows an Error. */
export function loggedError(error: Error): object {
  const { name, message, stack } = error;
  const { code } = error as NodeJS.ErrnoException;
  return { name, message, stack, ...(code === undefined ? {} : { code }) };
}
