/**
 * Request and reply batches → wire bytes. An encoded batch is lazy. Our own connections (session-connection.ts) ask
 * it for its columns, which it writes where they want them, and send the payload from where it lies. grpc-js asks a
 * serialized message only for its length and to copy itself behind its own five header bytes; another test fails if
 * it begins to ask for more. The bytes are those that protobufjs would write, and their checksum behind them.
 */
import { BLOCK_ERRNO } from '../block/block-error.js';
import {
  BLOCK_OPERATION,
  NO_PAYLOAD,
  payloadBytes,
  type BlockRequest,
} from '../block/block-request.js';
import { isZeroPiece } from '../block/zeroes.js';
import { sealBytes, writeSeal } from './frame-seal.js';
import {
  encodeErrorText,
  encodeExtents,
  extentsOfRead,
  fieldBytes,
  sparseBytes,
  writeSparse,
  writeTag,
} from './sparse-encoding.js';
import type { ReplyBatchFrame, RequestBatchFrame } from './storage-messages.js';
import { varintBytes, writeFixed64, writeVarint } from './wire-reader.js';

/** Field numbers of storage.proto as tags: number * 8 + wire type. */
export const TAG = {
  /** ClientFrame.requests and NodeFrame.replies. */
  batch: 0x12,
  sequence: 0x0a,
  payload: 0x7a,
  request: { operation: 0x12, offset: 0x1a, length: 0x22 },
  reply: {
    error: 0x12,
    payloadLength: 0x1a,
    errorText: 0x2a,
    extents: 0x32,
    writeVerifier: 0x39,
    readExtents: 0x42,
  },
} as const;

/** A message that writes itself where grpc-js wants it: what grpc-js uses of a Buffer, and nothing else. */
export interface LazyMessage {
  readonly length: number;
  readonly byteLength: number;
  copy(target: Buffer, targetStart: number): number;
}

/** A message in three parts, end to end: head, payload, checksum. */
export abstract class LazyBatch implements LazyMessage {
  abstract readonly byteLength: number;
  /** Bytes before the payload. */
  abstract readonly headBytes: number;
  /** As it lies in memory. */
  abstract readonly payload: readonly Buffer[];
  abstract readonly seal: number | undefined;

  get length(): number {
    return this.byteLength;
  }

  /** @returns the position behind it */
  abstract writeHead(target: Buffer, start: number): number;

  copy(target: Buffer, targetStart: number): number {
    let at = this.writeHead(target, targetStart);
    for (const part of this.payload) at += part.copy(target, at);
    return writeSeal(target, targetStart, at, this.seal) - targetStart;
  }
}

/** What is sent in a session: a batch, or another frame as its bytes. */
export type OutgoingMessage = LazyBatch | Buffer;

export class LazyRequestBatch extends LazyBatch {
  readonly byteLength: number;
  readonly headBytes: number;
  readonly payload: readonly Buffer[];
  readonly seal: number | undefined;
  readonly #batchBytes: number;
  readonly #payloadBytes: number;

