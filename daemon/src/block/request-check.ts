/**
 * The door: the only place that turns a bad request into an errno and a sentence.
 * Behind it (backends) the same facts are asserted.
 */
import { BlockError } from './block-error.js';
import { BLOCK_FLAG, changesContent, type BlockRequest } from './block-request.js';
import type { DeviceFacts } from './device-facts.js';

/**
 * @returns why the request must be refused, or undefined if it may go on.
 *   EPERM: a change on a read-only device; ENOSPC: a write or write-zeroes beyond the end;
 *   EINVAL: any other bad range, length or flag.
 */
export function checkRequest(request: BlockRequest, facts: DeviceFacts): BlockError | undefined {
  const { kind, offsetBytes, lengthBytes } = request;
  if (kind === 'flush') {
    return offsetBytes === 0 && lengthBytes === 0
      ? checkFlags(request)
      : new BlockError('EINVAL', 'flush request with an offset or a length');
  }
  if (!facts.capabilities.canWrite && changesContent(kind)) {
    return new BlockError('EPERM', `${kind} request on a read-only volume`);
  }
  if (lengthBytes === 0) {
    return new BlockError('EINVAL', `${kind} request of zero bytes at ${offsetBytes}`);
  }
  if (offsetBytes % facts.blockBytes !== 0 || lengthBytes % facts.blockBytes !== 0) {
    const range = `offset ${offsetBytes}, length ${lengthBytes}`;
    return new BlockError(
      'EINVAL',
      `${kind} request (${range}) is not aligned to ${facts.blockBytes} bytes`,
    );
  }
  if ((kind === 'read' || kind === 'write') && lengthBytes > facts.requestBytesMax) {
    return new BlockError(
      'EINVAL',
      `${kind} of ${lengthBytes} bytes, at most ${facts.requestBytesMax} are allowed`,
    );
  }
  const endBytes = offsetBytes + lengthBytes;
  if (endBytes > facts.sizeBytes) {
    const errno = kind === 'write' || kind === 'write-zeroes' ? 'ENOSPC' : 'EINVAL';
    return new BlockError(errno, `${kind} request ends at byte ${endBytes} of ${facts.sizeBytes}`);
  }
  return checkFlags(request);
}

/** Which flags each kind may carry. FUA is harmless on the others and ignored, as NBD asks. */
function checkFlags(request: BlockRequest): BlockError | undefined {
  if (request.flags === 0) return undefined;
  const extra = request.flags & ~allowedFlags(request.kind);
  if (extra === 0) return undefined;
  return new BlockError(
    'EINVAL',
    `${request.kind} request with flags 0x${extra.toString(16)} that it cannot have`,
  );
}

function allowedFlags(kind: BlockRequest['kind']): number {
  switch (kind) {
    case 'write-zeroes':
      return BLOCK_FLAG.FUA | BLOCK_FLAG.NO_HOLE | BLOCK_FLAG.FAST_ZERO;
    case 'block-status':
      return BLOCK_FLAG.FUA | BLOCK_FLAG.ONE_EXTENT;
    default:
      return BLOCK_FLAG.FUA;
  }
}
