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

/** Most extents of all reads of a batch: a bound for what a frame makes us allocate, as REQUESTS_PER_BATCH_MAX is. */
export const READ_EXTENTS_PER_BATCH_MAX = 16_384;

export const REPLY_LAYOUT: BatchLayout = {
  type: lookupType('blkferry.storage.v1.ReplyBatch'),
  columns: [TAG.sequence, TAG.reply.error, TAG.reply.payloadLength, TAG.payload],
  others: [TAG.reply.errorText, TAG.reply.extents, TAG.reply.writeVerifier, TAG.reply.readExtents],
};
type Columns = readonly [Span, Span, Span, Span];

const ERROR_TEXT = lookupType('blkferry.storage.v1.ErrorText');
const EXTENTS = lookupType('blkferry.storage.v1.Extents');

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
    const around = rare.readExtents.get(index);
    if (errorNumber !== 0) {
      if (lengthBytes > 0 || around !== undefined)
        invalid('a reply batch holds an error with a payload');
      results[index] = failed(toBlockError(errorNumber, rare.texts.get(index) ?? ''));
    } else if (lengthBytes > 0 || around !== undefined) {
      const data =
        around === undefined
          ? payload.take(lengthBytes)
          : takeAroundHoles(payload, lengthBytes, around);
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
function takeAroundHoles(
  payload: PayloadPieces,
  dataBytes: number,
  extents: readonly Extent[],
): Buffer[] {
  const pieces: Buffer[] = [];
  let missingBytes = dataBytes;
  let readBytes = 0;
  for (const { lengthBytes, zero } of extents) {
    readBytes += lengthBytes;
    if (!zero) missingBytes -= lengthBytes;
    if (missingBytes < 0 || readBytes > REQUEST_BYTES_MAX) break;
    if (zero) pieces.push(zeroPiece(lengthBytes));
    else pieces.push(...payload.take(lengthBytes));
  }
  if (missingBytes !== 0 || readBytes > REQUEST_BYTES_MAX)
    invalid('a reply batch holds a read whose extents do not fit it');
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

/** What few batches hold. */
interface RareFields {
  /** By index into the columns. */
  readonly texts: ReadonlyMap<number, string>;
  readonly extents: ReadonlyMap<number, Extent[]>;
  readonly readExtents: ReadonlyMap<number, Extent[]>;
  /** 0n if absent. */
  readonly writeVerifier: bigint;
}

const NOTHING_RARE: RareFields = {
  texts: new Map(),
  extents: new Map(),
  readExtents: new Map(),
  writeVerifier: 0n,
};

function readRare(bytes: Buffer, fields: readonly TaggedSpan[], count: number): RareFields {
  const texts = new Map<number, string>();
  const extents = new Map<number, Extent[]>();
  const ofReads = new Map<number, Extent[]>();
  let ofReadsCount = 0;
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
    } else {
      const { index, runs } = readExtents(content);
      const isOfRead = field.tag === TAG.reply.readExtents;
      const known = isOfRead ? ofReads : extents;
      if (index >= count || known.has(index))
        invalid('the extents of a reply batch do not fit its replies');
      known.set(index, runs);
      if (isOfRead) ofReadsCount += runs.length;
      if (ofReadsCount > READ_EXTENTS_PER_BATCH_MAX)
        invalid(`the reads of a reply batch have more than ${READ_EXTENTS_PER_BATCH_MAX} extents`);
    }
  }
  return { texts, extents, readExtents: ofReads, writeVerifier };
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
