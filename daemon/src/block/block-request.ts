/**
 * A request to a block device, as a value, and its result. The same value goes
 * from the NBD session through the volume and the wire to the backend; every
 * room reads it, none changes it. Whether a request is acceptable is decided by
 * request-check.ts.
 *
 * All requests have the same fields in the same order, so that the hot path sees
 * one object shape; use the builders below.
 */
import type { BlockError } from './block-error.js';

/** What a request asks for. The numbers are those of storage.proto, `Operation`. */
export const BLOCK_OPERATION = {
  read: 1,
  write: 2,
  flush: 3,
  trim: 4,
  'write-zeroes': 5,
  'block-status': 6,
  cache: 7,
} as const;

export type BlockRequestKind = keyof typeof BLOCK_OPERATION;

/** Bits of `BlockRequest.flags`; the numbers are those of storage.proto, `OperationFlag`. */
export const BLOCK_FLAG = {
  /** Durable before the answer. Only on write, trim and write-zeroes. */
  FUA: 1,
  /** Only on write-zeroes: the range must stay allocated. */
  NO_HOLE: 2,
  /** Only on write-zeroes: fail with ENOTSUP when it would be as slow as writing. */
  FAST_ZERO: 4,
  /** Only on block-status: one extent is enough. */
  ONE_EXTENT: 8,
} as const;

export interface BlockRequest {
  readonly kind: BlockRequestKind;
  /** First byte; a safe integer. 0 for flush. */
  readonly offsetBytes: number;
  /** A safe integer. 0 for flush. Above the device's requestBytesMax only for kinds without a payload. */
  readonly lengthBytes: number;
  /** Bits of BLOCK_FLAG. */
  readonly flags: number;
  /**
   * The data of a write, in order, together `lengthBytes` long; empty for all other kinds.
   * Whoever submits it gives it away for good: it does not change while anybody looks at it, also not after the answer.
   * Whoever executes it lets go of it then (runtime/reused-memory.ts).
   */
  readonly payload: readonly Buffer[];
}

/** One run of a block-status reply. */
export interface Extent {
  readonly lengthBytes: number;
  /** Not allocated: NBD_STATE_HOLE. */
  readonly hole: boolean;
  /** Reads as zeroes: NBD_STATE_ZERO. */
  readonly zero: boolean;
}

export interface BlockResult {
  /** Why the request failed; undefined on success. */
  readonly error: BlockError | undefined;
  /**
   * The data of a read, in order, together `lengthBytes` long; empty otherwise. Holes are pieces of zeroes.ts. It does
   * not change while anybody looks at it; whoever gets it lets go of it at the end (runtime/reused-memory.ts).
   */
  readonly payload: readonly Buffer[];
  /**
   * The extents of a block-status: in order from the request's offset, without gaps, at least one;
   * the last one may reach beyond the request's end. Empty otherwise.
   */
  readonly extents: readonly Extent[];
}

export const NO_PAYLOAD: readonly Buffer[] = [];
export const NO_EXTENTS: readonly Extent[] = [];

/** The result of everything that succeeds without data. */
export const DONE: BlockResult = { error: undefined, payload: NO_PAYLOAD, extents: NO_EXTENTS };

export function failed(error: BlockError): BlockResult {
  return { error, payload: NO_PAYLOAD, extents: NO_EXTENTS };
}

export function readRequest(offsetBytes: number, lengthBytes: number): BlockRequest {
  return { kind: 'read', offsetBytes, lengthBytes, flags: 0, payload: NO_PAYLOAD };
}

export function writeRequest(
  offsetBytes: number,
  data: Buffer | readonly Buffer[],
  flags = 0,
): BlockRequest {
  const payload = Buffer.isBuffer(data) ? [data] : data;
  return { kind: 'write', offsetBytes, lengthBytes: payloadBytes(payload), flags, payload };
}

export function flushRequest(): BlockRequest {
  return { kind: 'flush', offsetBytes: 0, lengthBytes: 0, flags: 0, payload: NO_PAYLOAD };
}

/** A request without data that names a range. */
export function rangeRequest(
  kind: 'trim' | 'write-zeroes' | 'block-status' | 'cache',
  offsetBytes: number,
  lengthBytes: number,
  flags = 0,
): BlockRequest {
  return { kind, offsetBytes, lengthBytes, flags, payload: NO_PAYLOAD };
}

/** True for the kinds that change the device's content. */
export function changesContent(kind: BlockRequestKind): boolean {
  return kind === 'write' || kind === 'write-zeroes' || kind === 'trim';
}

/** Neither the content nor what of it is durable depends on such a request. */
export function onlyLooks(kind: BlockRequestKind): boolean {
  return kind === 'read' || kind === 'block-status' || kind === 'cache';
}

/** The bytes that a request or its reply carries; what the byte limits count. */
export function carriedBytes(request: BlockRequest): number {
  return request.kind === 'write' || request.kind === 'read' ? request.lengthBytes : 0;
}

/** A payload in one piece; a copy if it has several. */
export function joined(payload: readonly Buffer[]): Buffer {
  const [only] = payload;
  return payload.length === 1 && only !== undefined ? only : Buffer.concat(payload);
}

/** Bytes [fromBytes, endBytes) of a payload, as views. */
export function slices(payload: readonly Buffer[], fromBytes: number, endBytes: number): Buffer[] {
  const found: Buffer[] = [];
  let atBytes = 0;
  for (const piece of payload) {
    const from = Math.max(0, fromBytes - atBytes);
    const end = Math.min(piece.length, endBytes - atBytes);
    if (end > from) found.push(piece.subarray(from, end));
    atBytes += piece.length;
  }
  return found;
}

export function payloadBytes(payload: readonly Buffer[]): number {
  let bytes = 0;
  for (const part of payload) bytes += part.length;
  return bytes;
}
