/** What a BlockError is called in NBD (proto.md, "Error values"). A total table: a new errno does not compile until it is here. */
import type { BlockErrno } from '../block/block-error.js';

export const NBD_ERRNO: Readonly<Record<BlockErrno, number>> = {
  EPERM: 1,
  EIO: 5,
  ENOMEM: 12,
  EINVAL: 22,
  ENOSPC: 28,
  EOVERFLOW: 75,
  ENOTSUP: 95,
  ESHUTDOWN: 108,
};
