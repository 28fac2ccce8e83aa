/**
 * Requests of a block device and their results as values that pass between threads. Data is copied once, into memory of
 * its own that then changes its thread: a view would take all that lies around it along. Holes stay holes.
 */
import { BlockError } from '../block/block-error.js';
import {
  NO_PAYLOAD,
  payloadBytes,
  type BlockRequest,
  type BlockRequestKind,
  type BlockResult,
  type Extent,
} from '../block/block-request.js';
import { isZeroPiece, zeroPiece } from '../block/zeroes.js';
import { heardError, toldError, type ToldError } from './told-error.js';

/** Pieces in order: data, or how many bytes of hole. */
type ToldPayload = readonly (Uint8Array<ArrayBuffer> | number)[];

export interface ToldRequest {
  readonly requestId: number;
  readonly kind: BlockRequestKind;
  readonly offsetBytes: number;
  readonly lengthBytes: number;
  readonly flags: number;
  readonly payload: ToldPayload;
}

export interface ToldResult {
  readonly requestId: number;
  readonly error: ToldError | undefined;
  readonly payload: ToldPayload;
  readonly extents: readonly Extent[];
}

/** A request that remembers what it is known by. */
export interface HeardRequest extends BlockRequest {
  readonly requestId: number;
}

export function toldRequest(requestId: number, request: BlockRequest): ToldRequest {
  const { kind, offsetBytes, lengthBytes, flags, payload } = request;
  return { requestId, kind, offsetBytes, lengthBytes, flags, payload: toldPayload(payload) };
}

export function heardRequest({ payload, ...request }: ToldRequest): HeardRequest {
  return { ...request, payload: heardPayload(payload) };
}

export function toldResult(
  requestId: number,
  { error, payload, extents }: BlockResult,
): ToldResult {
  return { requestId, error: error && toldError(error), payload: toldPayload(payload), extents };
}

export function heardResult({ error, payload, extents }: ToldResult): BlockResult {
  const heard = error && BlockError.from(heardError(error));
  return { error: heard, payload: heardPayload(payload), extents };
}

/** What changes its thread with the message. */
export function transferred(all: readonly { readonly payload: ToldPayload }[]): ArrayBuffer[] {
  return all.flatMap(({ payload }) =>
    payload.flatMap((piece) => (typeof piece === 'number' ? [] : [piece.buffer])),
  );
}

const NOTHING: ToldPayload = [];

function toldPayload(payload: readonly Buffer[]): ToldPayload {
  if (payload.length === 0) return NOTHING;
  const told: (Uint8Array<ArrayBuffer> | number)[] = [];
  for (let index = 0; index < payload.length;) {
    const isHole = isZero(payload[index]);
    const from = index;
    while (index < payload.length && isZero(payload[index]) === isHole) index += 1;
    const run = payload.slice(from, index);
    told.push(isHole ? payloadBytes(run) : copied(run));
  }
  return told;
}

function isZero(piece: Buffer | undefined): boolean {
  return piece !== undefined && isZeroPiece(piece);
}

function copied(run: readonly Buffer[]): Uint8Array<ArrayBuffer> {
  const data = new Uint8Array(payloadBytes(run));
  let at = 0;
  for (const piece of run) {
    data.set(piece, at);
    at += piece.length;
  }
  return data;
}

function heardPayload(payload: ToldPayload): readonly Buffer[] {
  if (payload.length === 0) return NO_PAYLOAD;
  return payload.map((piece) =>
    typeof piece === 'number' ? zeroPiece(piece) : Buffer.from(piece.buffer),
  );
}
