/**
 * The transmission phase, server side: received chunks in, whole requests out. This is the hot path: a
 * chunk of 64 to 256 KiB holds dozens of requests. Nothing is copied but a header that crosses a chunk
 * border (and payload that arrives in tiny pieces, see small-pieces.ts). Whether a request makes sense
 * for the export is decided elsewhere.
 */
import { NBD_CMD, NBD_CMD_FLAG } from './constants.js';
import { NbdProtocolError } from './protocol-error.js';
import {
  EXTENDED_REQUEST_HEADER_BYTES,
  REQUEST_HEADER_BYTES,
  decodeRequestHeader,
  type NbdRequest,
  type ReceivedRequest,
} from './request.js';
import { SmallPieces } from './small-pieces.js';

/**
 * A payload longer than `payloadBytesMax` is still read and thrown away up to this length, so that the
 * client learns of its mistake by an error and keeps its connection. Twice the 32 MiB that the
 * specification asks servers to put up with; beyond it the connection is closed, which it allows.
 */
export const SKIPPED_PAYLOAD_BYTES_MAX = 64 * 1024 * 1024;

export interface RequestStreamOptions {
  /** The 32-byte headers were negotiated. */
  readonly extendedHeaders: boolean;
  /** Most bytes of one write's payload; a longer one arrives as an `oversized` request without data. */
  readonly payloadBytesMax: number;
}

export class RequestStream {
  readonly #extendedHeaders: boolean;
  readonly #payloadBytesMax: number;
  readonly #skippedBytesMax: number;
  readonly #headerBytes: number;
  /** The beginning of a header that was cut by a chunk's end. */
  readonly #cutHeader: Buffer;
  #cutHeaderBytes = 0;
  /** The request whose payload is still arriving; while there is one, no header is cut. */
  #open: ReceivedRequest | undefined;
  /** Of the open request: payload bytes to come. */
  #missingBytes = 0;
  /** Of the open request: its payload so far; undefined if the payload is thrown away. */
  #pieces: Buffer[] | undefined;
  readonly #smallPieces = new SmallPieces();
  #keptBytes = 0;

  constructor(options: RequestStreamOptions) {
    this.#extendedHeaders = options.extendedHeaders;
    this.#payloadBytesMax = options.payloadBytesMax;
    this.#skippedBytesMax = Math.max(SKIPPED_PAYLOAD_BYTES_MAX, options.payloadBytesMax);
    this.#headerBytes = options.extendedHeaders
      ? EXTENDED_REQUEST_HEADER_BYTES
      : REQUEST_HEADER_BYTES;
    this.#cutHeader = Buffer.alloc(this.#headerBytes);
  }

  /**
   * Adds received bytes. Payloads are views onto `chunk`, which must stay unchanged while they are used.
   *
   * @returns every request now complete, in order of arrival
   * @throws NbdProtocolError when the stream cannot be trusted any more: the caller closes the
   *   connection and does not push again. Requests that the same chunk completed before are lost with
   *   it, unanswered, as are those whose answers are still on their way.
   */
  push(chunk: Buffer): NbdRequest[] {
    const requests: NbdRequest[] = [];
    this.#keptBytes = 0;
    let at = 0;
    if (this.#open !== undefined) at = this.#takePayload(chunk, at, this.#open, requests);
    else if (this.#cutHeaderBytes > 0) at = this.#completeHeader(chunk, requests);
    while (chunk.length - at >= this.#headerBytes) {
      const request = decodeRequestHeader(chunk, at, this.#extendedHeaders);
      at = this.#takeRequest(chunk, at + this.#headerBytes, request, requests);
    }
    if (at < chunk.length) {
      this.#cutHeaderBytes = chunk.copy(this.#cutHeader, 0, at);
    }
    return requests;
  }

  /** Of the chunk that was pushed last: bytes that payloads are views onto. Nothing else of it is looked at any more. */
  get keptBytes(): number {
    return this.#keptBytes;
  }

  /** Bytes received but not part of a complete request; 0 at a clean end. */
  get incompleteBytes(): number {
    if (this.#open === undefined) return this.#cutHeaderBytes;
    return this.#headerBytes + this.#open.lengthBytes - this.#missingBytes;
  }

  /** @returns the position in the chunk behind what was used */
  #completeHeader(chunk: Buffer, requests: NbdRequest[]): number {
    const at = chunk.copy(this.#cutHeader, this.#cutHeaderBytes);
    this.#cutHeaderBytes += at;
    if (this.#cutHeaderBytes < this.#headerBytes) return at;
    const request = decodeRequestHeader(this.#cutHeader, 0, this.#extendedHeaders);
    this.#cutHeaderBytes = 0;
    return this.#takeRequest(chunk, at, request, requests);
  }

  /** Takes what follows the request's header. @returns the position behind what was used */
  #takeRequest(
    chunk: Buffer,
    at: number,
    request: ReceivedRequest,
    requests: NbdRequest[],
  ): number {
    if (!this.#hasPayload(request)) {
      requests.push(request);
      return at;
    }
    const { lengthBytes } = request;
    if (lengthBytes > this.#skippedBytesMax) {
      throw new NbdProtocolError(
        `command ${request.command} announces a payload of ${lengthBytes} bytes, ` +
          `more than the ${this.#skippedBytesMax} that would be skipped`,
      );
    }
    if (request.command === NBD_CMD.WRITE) {
      if (lengthBytes > this.#payloadBytesMax) request.oversized = true;
      else if (chunk.length - at >= lengthBytes) {
        request.payload = lengthBytes === 0 ? [] : [chunk.subarray(at, at + lengthBytes)];
        this.#keptBytes += lengthBytes;
        requests.push(request);
        return at + lengthBytes;
      } else request.payload = this.#pieces = [];
    }
    this.#open = request;
    this.#missingBytes = lengthBytes;
    return this.#takePayload(chunk, at, request, requests);
  }

  /**
   * Without extended headers only a write carries a payload; with them the flag says so. A write that
   * lacks the flag breaks a rule, and some servers read its data nevertheless: whether data or the
   * next header follows cannot be known, and either mistake would be written to a disk.
   */
  #hasPayload(request: ReceivedRequest): boolean {
    const isWrite = request.command === NBD_CMD.WRITE;
    if (!this.#extendedHeaders) return isWrite;
    if ((request.flags & NBD_CMD_FLAG.PAYLOAD_LEN) !== 0) return true;
    if (isWrite) {
      throw new NbdProtocolError('write with extended headers lacks NBD_CMD_FLAG_PAYLOAD_LEN');
    }
    return false;
  }

  /** @returns the position behind what was used */
  #takePayload(
    chunk: Buffer,
    at: number,
    request: ReceivedRequest,
    requests: NbdRequest[],
  ): number {
    const end = Math.min(chunk.length, at + this.#missingBytes);
    if (end > at && this.#pieces !== undefined) {
      const isKept = this.#smallPieces.append(this.#pieces, chunk.subarray(at, end));
      if (isKept) this.#keptBytes += end - at;
    }
    this.#missingBytes -= end - at;
    if (this.#missingBytes === 0) {
      requests.push(request);
      this.#open = undefined;
      this.#pieces = undefined;
    }
    return end;
  }
}
