/** An NBD request as a block request that remembers which reply it is owed: names change here, once. */
import { NBD_CMD, NBD_CMD_FLAG, type NbdRequest } from 'nbd-server-helpers';
import { BlockError } from '../block/block-error.js';
import { BLOCK_FLAG, type BlockRequest, type BlockRequestKind } from '../block/block-request.js';

export class NbdJob implements BlockRequest {
  constructor(
    readonly kind: BlockRequestKind,
    readonly offsetBytes: number,
    readonly lengthBytes: number,
    readonly flags: number,
    readonly payload: readonly Buffer[],
    readonly cookieHigh: number,
    readonly cookieLow: number,
    /** A read whose answer must not come in several chunks (NBD_CMD_FLAG_DF). */
    readonly isUndivided: boolean,
  ) {}
}

/** NBD_CMD_DISC is no block request; the session sees to it. */
const KIND_OF_COMMAND = new Map<number, BlockRequestKind>([
  [NBD_CMD.READ, 'read'],
  [NBD_CMD.WRITE, 'write'],
  [NBD_CMD.FLUSH, 'flush'],
  [NBD_CMD.TRIM, 'trim'],
  [NBD_CMD.WRITE_ZEROES, 'write-zeroes'],
  [NBD_CMD.BLOCK_STATUS, 'block-status'],
  [NBD_CMD.CACHE, 'cache'],
]);

/** The NBD flags that become flags of the block request. */
const BLOCK_FLAG_OF: readonly (readonly [nbdFlag: number, blockFlag: number])[] = [
  [NBD_CMD_FLAG.FUA, BLOCK_FLAG.FUA],
  [NBD_CMD_FLAG.NO_HOLE, BLOCK_FLAG.NO_HOLE],
  [NBD_CMD_FLAG.FAST_ZERO, BLOCK_FLAG.FAST_ZERO],
  [NBD_CMD_FLAG.REQ_ONE, BLOCK_FLAG.ONE_EXTENT],
];

/** What the connection agreed on, as far as single requests depend on it. */
export interface AgreedFeatures {
  readonly structuredReplies: boolean;
  readonly extendedHeaders: boolean;
  readonly blockStatus: boolean;
}

/** @returns the job, or why the request is refused; limits and range are checked behind it (checkRequest). */
export function toNbdJob(request: NbdRequest, agreed: AgreedFeatures): NbdJob | BlockError {
  const kind = KIND_OF_COMMAND.get(request.command);
  if (kind === undefined) return new BlockError('EINVAL', `unknown command ${request.command}`);
  if (request.oversized) {
    return new BlockError(
      'EINVAL',
      `write of ${request.lengthBytes} bytes is longer than the payload limit`,
    );
  }
  if (kind === 'block-status' && !agreed.blockStatus) {
    return new BlockError('EINVAL', 'block status request without a negotiated metadata context');
  }
  const flags = request.flags === 0 ? 0 : toBlockFlags(request.flags, kind, agreed);
  if (flags === undefined) {
    return new BlockError(
      'EINVAL',
      `${kind} request with flags 0x${request.flags.toString(16)} that it cannot have`,
    );
  }
  return new NbdJob(
    kind,
    request.offsetBytes,
    request.lengthBytes,
    flags,
    request.payload,
    request.cookieHigh,
    request.cookieLow,
    (request.flags & NBD_CMD_FLAG.DF) !== 0,
  );
}

function toBlockFlags(
  nbdFlags: number,
  kind: BlockRequestKind,
  agreed: AgreedFeatures,
): number | undefined {
  let rest = nbdFlags;
  let flags = 0;
  for (const [nbdFlag, blockFlag] of BLOCK_FLAG_OF) {
    if ((rest & nbdFlag) === 0) continue;
    rest &= ~nbdFlag;
    flags |= blockFlag;
  }
  // "Do not fragment" changes the answer only, not what is asked of the device.
  if (kind === 'read' && agreed.structuredReplies) rest &= ~NBD_CMD_FLAG.DF;
  if (kind === 'write' && agreed.extendedHeaders) rest &= ~NBD_CMD_FLAG.PAYLOAD_LEN;
  return rest === 0 ? flags : undefined;
}
