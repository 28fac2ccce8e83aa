/** What reading a frame gives, without regard to how its payload lies in memory; what refused it, as its sentence. */
import assert from 'node:assert/strict';
import { payloadBytes } from '#daemon/block/block-request.js';
import { isZeroPiece } from '#daemon/block/zeroes.js';
import { StorageError } from '#daemon/rpc/storage-error.js';
import {
  decodeClientFrame,
  decodeClientPieces,
  decodeNodeFrame,
  decodeNodePieces,
} from '#daemon/rpc/storage-frame.js';
import type { ClientFrame, NodeFrame } from '#daemon/rpc/storage-messages.js';

/** Throws what is not a StorageError. */
export function frameOutcome(decode: () => ClientFrame | NodeFrame): unknown {
  try {
    const frame = decode();
    switch (frame.kind) {
      case 'requests':
        return { ...frame, requests: frame.requests.map(inOnePiece) };
      case 'replies':
        return { ...frame, results: frame.results.map(inOnePiece) };
      default:
        return frame;
    }
  } catch (error) {
    if (error instanceof StorageError) return `${error.kind}: ${error.message}`;
    throw error;
  }
}

/** Of holes their lengths, and how much data is before each: a frame may tell of more zeroes than there is memory. */
function inOnePiece(part: { readonly payload: readonly Buffer[] }): object {
  const data: Buffer[] = [];
  const holes: [dataBytes: number, lengthBytes: number][] = [];
  for (const piece of part.payload) {
    if (isZeroPiece(piece)) holes.push([payloadBytes(data), piece.length]);
    else data.push(piece);
  }
  return { ...part, payload: Buffer.concat(data), holes };
}

/** The frame in these pieces and the whole are read the same, or refused the same, in both directions. */
export function assertSameInPieces(frame: Buffer, pieces: readonly Buffer[]): void {
  assert.deepEqual(
    frameOutcome(() => decodeClientPieces(pieces)),
    frameOutcome(() => decodeClientFrame(frame)),
  );
  assert.deepEqual(
    frameOutcome(() => decodeNodePieces(pieces)),
    frameOutcome(() => decodeNodeFrame(frame)),
  );
}
