/**
 * Wire bytes → a batch of block results. The data of reads becomes views onto the received message,
 * never copies, and their holes become views of zeroes that are there already. Whether a result fits its
 * request is for the one who sent it to say; until then no read is longer than any may be.
 */
import { DONE, NO_PAYLOAD, failed, type BlockResult, type Extent } from '../block/block-request.js';
import { REQUEST_BYTES_MAX } from '../block/device-facts.js';
import { zeroPiece } from '../block/zeroes.js';
import {
  decodePlain,
  entries,
  invalid,
  readSequences,
  toColumns,
  type Batch,
  type BatchLayout,
  type Span,
  type TaggedSpan,
} from './batch-columns.js';
import { TAG } from './batch-encoding.js';
import type { PayloadPieces } from './payload-pieces.js';
import { lookupType } from './proto-root.js';
import { toBlockError } from './status-code.js';
import type { ReplyBatchFrame } from './storage-messages.js';

/** Most holes of one batch: a bound for what a frame makes us allocate, as REQUESTS_PER_BATCH_MAX is. */
export const HOLES_PER_BATCH_MAX = 16_384;

export const REPLY_LAYOUT: BatchLayout = {
  type: lookupType('blkferry.storage.v1.ReplyBatch'),
  columns: [TAG.sequence, TAG.reply.error, TAG.reply.payloadLength, TAG.payload],
  others: [TAG.reply.errorText, TAG.reply.extents, TAG.reply.writeVerifier, TAG.reply.holes],
};
type Columns = readonly [Span, Span, Span, Span];

const ERROR_TEXT = lookupType('blkferry.storage.v1.ErrorText');
const EXTENTS = lookupType('blkferry.storage.v1.Extents');
const HOLES = lookupType('blkferry.storage.v1.Holes');

/**
 * Bytes [start, end) of a frame hold a ReplyBatch.
 *
 * @throws StorageError 'invalid': the stream can no longer be trusted
 */
export function decodeReplyBatch(frame: Buffer, start: number, end: number): ReplyBatchFrame {
  return toReplyBatch(toColumns(frame, start, end, REPLY_LAYOUT));
}

/** @throws StorageError 'invalid', as above */
export function toReplyBatch(batch: Batch): ReplyBatchFrame {
  const { bytes, payload } = batch;
  const [sequence, error, payloadLength] = batch.columns as Columns;
  const count = entries(sequence, 8);
  if (entries(error, 4) !== count || entries(payloadLength, 4) !== count)
    invalid('the columns of a reply batch differ in length');
  const rare = batch.others.length === 0 ? NOTHING_RARE : readRare(bytes, batch.others, count);
  const results = new Array<BlockResult>(count);
  for (let index = 0; index < count; index += 1) {
    const errorNumber = bytes.readUInt32LE(error.start + 4 * index);
    const lengthBytes = bytes.readUInt32LE(payloadLength.start + 4 * index);
    if (lengthBytes > payload.leftBytes)
      invalid('the reads of a reply batch are longer than its payload');
    const holes = rare.holes.get(index);
    if (errorNumber !== 0) {
      if (lengthBytes > 0 || holes !== undefined)
        invalid('a reply batch holds an error with a payload');
      results[index] = failed(toBlockError(errorNumber, rare.texts.get(index) ?? ''));
    } else if (lengthBytes > 0 || holes !== undefined) {
      const data =
        holes === undefined
          ? payload.take(lengthBytes)
          : takeAroundHoles(payload, lengthBytes, holes);
      results[index] = { error: undefined, payload: data, extents: DONE.extents };
    } else {
      const extents = rare.extents.get(index);
      results[index] =
        extents === undefined ? DONE : { error: undefined, payload: NO_PAYLOAD, extents };
    }
  }
  if (payload.leftBytes !== 0) invalid('the payload of a reply batch is longer than its reads');
  return {
    kind: 'replies',
    sequences: readSequences(bytes, sequence, count),
    results,
    writeVerifier: rare.writeVerifier,
  };
}

