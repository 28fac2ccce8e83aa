/**
 * gRPC status codes and storage error kinds, both ways; errno numbers of the wire and ours. All tables
 * are total: a new kind or errno does not compile until it is here.
 */
import { status } from './grpc-status.js';
import { BLOCK_ERRNO, BlockError, type BlockErrno } from '../block/block-error.js';
import { StorageError, type StorageErrorKind } from './storage-error.js';

const STATUS_OF_KIND: Readonly<Record<StorageErrorKind, status>> = {
  'not-found': status.NOT_FOUND,
  exists: status.ALREADY_EXISTS,
  refused: status.FAILED_PRECONDITION,
  fenced: status.ABORTED,
  invalid: status.INVALID_ARGUMENT,
  exhausted: status.RESOURCE_EXHAUSTED,
  damaged: status.DATA_LOSS,
  unavailable: status.UNAVAILABLE,
  denied: status.PERMISSION_DENIED,
  internal: status.INTERNAL,
};

const KIND_OF_STATUS: Readonly<Record<status, StorageErrorKind>> = {
  [status.OK]: 'internal',
  [status.CANCELLED]: 'unavailable',
  [status.UNKNOWN]: 'internal',
  [status.INVALID_ARGUMENT]: 'invalid',
  [status.DEADLINE_EXCEEDED]: 'unavailable',
  [status.NOT_FOUND]: 'not-found',
  [status.ALREADY_EXISTS]: 'exists',
  [status.PERMISSION_DENIED]: 'denied',
  [status.RESOURCE_EXHAUSTED]: 'exhausted',
  [status.FAILED_PRECONDITION]: 'refused',
  [status.ABORTED]: 'fenced',
  [status.OUT_OF_RANGE]: 'invalid',
  [status.UNIMPLEMENTED]: 'internal',
  [status.INTERNAL]: 'internal',
  [status.UNAVAILABLE]: 'unavailable',
  [status.DATA_LOSS]: 'damaged',
  [status.UNAUTHENTICATED]: 'denied',
};

/** A status message travels in an HTTP/2 header, percent-encoded: this stays far below what headers may have. */
const SENTENCE_CHARS_MAX = 1000;

/** What a handler ends a call or stream with: the kind as a status code, the sentence as its message. */
export function toServiceError(error: unknown): { code: status; details: string } {
  if (error instanceof StorageError)
    return { code: STATUS_OF_KIND[error.kind], details: toSentence(error.message) };
  if (error instanceof BlockError && error.errno === 'ENOSPC') {
    return { code: status.RESOURCE_EXHAUSTED, details: toSentence(error.reason) };
  }
  const text = error instanceof Error ? error.message : String(error);
  return { code: status.INTERNAL, details: toSentence(text) };
}

/**
 * Sentences quote names that came over the wire. Half a surrogate pair in one of them would make grpc-js
 * throw where nobody catches: going through UTF-8 replaces it.
 */
function toSentence(text: string): string {
  return Buffer.from(text.slice(0, SENTENCE_CHARS_MAX)).toString();
}

/** A code that gRPC does not define is a bug of the other side. */
export function kindOfStatus(code: number): StorageErrorKind {
  const kinds: Readonly<Record<number, StorageErrorKind | undefined>> = KIND_OF_STATUS;
  return kinds[code] ?? 'internal';
}

const ERRNO_OF_NUMBER = new Map<number, BlockErrno>(
  Object.entries(BLOCK_ERRNO).map(([errno, number]) => [number, errno as BlockErrno]),
);

/** An error of the wire; a number that this version does not know is an EIO that says so. */
export function toBlockError(errorNumber: number, text: string): BlockError {
  const errno = ERRNO_OF_NUMBER.get(errorNumber);
  if (errno === undefined)
    return new BlockError('EIO', `${text} (error ${errorNumber})`.trimStart());
  return new BlockError(errno, text === '' ? 'the node gave no reason' : text);
}
