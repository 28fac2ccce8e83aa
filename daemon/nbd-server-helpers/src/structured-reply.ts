/**
 * Replies in chunks, structured and extended: encode, server side. Every request is answered with one
 * chunk, which is also the last, but a read of which parts are holes: it may have one for each part. Reading
 * them is reply-stream.ts, extents are block-status.ts.
 *
 * Layout, network byte order (proto.md, "Structured reply chunk message", "Extended reply chunk message"):
 *    0  u32  magic    4  u16  flags    6  u16  type    8  u64  cookie
 *   structured:  16  u32  payload length
 *   extended:    16  u64  offset of the request    24  u64  payload length
 */
import assert from 'node:assert/strict';
import { NBD_MAGIC, NBD_REPLY_FLAG, NBD_REPLY_TYPE } from './constants.js';
import { SIMPLE_REPLY_BYTES, writeSimpleReply } from './simple-reply.js';
import { writeUint16, writeUint32, writeUint64 } from './wire-number.js';
import { encodeText } from './wire-string.js';

/** How the two sides agreed to answer; fixed for the whole connection. */
export type ReplyKind = 'simple' | 'structured' | 'extended';

export const STRUCTURED_CHUNK_HEADER_BYTES = 20;
export const EXTENDED_CHUNK_HEADER_BYTES = 32;

/** Of a read's data chunk: the data's own offset stands before it. */
export const DATA_OFFSET_BYTES = 8;

/** Room that writeReadHeader and writeDoneReply need at most, whatever the kind. */
export const READ_HEADER_BYTES_MAX = EXTENDED_CHUNK_HEADER_BYTES + DATA_OFFSET_BYTES;

/** Behind its offset, a hole's length. */
const HOLE_LENGTH_BYTES = 4;

/** Room that writeReadPart needs at most. */
export const READ_PART_BYTES_MAX = READ_HEADER_BYTES_MAX + HOLE_LENGTH_BYTES;

/** Error texts are cut to the length up to which strings "SHOULD" be kept. */
export const ERROR_TEXT_BYTES_MAX = 256;

/** Of an error chunk: the error number and the text's length. */
const ERROR_FIELDS_BYTES = 6;

/** @returns bytes of a chunk's header */
export function chunkHeaderBytes(kind: 'structured' | 'extended'): number {
  return kind === 'extended' ? EXTENDED_CHUNK_HEADER_BYTES : STRUCTURED_CHUNK_HEADER_BYTES;
}

/**
 * Writes the header of a chunk, by default the only one of its reply.
 *
 * @param type a number of NBD_REPLY_TYPE
 * @param offsetBytes the offset of the request; only extended replies carry it
 * @returns the position behind the header
 */
export function writeChunkHeader(
  kind: 'structured' | 'extended',
  target: Buffer,
  at: number,
  type: number,
  cookieHigh: number,
  cookieLow: number,
  offsetBytes: number,
  payloadBytes: number,
  isLast = true,
): number {
  const isExtended = kind === 'extended';
  writeUint32(target, at, isExtended ? NBD_MAGIC.EXTENDED_REPLY : NBD_MAGIC.STRUCTURED_REPLY);
  writeUint16(target, at + 4, isLast ? NBD_REPLY_FLAG.DONE : 0);
  writeUint16(target, at + 6, type);
  writeUint32(target, at + 8, cookieHigh);
  writeUint32(target, at + 12, cookieLow);
  if (!isExtended) return writeUint32(target, at + 16, payloadBytes);
  return writeUint64(target, writeUint64(target, at + 16, offsetBytes), payloadBytes);
}

/**
 * Writes the success of a request that returns nothing.
 *
 * @param target has READ_HEADER_BYTES_MAX left from `at` on
 * @param offsetBytes the offset of the request: extended replies must repeat it, and clients check it
 * @returns the position behind the reply
 */
export function writeDoneReply(
  kind: ReplyKind,
  target: Buffer,
  at: number,
  cookieHigh: number,
  cookieLow: number,
  offsetBytes = 0,
): number {
  if (kind === 'simple') return writeSimpleReply(target, at, 0, cookieHigh, cookieLow);
  const type = NBD_REPLY_TYPE.NONE;
  return writeChunkHeader(kind, target, at, type, cookieHigh, cookieLow, offsetBytes, 0);
}

