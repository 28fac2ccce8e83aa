/**
 * Requests of a block device and their results as values that pass between threads. Data is copied once, into memory of
 * its own that then changes its thread: a view would take all that lies around it along.
 */
import { BlockError } from '../../block/block-error.js';
import {
  NO_PAYLOAD,
  payloadBytes,
  type BlockRequest,
  type BlockRequestKind,
  type BlockResult,
  type Extent,
} from '../../block/block-request.js';
import { heardError, toldError, type ToldError } from './told-error.js';

type Data = Uint8Array<ArrayBuffer>;

export interface ToldRequest {
  readonly kind: BlockRequestKind;
  readonly offsetBytes: number;
  readonly lengthBytes: number;
  readonly flags: number;
  readonly data: Data | undefined;
}

export interface ToldResult {
  readonly error: ToldError | undefined;
  readonly data: Data | undefined;
  readonly extents: readonly Extent[];
}

export function toldRequest(request: BlockRequest): ToldRequest {
  const { kind, offsetBytes, lengthBytes, flags, payload } = request;
  return { kind, offsetBytes, lengthBytes, flags, data: dataOf(payload) };
}

export function heardRequest({ data, ...request }: ToldRequest): BlockRequest {
  return { ...request, payload: payloadOf(data) };
}

export function toldResult({ error, payload, extents }: BlockResult): ToldResult {
  return { error: error && toldError(error), data: dataOf(payload), extents };
}

export function heardResult({ error, data, extents }: ToldResult): BlockResult {
  return {
    error: error && BlockError.from(heardError(error)),
    payload: payloadOf(data),
    extents,
  };
}

/** What changes its thread with the message. */
export function transferred({ data }: { readonly data: Data | undefined }): ArrayBuffer[] {
  return data === undefined ? [] : [data.buffer];
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
