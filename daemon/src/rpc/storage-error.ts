/**
 * Why a call to a storage node, or a whole session, failed: a kind that code can act on and a sentence
 * for people. The table between kinds and gRPC status codes is status-code.ts. A failed single request
 * is a BlockError instead.
 */
export type StorageErrorKind =
  /** No such volume. */
  | 'not-found'
  /** The name is taken by something different. */
  | 'exists'
  /** The state does not allow it: somebody holds the lease, sessions are open, would shrink. */
  | 'refused'
  /** Another writer has, or had, the volume: this one must not write again. */
  | 'fenced'
  /** A setting or a frame is wrong. */
  | 'invalid'
  /** Disk, volume or session limit reached. */
  | 'exhausted'
  /** Something arrived changed, or did not arrive; nothing of it was used. Worth a retry. */
  | 'damaged'
  /** The node does not answer, or the connection broke. Worth a retry. */
  | 'unavailable'
  /** Not allowed to this client. */
  | 'denied'
  /** Anything else: a bug on one of the two sides. */
  | 'internal';

export class StorageError extends Error {
  override readonly name = 'StorageError';

  constructor(
    readonly kind: StorageErrorKind,
    message: string,
    options?: { cause?: unknown },
  ) {
    super(message, options);
  }

  /** Wraps anything caught that is none as 'internal'; the original stays as `cause`. */
  static from(reason: unknown): StorageError {
    if (reason instanceof StorageError) return reason;
    const sentence = reason instanceof Error ? reason.message : String(reason);
    return new StorageError('internal', sentence, { cause: reason });
  }
}
