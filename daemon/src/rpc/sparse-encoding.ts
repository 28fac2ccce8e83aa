/**
 * The parts of a reply batch that few replies have: the sentence of an error, the extents of a block status, the holes of
 * a read. Each is a small message that names its reply by its index into the columns, encoded when the batch is made.
 */
import type { BlockResult } from '../block/block-request.js';
import { isZeroPiece } from '../block/zeroes.js';
import { varintBytes, writeFixed64, writeVarint } from './wire-reader.js';

/** Bytes of a packed column or other length-delimited field with its tag; 0 if it is empty and left out. */
export function fieldBytes(contentBytes: number): number {
  return contentBytes === 0 ? 0 : 1 + varintBytes(contentBytes) + contentBytes;
}

/** The tag and length of a field; nothing for an empty one, which is left out. */
export function writeTag(target: Buffer, tag: number, contentBytes: number, at: number): number {
  if (contentBytes === 0) return at;
  target[at] = tag;
  return writeVarint(target, contentBytes, at + 1);
}

export function sparseBytes(messages: readonly Buffer[]): number {
  let bytes = 0;
  for (const message of messages) bytes += 1 + varintBytes(message.length) + message.length;
  return bytes;
}

export function writeSparse(
  target: Buffer,
  tag: number,
  messages: readonly Buffer[],
  at: number,
): number {
  let end = at;
  for (const message of messages) {
    end = writeTag(target, tag, message.length, end);
    end += message.copy(target, end);
  }
  return end;
}

/** Longer sentences are cut: they are for a log line. */
export const ERROR_TEXT_CHARS_MAX = 300;

/** ErrorText { index = 1 (left out if 0), text = 2 }; the reason is not empty. */
export function encodeErrorText(index: number, reason: string): Buffer {
  const text = Buffer.from(reason.slice(0, ERROR_TEXT_CHARS_MAX));
  const bytes = Buffer.alloc((index === 0 ? 0 : 1 + varintBytes(index)) + fieldBytes(text.length));
  text.copy(bytes, writeTag(bytes, 0x12, text.length, writeIndex(bytes, index)));
  return bytes;
}

/** Extents { index = 1 (left out if 0), length = 2 (packed fixed64), state = 3 (packed varint, one byte each) } */
export function encodeExtents(index: number, { extents }: BlockResult): Buffer {
  const count = extents.length;
  const bytes = Buffer.alloc(
    (index === 0 ? 0 : 1 + varintBytes(index)) + fieldBytes(8 * count) + fieldBytes(count),
  );
  let at = writeTag(bytes, 0x12, 8 * count, writeIndex(bytes, index));
  for (const { lengthBytes } of extents) at = writeFixed64(bytes, lengthBytes, at);
  at = writeTag(bytes, 0x1a, count, at);
  for (const { hole, zero } of extents) {
    bytes[at] = (hole ? 1 : 0) + (zero ? 2 : 0);
    at += 1;
  }
  return bytes;
}

function writeIndex(bytes: Buffer, index: number): number {
  if (index === 0) return 0;
  bytes[0] = 0x08;
  return writeVarint(bytes, index, 1);
}

/**
 * Holes { index = 1 (left out if 0), data = 2, length = 3 (both packed fixed32) }
 *
 * @param payload has holes
 * @returns the message, and how many bytes of the payload need not be sent
 */
export function encodeHoles(
  index: number,
  payload: readonly Buffer[],
): { readonly message: Buffer; readonly leftOutBytes: number } {
  const data: number[] = [];
  const lengths: number[] = [];
  let dataBytes = 0;
  let leftOutBytes = 0;
  for (const piece of payload) {
    if (isZeroPiece(piece)) {
      data.push(dataBytes);
      lengths.push(piece.length);
      dataBytes = 0;
      leftOutBytes += piece.length;
    } else dataBytes += piece.length;
  }
  const columnBytes = 4 * data.length;
  const message = Buffer.alloc(
    (index === 0 ? 0 : 1 + varintBytes(index)) + 2 * fieldBytes(columnBytes),
  );
  let at = writeTag(message, 0x12, columnBytes, writeIndex(message, index));
  for (const bytes of data) at = message.writeUInt32LE(bytes, at);
  at = writeTag(message, 0x1a, columnBytes, at);
  for (const bytes of lengths) at = message.writeUInt32LE(bytes, at);
  return { message, leftOutBytes };
}