/** @param dataBytes of the read that are in the payload */
function takeAroundHoles(payload: PayloadPieces, dataBytes: number, holes: Holes): Buffer[] {
  const pieces: Buffer[] = [];
  let missingBytes = dataBytes;
  let readBytes = dataBytes;
  for (const [at, lengthBytes] of holes.length.entries()) {
    const beforeBytes = holes.data[at] ?? 0;
    readBytes += lengthBytes;
    if (lengthBytes === 0 || beforeBytes > missingBytes || readBytes > REQUEST_BYTES_MAX)
      invalid('a reply batch holds holes that no read can have');
    missingBytes -= beforeBytes;
    pieces.push(...payload.take(beforeBytes), zeroPiece(lengthBytes));
  }
  pieces.push(...payload.take(missingBytes));
  return pieces;
}

/** Messages of storage.proto, as protobufjs gives them. */
interface ErrorText {
  readonly index: number;
  readonly text: string;
}
interface Extents {
  readonly index: number;
  readonly length: readonly { toNumber(): number }[];
  readonly state: readonly number[];
}
interface Holes {
  readonly index: number;
  readonly data: readonly number[];
  readonly length: readonly number[];
}

/** What few batches hold. */
interface RareFields {
  /** By index into the columns. */
  readonly texts: ReadonlyMap<number, string>;
  readonly extents: ReadonlyMap<number, Extent[]>;
  readonly holes: ReadonlyMap<number, Holes>;
  /** 0n if absent. */
  readonly writeVerifier: bigint;
}

const NOTHING_RARE: RareFields = {
  texts: new Map(),
  extents: new Map(),
  holes: new Map(),
  writeVerifier: 0n,
};

function readRare(bytes: Buffer, fields: readonly TaggedSpan[], count: number): RareFields {
  const texts = new Map<number, string>();
  const extents = new Map<number, Extent[]>();
  const holes = new Map<number, Holes>();
  let holeCount = 0;
  let writeVerifier = 0n;
  for (const field of fields) {
    if (field.tag === TAG.reply.writeVerifier) {
      writeVerifier = bytes.readBigUInt64LE(field.start);
      continue;
    }
    const content = bytes.subarray(field.start, field.start + field.bytes);
    if (field.tag === TAG.reply.errorText) {
      const { index, text } = decodePlain(ERROR_TEXT, content) as unknown as ErrorText;
      texts.set(index, text);
    } else if (field.tag === TAG.reply.holes) {
      const found = decodePlain(HOLES, content) as unknown as Holes;
      const { index, data, length } = found;
      if (index >= count || holes.has(index) || data.length === 0 || data.length !== length.length)
        invalid('the holes of a reply batch do not fit its replies');
      holeCount += length.length;
      if (holeCount > HOLES_PER_BATCH_MAX)
        invalid(`a reply batch holds ${holeCount} holes, more than ${HOLES_PER_BATCH_MAX}`);
      holes.set(index, found);
    } else {
      const { index, runs } = readExtents(content);
      if (index >= count || extents.has(index))
        invalid('the extents of a reply batch do not fit its replies');
      extents.set(index, runs);
    }
  }
  return { texts, extents, holes, writeVerifier };
}

function readExtents(content: Buffer): { index: number; runs: Extent[] } {
  const { index, length, state } = decodePlain(EXTENTS, content) as unknown as Extents;
  if (length.length === 0 || length.length !== state.length)
    invalid('a reply batch holds extents whose lengths and states differ in number');
  return { index, runs: length.map((one, at) => toExtent(one.toNumber(), state[at] ?? 0)) };
}

function toExtent(lengthBytes: number, state: number): Extent {
  if (!Number.isSafeInteger(lengthBytes) || lengthBytes <= 0 || state > 3)
    invalid(`a reply batch holds an extent of ${lengthBytes} bytes in state ${state}`);
  return { lengthBytes, hole: (state & 1) !== 0, zero: (state & 2) !== 0 };
}