/**
 * Writes what precedes the data of a successful read; the caller puts exactly `lengthBytes` behind it.
 * The data must be at hand already: after this header a failure could not be told any more.
 *
 * @param target has READ_HEADER_BYTES_MAX left from `at` on
 * @param offsetBytes of the request, and thereby of the data
 * @param lengthBytes of the request; a read of nothing is answered without a data chunk
 * @returns the position where the data goes
 */
export function writeReadHeader(
  kind: ReplyKind,
  target: Buffer,
  at: number,
  cookieHigh: number,
  cookieLow: number,
  offsetBytes: number,
  lengthBytes: number,
): number {
  if (kind === 'simple' || lengthBytes === 0) {
    return writeDoneReply(kind, target, at, cookieHigh, cookieLow, offsetBytes);
  }
  const type = NBD_REPLY_TYPE.OFFSET_DATA;
  const payloadBytes = DATA_OFFSET_BYTES + lengthBytes;
  const behindHeader = writeChunkHeader(
    kind,
    target,
    at,
    type,
    cookieHigh,
    cookieLow,
    offsetBytes,
    payloadBytes,
  );
  return writeUint64(target, behindHeader, offsetBytes);
}

/** A part of a read that is data throughout, or nothing but zeroes, which are not sent. */
export interface ReadPart {
  readonly isHole: boolean;
  /** Of the part, not of the request. */
  readonly offsetBytes: number;
  /** Above 0, below 2^32. */
  readonly lengthBytes: number;
  /** The last chunk of the reply. */
  readonly isLast: boolean;
}

/**
 * Writes a chunk of a read's reply: all of it for a hole, for data what precedes them. The parts of a reply are those of
 * the request without gaps. A client that asked not to be sent several chunks (NBD_CMD_FLAG_DF) gets one part.
 *
 * @param target has READ_PART_BYTES_MAX left from `at` on
 * @param offsetBytes of the request: extended replies must repeat it, and clients check it
 * @returns the position behind it
 */
export function writeReadPart(
  kind: 'structured' | 'extended',
  target: Buffer,
  at: number,
  cookieHigh: number,
  cookieLow: number,
  offsetBytes: number,
  part: ReadPart,
): number {
  const { isHole, lengthBytes, isLast } = part;
  const type = isHole ? NBD_REPLY_TYPE.OFFSET_HOLE : NBD_REPLY_TYPE.OFFSET_DATA;
  const behindHeader = writeChunkHeader(
    kind,
    target,
    at,
    type,
    cookieHigh,
    cookieLow,
    offsetBytes,
    DATA_OFFSET_BYTES + (isHole ? HOLE_LENGTH_BYTES : lengthBytes),
    isLast,
  );
  const behindOffset = writeUint64(target, behindHeader, part.offsetBytes);
  return isHole ? writeUint32(target, behindOffset, lengthBytes) : behindOffset;
}

/**
 * The reply to a failed request.
 *
 * @param error a number of NBD_ERROR, never 0
 * @param text for a human; cut to ERROR_TEXT_BYTES_MAX. A simple reply has no room for it
 * @param offsetBytes the offset of the request: extended replies must repeat it, and clients check it
 */
export function encodeErrorReply(
  kind: ReplyKind,
  cookieHigh: number,
  cookieLow: number,
  error: number,
  text: string,
  offsetBytes = 0,
): Buffer {
  assert(error !== 0, 'an error reply needs an error');
  if (kind === 'simple') {
    const reply = Buffer.allocUnsafe(SIMPLE_REPLY_BYTES);
    writeSimpleReply(reply, 0, error, cookieHigh, cookieLow);
    return reply;
  }
  const textBytes = encodeText(text, ERROR_TEXT_BYTES_MAX);
  const payloadBytes = ERROR_FIELDS_BYTES + textBytes.length;
  const reply = Buffer.allocUnsafe(chunkHeaderBytes(kind) + payloadBytes);
  const type = NBD_REPLY_TYPE.ERROR;
  let at = writeChunkHeader(kind, reply, 0, type, cookieHigh, cookieLow, offsetBytes, payloadBytes);
  at = writeUint32(reply, at, error);
  at = writeUint16(reply, at, textBytes.length);
  textBytes.copy(reply, at);
  return reply;
}
