/**
 * Wire bytes → a batch of block requests. Payloads become views onto the received message, never copies.
 * Whether a request is acceptable to a device is decided later (block/request-check.ts); here only the
 * frame must make sense.
 */
import {
  BLOCK_FLAG,
  BLOCK_OPERATION,
  NO_PAYLOAD,
  type BlockRequest,
  type BlockRequestKind,
} from '../block/block-request.js';
import {
  entries,
  invalid,
  readSequences,
  toColumns,
  type Batch,
  type BatchLayout,
  type Span,
} from './batch-columns.js';
import { TAG } from './batch-encoding.js';
import { lookupType } from './proto-root.js';
import type { RequestBatchFrame } from './storage-messages.js';
import { readFixed64 } from './wire-reader.js';

export const REQUEST_LAYOUT: BatchLayout = {
  type: lookupType('blkferry.storage.v1.RequestBatch'),
  columns: [
    TAG.sequence,
    TAG.request.operation,
    TAG.request.offset,
    TAG.request.length,
    TAG.payload,
  ],
  others: [],
};
type Columns = readonly [Span, Span, Span, Span, Span];

/** Index: number of the operation. */
const KINDS: readonly (BlockRequestKind | undefined)[] = kindsByOperation();
const FLAGS_KNOWN =
  BLOCK_FLAG.FUA | BLOCK_FLAG.NO_HOLE | BLOCK_FLAG.FAST_ZERO | BLOCK_FLAG.ONE_EXTENT;

function kindsByOperation(): (BlockRequestKind | undefined)[] {
  const kinds: (BlockRequestKind | undefined)[] = [];
  for (const [kind, operation] of Object.entries(BLOCK_OPERATION))
    kinds[operation] = kind as BlockRequestKind;
  return kinds;
}

/**
 * Bytes [start, end) of a frame hold a RequestBatch.
 *
 * @throws StorageError 'invalid': the stream can no longer be trusted
 */
export function decodeRequestBatch(frame: Buffer, start: number, end: number): RequestBatchFrame {
  return toRequestBatch(toColumns(frame, start, end, REQUEST_LAYOUT));
}

/** @throws StorageError 'invalid', as above */
export function toRequestBatch(batch: Batch): RequestBatchFrame {
  const { bytes, payload } = batch;
  const [sequence, operation, offset, length] = batch.columns as Columns;
  const count = entries(sequence, 8);
  if (
    entries(operation, 4) !== count ||
    entries(offset, 8) !== count ||
    entries(length, 8) !== count
  ) {
    invalid('the columns of a request batch differ in length');
  }
  const requests = new Array<BlockRequest>(count);
  for (let index = 0; index < count; index += 1) {
    const code = bytes.readUInt32LE(operation.start + 4 * index);
    const flags = code >>> 8;
    const kind = KINDS[code & 0xff];
    if (kind === undefined || (flags & ~FLAGS_KNOWN) !== 0)
      invalid(`a request batch holds operation 0x${code.toString(16)}, which is unknown`);
    const offsetBytes = readFixed64(bytes, offset.start + 8 * index);
    const lengthBytes = readFixed64(bytes, length.start + 8 * index);
    let data = NO_PAYLOAD;
    if (kind === 'write') {
      if (lengthBytes > payload.leftBytes)
        invalid('the writes of a request batch are longer than its payload');
      data = payload.take(lengthBytes);
    }
    requests[index] = { kind, offsetBytes, lengthBytes, flags, payload: data };
  }
  if (payload.leftBytes !== 0) invalid('the payload of a request batch is longer than its writes');
  return {
    kind: 'requests',
    sequences: readSequences(bytes, sequence, count),
    requests,
  };
}
