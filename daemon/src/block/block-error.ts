/**
 * The one error that crosses room borders for a block request: an errno that the
 * guest will see and a sentence for the log. How it looks in NBD is nbd-errno.ts,
 * how it looks on the storage wire is rpc/status-errno.ts.
 */

/** The errors a block request can end with, with Linux's numbers, which are also NBD's and storage.proto's. */
export const BLOCK_ERRNO = {
  EPERM: 1,
  EIO: 5,
  ENOMEM: 12,
  EINVAL: 22,
  ENOSPC: 28,
  EOVERFLOW: 75,
  ENOTSUP: 95,
  ESHUTDOWN: 108,
} as const;

export type BlockErrno = keyof typeof BLOCK_ERRNO;

export class BlockError extends Error {
  override readonly name = 'BlockError';

  constructor(
    readonly errno: BlockErrno,
    /** The sentence without the errno in front. */
    readonly reason: string,
    options?: { cause?: unknown },
  ) {
    super(`[${errno}] ${reason}`, options);
  }

  /** Wraps anything caught; an errno that Node knows is kept, the original stays as `cause`. */
  static from(cause: unknown, fallback: BlockErrno = 'EIO'): BlockError {
    if (cause instanceof BlockError) return cause;
    const code = (cause as { code?: unknown } | undefined)?.code;
    const errno = typeof code === 'string' ? (SYSTEM_ERRNO[code] ?? fallback) : fallback;
    return new BlockError(errno, cause instanceof Error ? cause.message : String(cause), { cause });
  }
}

/** System errors that mean something to a guest; all others are EIO. A full quota is a full disk. */
const SYSTEM_ERRNO: Readonly<Record<string, BlockErrno>> = {
  EPERM: 'EPERM',
  EROFS: 'EPERM',
  ENOMEM: 'ENOMEM',
  ENOSPC: 'ENOSPC',
  EDQUOT: 'ENOSPC',
  EFBIG: 'ENOSPC',
  EOPNOTSUPP: 'ENOTSUP',
  ENOTSUP: 'ENOTSUP',
};
