/**
 * The parts of a reply batch that few replies have: the sentence of an error, the extents of a block status, the holes of
 * a read. Each is a small message that names its reply by its index into the columns, encoded when the batch is made.
 */
import type { Extent } from '../block/block-request.js';
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
export function encodeExtents(index: number, extents: readonly Extent[]): Buffer {
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

/** What a read with holes consists of, neighbours always different in kind. That they are not allocated is not said. */
export function extentsOfRead(payload: readonly Buffer[]): Extent[] {
  const extents: { lengthBytes: number; hole: boolean; zero: boolean }[] = [];
  for (const piece of payload) {
    const zero = isZeroPiece(piece);
    const last = extents.at(-1);
    if (last?.zero === zero) last.lengthBytes += piece.length;
    else extents.push({ lengthBytes: piece.length, hole: false, zero });
  }
  return extents;
}