  constructor(readonly frame: RequestBatchFrame) {
    super();
    const pieces: Buffer[] = [];
    let bytes = 0;
    for (const request of frame.requests) {
      const carried = payloadBytes(request.payload);
      assertCarries(request, carried);
      bytes += carried;
      for (const piece of request.payload) pieces.push(piece);
    }
    const count = frame.requests.length;
    this.payload = pieces;
    this.seal = frame.seal;
    this.#payloadBytes = bytes;
    this.#batchBytes = 3 * fieldBytes(8 * count) + fieldBytes(4 * count) + fieldBytes(bytes);
    this.headBytes = 1 + varintBytes(this.#batchBytes) + this.#batchBytes - bytes;
    this.byteLength = this.headBytes + bytes + sealBytes(frame.seal);
  }

  writeHead(target: Buffer, start: number): number {
    const { sequences, requests } = this.frame;
    const wide = 8 * requests.length;
    target[start] = TAG.batch;
    let at = writeVarint(target, this.#batchBytes, start + 1);
    at = writeTag(target, TAG.sequence, wide, at);
    for (const sequence of sequences) at = writeFixed64(target, sequence, at);
    at = writeTag(target, TAG.request.operation, 4 * requests.length, at);
    for (const { kind, flags } of requests)
      at = target.writeUInt32LE(BLOCK_OPERATION[kind] + flags * 256, at);
    at = writeTag(target, TAG.request.offset, wide, at);
    for (const { offsetBytes } of requests) at = writeFixed64(target, offsetBytes, at);
    at = writeTag(target, TAG.request.length, wide, at);
    for (const { lengthBytes } of requests) at = writeFixed64(target, lengthBytes, at);
    return writeTag(target, TAG.payload, this.#payloadBytes, at);
  }
}

/** A batch in which this does not hold would shift the data of every later write. */
function assertCarries({ kind, lengthBytes }: BlockRequest, carried: number): void {
  if (carried !== (kind === 'write' ? lengthBytes : 0))
    throw new Error(`a ${kind} of ${lengthBytes} bytes carries ${carried} bytes`);
}

export class LazyReplyBatch extends LazyBatch {
  readonly byteLength: number;
  readonly headBytes: number;
  readonly payload: readonly Buffer[];
  readonly seal: number | undefined;
  readonly #batchBytes: number;
  readonly #payloadBytes: number;
  /** The sparse messages, encoded: few requests fail, ask for extents, or read holes. */
  readonly #errorTexts: Buffer[] = [];
  readonly #extents: Buffer[] = [];
  readonly #readExtents: Buffer[] = [];
  /** By index: bytes of a read that are not in the payload. Few batches have any. */
  #leftOut: Map<number, number> | undefined;

  constructor(readonly frame: ReplyBatchFrame) {
    super();
    const count = frame.results.length;
    const pieces: Buffer[] = [];
    let bytes = 0;
    for (let index = 0; index < count; index += 1) {
      const result = frame.results[index];
      if (result === undefined) continue;
      let hasHoles = false;
      for (const piece of result.payload) {
        if (frame.leavesHolesOut === true && isZeroPiece(piece)) {
          hasHoles = true;
          continue;
        }
        bytes += piece.length;
        pieces.push(piece);
      }
      if (hasHoles) this.#addHoles(index, result.payload);
      if (result.error !== undefined && result.error.reason !== '')
        this.#errorTexts.push(encodeErrorText(index, result.error.reason));
      if (result.extents.length > 0) this.#extents.push(encodeExtents(index, result.extents));
    }
    this.payload = pieces;
    this.seal = frame.seal;
    this.#payloadBytes = bytes;
    this.#batchBytes =
      fieldBytes(8 * count) +
      2 * fieldBytes(4 * count) +
      sparseBytes(this.#errorTexts) +
      sparseBytes(this.#extents) +
      (frame.writeVerifier === 0n ? 0 : 9) +
      sparseBytes(this.#readExtents) +
      fieldBytes(bytes);
    this.headBytes = 1 + varintBytes(this.#batchBytes) + this.#batchBytes - bytes;
    this.byteLength = this.headBytes + bytes + sealBytes(frame.seal);
  }

  writeHead(target: Buffer, start: number): number {
    const { sequences, results, writeVerifier } = this.frame;
    const narrow = 4 * results.length;
    target[start] = TAG.batch;
    let at = writeVarint(target, this.#batchBytes, start + 1);
    at = writeTag(target, TAG.sequence, 8 * results.length, at);
    for (const sequence of sequences) at = writeFixed64(target, sequence, at);
    at = writeTag(target, TAG.reply.error, narrow, at);
    for (const { error } of results)
      at = target.writeUInt32LE(error === undefined ? 0 : BLOCK_ERRNO[error.errno], at);
    at = writeTag(target, TAG.reply.payloadLength, narrow, at);
    for (let index = 0; index < results.length; index += 1) {
      const bytes = payloadBytes(results[index]?.payload ?? NO_PAYLOAD);
      at = target.writeUInt32LE(bytes - (this.#leftOut?.get(index) ?? 0), at);
    }
    at = writeSparse(target, TAG.reply.errorText, this.#errorTexts, at);
    at = writeSparse(target, TAG.reply.extents, this.#extents, at);
    if (writeVerifier !== 0n) {
      target[at] = TAG.reply.writeVerifier;
      at = target.writeBigUInt64LE(writeVerifier, at + 1);
    }
    at = writeSparse(target, TAG.reply.readExtents, this.#readExtents, at);
    return writeTag(target, TAG.payload, this.#payloadBytes, at);
  }

  #addHoles(index: number, payload: readonly Buffer[]): void {
    const extents = extentsOfRead(payload);
    let leftOutBytes = 0;
    for (const { zero, lengthBytes } of extents) if (zero) leftOutBytes += lengthBytes;
    this.#readExtents.push(encodeExtents(index, extents));
    this.#leftOut ??= new Map();
    this.#leftOut.set(index, leftOutBytes);
  }
}
