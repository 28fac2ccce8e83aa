/**
 * The payload of block status replies: runs of equal status ("extents"), with 32-bit fields in
 * structured replies and 64-bit ones in extended replies. Chunk headers are structured-reply.ts.
 *
 *   BLOCK_STATUS      u32 context id, then per extent  u32 length, u32 status
 *   BLOCK_STATUS_EXT  u32 context id, u32 count, then per extent  u64 length, u64 status
 */
import assert from 'node:assert/strict';
import { NBD_EXTENTS_MAX, NBD_MINIMUM_BLOCK_BYTES_MAX, NBD_REPLY_TYPE } from './constants.js';
import { NbdProtocolError } from './protocol-error.js';
import { chunkHeaderBytes, writeChunkHeader, type ReplyKind } from './structured-reply.js';
import { readUint64, writeUint32, writeUint64 } from './wire-number.js';

/** One run of blocks with the same status. */
export interface NbdExtent {
  /** Above 0. */
  readonly lengthBytes: number;
  /** Bits of NBD_STATE for base:allocation. */
  readonly flags: number;
}

/**
 * The longest extent that fits 32 bits and ends at a block border whatever the block size; a longer
 * one is cut here, and the client asks again behind it.
 */
const NARROW_EXTENT_BYTES_MAX = 2 ** 32 - NBD_MINIMUM_BLOCK_BYTES_MAX;

const NARROW = { headBytes: 4, extentBytes: 8 } as const;
const WIDE = { headBytes: 8, extentBytes: 16 } as const;

/**
 * The reply to a block status request on a connection with one metadata context.
 *
 * @param contextId as announced in the handshake
 * @param extents in order from the request's offset, at least one; what exceeds the format's limits is
 *   left out at the end, which the specification allows
 * @param offsetBytes the offset of the request: extended replies must repeat it, and clients check it
 */
export function encodeBlockStatusReply(
  kind: ReplyKind,
  cookieHigh: number,
  cookieLow: number,
  contextId: number,
  extents: readonly NbdExtent[],
  offsetBytes = 0,
): Buffer {
  assert(kind !== 'simple', 'block status needs structured or extended replies');
  const isWide = kind === 'extended';
  const sent = isWide ? extents.slice(0, NBD_EXTENTS_MAX) : fitNarrow(extents);
  assert(sent.length > 0, 'a block status reply has at least one extent');
  const { headBytes, extentBytes } = isWide ? WIDE : NARROW;
  const payloadBytes = headBytes + sent.length * extentBytes;
  const reply = Buffer.allocUnsafe(chunkHeaderBytes(kind) + payloadBytes);
  const type = isWide ? NBD_REPLY_TYPE.BLOCK_STATUS_EXT : NBD_REPLY_TYPE.BLOCK_STATUS;
  let at = writeChunkHeader(kind, reply, 0, type, cookieHigh, cookieLow, offsetBytes, payloadBytes);
  at = writeUint32(reply, at, contextId);
  if (isWide) at = writeUint32(reply, at, sent.length);
  for (const { lengthBytes, flags } of sent) {
    assert(lengthBytes > 0, 'an extent has at least one byte');
    at = isWide ? writeUint64(reply, at, lengthBytes) : writeUint32(reply, at, lengthBytes);
    at = isWide ? writeUint64(reply, at, flags) : writeUint32(reply, at, flags);
  }
  return reply;
}

/** As many extents as 32-bit fields can tell: up to and including the first one that must be cut. */
function fitNarrow(extents: readonly NbdExtent[]): NbdExtent[] {
  const fitting: NbdExtent[] = [];
  for (const { lengthBytes, flags } of extents) {
    if (fitting.length === NBD_EXTENTS_MAX) break;
    fitting.push({ lengthBytes: Math.min(lengthBytes, NARROW_EXTENT_BYTES_MAX), flags });
    if (lengthBytes > NARROW_EXTENT_BYTES_MAX) break;
  }
  return fitting;
}

/**
 * Decodes a chunk's payload, client side.
 *
 * @param isWide the chunk's type is BLOCK_STATUS_EXT
 * @throws NbdProtocolError if lengths and counts do not agree, or an extent is empty
 */
export function decodeBlockStatus(
  payload: Buffer,
  isWide: boolean,
): { contextId: number; extents: NbdExtent[] } {
  const { headBytes, extentBytes } = isWide ? WIDE : NARROW;
  const count = (payload.length - headBytes) / extentBytes;
  const hasRightCount =
    !isWide || (payload.length >= headBytes && payload.readUInt32BE(4) === count);
  if (count < 1 || !Number.isInteger(count) || !hasRightCount) {
    throw new NbdProtocolError(`block status of ${payload.length} bytes is not a row of extents`);
  }
  const extents: NbdExtent[] = [];
  for (let at = headBytes; at < payload.length; at += extentBytes) {
    const lengthBytes = isWide ? readUint64(payload, at) : payload.readUInt32BE(at);
    const flags = isWide ? readUint64(payload, at + 8) : payload.readUInt32BE(at + 4);
    if (lengthBytes === 0) throw new NbdProtocolError('block status with an empty extent');
    extents.push({ lengthBytes, flags });
  }
  return { contextId: payload.readUInt32BE(0), extents };
}
