/**
 * Finds the columns of a batch in wire bytes: one walk over its fields, in any order, copying nothing.
 * What the columns mean is the business of request-decoding.ts and reply-decoding.ts.
 *
 * Nothing here trusts the peer: every length is checked before it is used, and whatever is wrong ends
 * as StorageError 'invalid' with a sentence.
 */
import type protobuf from 'protobufjs';
import { NO_PAYLOAD } from '../block/block-request.js';
import { PayloadPieces } from './payload-pieces.js';
import { StorageError } from './storage-error.js';
import { WIRE_TYPE, WireReader, readFixed64 } from './wire-reader.js';

/**
 * Most entries of one batch; more is a flood. A frame of 256 KiB (what our daemon sends at a time) holds
 * a tenth of it; the bound is for what one frame makes us allocate: 16384 requests are 2 MiB of objects.
 */
export const REQUESTS_PER_BATCH_MAX = 16_384;

/** Where the content of a field is; absent columns are empty. */
export interface Span {
  start: number;
  bytes: number;
}

/** A field that is not a column: its tag and where its content is. */
export interface TaggedSpan extends Span {
  readonly tag: number;
}

export interface FoundColumns {
  /** In the order of the layout's column tags. */
  readonly columns: readonly Span[];
  readonly others: readonly TaggedSpan[];
}

/** The tags of a kind of batch. Columns may come once, the last of them is the payload; `others` any number of times. */
export interface BatchLayout {
  readonly type: protobuf.Type;
  readonly columns: readonly number[];
  readonly others: readonly number[];
}

export function invalid(sentence: string): never {
  throw new StorageError('invalid', sentence);
}

/** A batch's columns, as spans of `bytes`, and its payload. */
export interface Batch extends FoundColumns {
  readonly bytes: Buffer;
  readonly payload: PayloadPieces;
}

/**
 * The columns of the batch in bytes [start, end). What a protobuf library may also write (columns that
 * are unpacked or come in pieces) is brought into our layout by protobufjs first, which is slower and
 * just as right.
 */
export function toColumns(bytes: Buffer, start: number, end: number, layout: BatchLayout): Batch {
  const found = findColumns(bytes, start, end, layout);
  if (found !== undefined) return withPayload(bytes, found);
  const plain = inOurLayout(layout.type, bytes.subarray(start, end));
  const again =
    findColumns(plain, 0, plain.length, layout) ??
    invalid(`a ${layout.type.name} has a field of the wrong wire type`);
  return withPayload(plain, again);
}

function withPayload(bytes: Buffer, found: FoundColumns): Batch {
  const { columns, others } = found;
  const span = columns[columns.length - 1];
  const hasPayload = span !== undefined && span.bytes > 0;
  const payload = hasPayload ? [bytes.subarray(span.start, span.start + span.bytes)] : NO_PAYLOAD;
  return { bytes, columns, others, payload: new PayloadPieces(payload) };
}

/**
 * The columns of a batch whose payload, the last of it, goes on beyond `bytes`: nothing is read behind its length.
 *
 * @param end the batch's, beyond the end of `bytes`
 * @returns where the payload begins, and the rest; undefined if `bytes` do not hold all the rest, or it stands elsewhere
 */
export function findHeadColumns(
  bytes: Buffer,
  start: number,
  end: number,
  layout: BatchLayout,
): (FoundColumns & { readonly payloadStart: number }) | undefined {
  const reader = new WireReader(bytes, start, bytes.length);
  const payloadTag = layout.columns[layout.columns.length - 1];
  for (let at = start, tag = reader.tag(); tag !== 0; at = reader.at, tag = reader.tag()) {
    if (tag === payloadTag) {
      const lengthBytes = reader.varint();
      const payloadStart = reader.at;
      if (payloadStart + lengthBytes !== end) return undefined;
      const head = findColumns(bytes, start, at, layout);
      return head && { ...head, payloadStart };
    }
    reader.skip(tag & 7);
  }
  return undefined;
}

/** @returns undefined if a column comes twice or unpacked: valid protobuf, but not our layout */
function findColumns(
  bytes: Buffer,
  start: number,
  end: number,
  layout: BatchLayout,
): FoundColumns | undefined {
  const reader = new WireReader(bytes, start, end);
  const columns: Span[] = layout.columns.map(() => ({ start: 0, bytes: 0 }));
  const others: TaggedSpan[] = [];
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    const column = columns[layout.columns.indexOf(tag)];
    if (column !== undefined) {
      const lengthBytes = reader.length();
      if (column.bytes > 0) return undefined;
      column.start = reader.at;
      column.bytes = lengthBytes;
      reader.at += lengthBytes;
    } else if (layout.others.includes(tag)) {
      const isBytes = (tag & 7) === WIRE_TYPE.BYTES;
      const lengthBytes = isBytes ? reader.length() : 0;
      const valueStart = reader.at;
      if (isBytes) reader.at += lengthBytes;
      else reader.skip(tag & 7);
      others.push({ tag, start: valueStart, bytes: reader.at - valueStart });
    } else if (layout.columns.includes((tag & ~7) | WIRE_TYPE.BYTES)) {
      return undefined;
    } else {
      reader.skip(tag & 7);
    }
  }
  return { columns, others };
}

function inOurLayout(type: protobuf.Type, bytes: Buffer): Buffer {
  try {
    return Buffer.from(type.encode(type.decode(bytes)).finish());
  } catch (error) {
    throw new StorageError('invalid', `a ${type.name} is broken: ${(error as Error).message}`, {
      cause: error,
    });
  }
}

/** A message inside a batch, as protobufjs sees it. */
export function decodePlain(type: protobuf.Type, bytes: Buffer): protobuf.Message {
  try {
    return type.decode(bytes);
  } catch (error) {
    throw new StorageError('invalid', `a frame holds a broken ${type.name}`, { cause: error });
  }
}

/** Entries of a column of this width. */
export function entries(column: Span, widthBytes: number): number {
  const count = column.bytes / widthBytes;
  if (!Number.isInteger(count)) invalid('a column of a batch is not a whole number of entries');
  if (count > REQUESTS_PER_BATCH_MAX)
    invalid(`a batch holds ${count} entries, more than ${REQUESTS_PER_BATCH_MAX}`);
  return count;
}

export function readSequences(bytes: Buffer, column: Span, count: number): number[] {
  const sequences = new Array<number>(count);
  for (let index = 0; index < count; index += 1)
    sequences[index] = readFixed64(bytes, column.start + 8 * index);
  return sequences;
}
