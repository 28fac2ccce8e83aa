/**
 * Requests of a block device and their results as values that pass between threads. Data is copied once, into memory of
 * its own that then changes its thread: a view would take all that lies around it along.
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
import { heardError, toldError, type ToldError } from './told-error.js';

type Data = Uint8Array<ArrayBuffer>;

export interface ToldRequest {
  readonly requestId: number;
  readonly kind: BlockRequestKind;
  readonly offsetBytes: number;
  readonly lengthBytes: number;
  readonly flags: number;
  readonly data: Data | undefined;
}

export interface ToldResult {
  readonly requestId: number;
  readonly error: ToldError | undefined;
  readonly data: Data | undefined;
  readonly extents: readonly Extent[];
}

/** A request that remembers what it is known by. */
export interface HeardRequest extends BlockRequest {
  readonly requestId: number;
}

export function toldRequest(requestId: number, request: BlockRequest): ToldRequest {
  const { kind, offsetBytes, lengthBytes, flags, payload } = request;
  return { requestId, kind, offsetBytes, lengthBytes, flags, data: dataOf(payload) };
}

export function heardRequest({ data, ...request }: ToldRequest): HeardRequest {
  return { ...request, payload: payloadOf(data) };
}

export function toldResult(
  requestId: number,
  { error, payload, extents }: BlockResult,
): ToldResult {
  return { requestId, error: error && toldError(error), data: dataOf(payload), extents };
}

export function heardResult({ error, data, extents }: ToldResult): BlockResult {
  return { error: error && BlockError.from(heardError(error)), payload: payloadOf(data), extents };
}

/** What changes its thread with the message. */
export function transferred(all: readonly { readonly data: Data | undefined }[]): ArrayBuffer[] {
  return all.flatMap(({ data }) => (data === undefined ? [] : [data.buffer]));
}

function dataOf(payload: readonly Buffer[]): Data | undefined {
  if (payload.length === 0) return undefined;
  const data = new Uint8Array(payloadBytes(payload));
  let at = 0;
  for (const piece of payload) {
    data.set(piece, at);
    at += piece.length;
  }
  return data;
}

function payloadOf(data: Data | undefined): readonly Buffer[] {
  return data === undefined ? NO_PAYLOAD : [Buffer.from(data.buffer)];
}
