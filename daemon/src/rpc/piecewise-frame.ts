/**
 * A batch frame that came in pieces, as received: its columns, which are in the first, and its payload as views onto
 * all of them. Joining them first would copy every large request and reply once more.
 */
import { slices } from '../block/block-request.js';
import { findHeadColumns, type Batch, type BatchLayout } from './batch-columns.js';
import { TAG } from './batch-encoding.js';
import { SEAL_BYTES, SEAL_TAG, readSealOf } from './frame-seal.js';
import { PayloadPieces } from './payload-pieces.js';
import { StorageError } from './storage-error.js';
import { WireReader } from './wire-reader.js';

export interface SplitBatch {
  readonly batch: Batch;
  readonly seal: number | undefined;
}

/** @returns undefined if the frame must be joined: another one, valid but not laid out as ours are, cut early, or broken */
export function splitBatch(pieces: readonly Buffer[], layout: BatchLayout): SplitBatch | undefined {
  const [first] = pieces;
  if (first === undefined || first[0] !== TAG.batch) return undefined;
  try {
    const reader = new WireReader(first, 1, first.length);
    const end = reader.varint() + reader.at;
    if (end <= first.length) return undefined;
    const found = findHeadColumns(first, reader.at, end, layout);
    if (found === undefined) return undefined;
    const payload = new PayloadPieces(slices(pieces, found.payloadStart, end));
    if (payload.leftBytes < end - found.payloadStart) return undefined;
    const behind = Buffer.concat(slices(pieces, end, Infinity));
    const batch = { ...found, bytes: first, payload };
    if (behind.length === 0) return { batch, seal: undefined };
    if (behind.length !== SEAL_BYTES || behind[0] !== SEAL_TAG) return undefined;
    return { batch, seal: readSealOf(slices(pieces, 0, end), behind.readUInt32LE(1)) };
  } catch (error) {
    // What is wrong with it, or was cut, is told by whoever sees the whole.
    if (error instanceof StorageError) return undefined;
    throw error;
  }
}
