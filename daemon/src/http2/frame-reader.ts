/**
 * Received chunks → frames (RFC 9113, section 4). The data of DATA frames is handed on as it comes, as views
 * onto the chunks; all other frames are short and handed on whole. What they mean is single-stream.ts.
 */
import { FLAG, FRAME, FRAME_HEADER_BYTES } from './constants.js';
import { Http2Error } from './http2-error.js';

/** Longest frame that is not DATA: what a peer may send before it knows our settings, and none needs more. */
export const OTHER_FRAME_BYTES_MAX = 16_384;

export interface FrameHandler {
  /** A frame begins, whichever, however long. */
  begins(type: number, flags: number): void;
  /** A whole frame that is not DATA. `payload` may be a view onto the received chunk. */
  frame(type: number, flags: number, streamId: number, payload: Buffer): void;
  /** A DATA frame begins; all its bytes, also padding, count for flow control. */
  dataBegins(streamId: number, lengthBytes: number): void;
  /** Its next bytes. */
  data(view: Buffer): void;
  dataEnds(isLast: boolean): void;
}

export class FrameReader {
  #state: 'header' | 'pad length' | 'data' | 'padding' | 'other' = 'header';
  readonly #header = Buffer.alloc(FRAME_HEADER_BYTES);
  #headerBytes = 0;
  #type = 0;
  #flags = 0;
  #streamId = 0;
  /** Of the frame's payload: bytes to come in this state. */
  #leftBytes = 0;
  #paddingBytes = 0;
  /** Of a frame that is not DATA and did not come in one chunk. */
  #pieces: Buffer[] = [];

  /** @param dataBytesMax what we announced as SETTINGS_MAX_FRAME_SIZE */
  constructor(
    readonly handler: FrameHandler,
    readonly dataBytesMax: number,
  ) {}

  /** @throws Http2Error: the caller says why in a GOAWAY, closes the connection, and does not push again */
  push(chunk: Buffer): void {
    for (let at = 0; at < chunk.length;) {
      at = this.#state === 'header' ? this.#takeHeader(chunk, at) : this.#takePayload(chunk, at);
    }
  }

  #takeHeader(chunk: Buffer, at: number): number {
    if (this.#headerBytes === 0 && chunk.length - at >= FRAME_HEADER_BYTES) {
      this.#begin(chunk, at);
      return at + FRAME_HEADER_BYTES;
    }
    const taken = chunk.copy(this.#header, this.#headerBytes, at);
    this.#headerBytes += taken;
    if (this.#headerBytes === FRAME_HEADER_BYTES) {
      this.#headerBytes = 0;
      this.#begin(this.#header, 0);
    }
    return at + taken;
  }

  #begin(header: Buffer, at: number): void {
    const lengthBytes = header.readUIntBE(at, 3);
    this.#type = header[at + 3] ?? 0;
    this.#flags = header[at + 4] ?? 0;
    this.#streamId = header.readUInt32BE(at + 5) & 0x7fff_ffff;
    this.#leftBytes = lengthBytes;
    this.#paddingBytes = 0;
    this.handler.begins(this.#type, this.#flags);
    const isData = this.#type === FRAME.DATA;
    const bytesMax = isData ? this.dataBytesMax : OTHER_FRAME_BYTES_MAX;
    if (lengthBytes > bytesMax) {
      throw new Http2Error(
        'FRAME_SIZE_ERROR',
        `a frame of type ${this.#type} has ${lengthBytes} bytes, at most ${bytesMax} are taken`,
      );
    }
    if (!isData) {
      this.#state = 'other';
      if (lengthBytes === 0) this.#otherDone(header.subarray(at, at));
      return;
    }
    this.handler.dataBegins(this.#streamId, lengthBytes);
    const isPadded = (this.#flags & FLAG.PADDED) !== 0;
    if (isPadded && lengthBytes === 0)
      throw new Http2Error('FRAME_SIZE_ERROR', 'a padded DATA frame has no room for its padding');
    this.#state = isPadded ? 'pad length' : 'data';
    if (lengthBytes === 0) this.#dataDone();
  }

  #takePayload(chunk: Buffer, at: number): number {
    const end = Math.min(chunk.length, at + this.#leftBytes);
    switch (this.#state) {
      case 'data':
        this.#leftBytes -= end - at;
        this.handler.data(at === 0 && end === chunk.length ? chunk : chunk.subarray(at, end));
        if (this.#leftBytes === 0) this.#pad();
        return end;
      case 'padding':
        this.#leftBytes -= end - at;
        if (this.#leftBytes === 0) this.#dataDone();
        return end;
      case 'pad length':
        this.#paddingBytes = chunk[at] ?? 0;
        this.#leftBytes -= 1 + this.#paddingBytes;
        if (this.#leftBytes < 0)
          throw new Http2Error('PROTOCOL_ERROR', 'the padding of a DATA frame is longer than it');
        this.#state = 'data';
        if (this.#leftBytes === 0) this.#pad();
        return at + 1;
      default:
        return this.#takeOther(chunk, at, end);
    }
  }

  #pad(): void {
    if (this.#paddingBytes === 0) {
      this.#dataDone();
      return;
    }
    this.#state = 'padding';
    this.#leftBytes = this.#paddingBytes;
  }

  #dataDone(): void {
    this.#state = 'header';
    this.handler.dataEnds((this.#flags & FLAG.END_STREAM) !== 0);
  }

  #takeOther(chunk: Buffer, at: number, end: number): number {
    const piece = chunk.subarray(at, end);
    this.#leftBytes -= piece.length;
    if (this.#leftBytes > 0) this.#pieces.push(Buffer.from(piece));
    else if (this.#pieces.length === 0) this.#otherDone(piece);
    else this.#otherDone(Buffer.concat([...this.#pieces.splice(0), piece]));
    return end;
  }

  #otherDone(payload: Buffer): void {
    this.#state = 'header';
    this.handler.frame(this.#type, this.#flags, this.#streamId, payload);
  }
}
