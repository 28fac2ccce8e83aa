/**
 * One end of an HTTP/2 connection (RFC 9113) that carries one stream, its first, and ends with it. Bytes in, events
 * and bytes out: there is no socket here and no timer.
 *
 * That there is one stream makes all of this small: no table of streams, no priorities, no fairness between them, and a
 * connection that is not read holds up nobody else. A peer that opens another has its connection ended; servers say so
 * in their settings (MAX_CONCURRENT_STREAMS).
 *
 * Who sends DATA writes the frames itself, as `allowance` lets it, because the data is at hand there.
 */
import { CONNECTION_PREFACE, FLAG, FRAME, DEFAULT_WINDOW_BYTES, SETTING } from './constants.js';
import { ReceiveAllowance, SendAllowance } from './flow-control.js';
import { FrameReader, type FrameHandler } from './frame-reader.js';
import {
  goAwayFrame,
  headersFrame,
  pingFrame,
  resetFrame,
  settingsAcknowledgement,
  settingsFrame,
  windowUpdate,
} from './frame-writing.js';
import { HeaderDecoder } from './header-decoding.js';
import { encodeHeaders } from './header-encoding.js';
import type { HeaderField } from './header-field.js';
import { HeaderBlock } from './header-block.js';
import { Http2Error, NotHttp2Error, http2ErrorName, type Http2ErrorCode } from './http2-error.js';

/** The only stream's: the first that a client opens. */
export const STREAM_ID = 1;

/** What our decoder remembers of headers: the default, which a peer may use before it knows our settings. */
const HEADER_TABLE_BYTES = 4096;
/** A session's headers have some hundred bytes; a sentence of an error up to 3 KiB. */
const HEADER_LIST_BYTES_MAX = 16_384;

export interface SingleStreamEvents {
  /** To be sent now, before anything else. */
  control(bytes: Buffer): void;
  /** The first ones, or the trailers; isLast: nothing follows. */
  headers(fields: readonly HeaderField[], isLast: boolean): void;
  /** The stream's next bytes. */
  data(view: Buffer): void;
  /** The peer sends nothing more; not called if `headers` said so. */
  ended(): void;
  /** The peer gave the stream or the connection up. */
  aborted(reason: string): void;
  /** More may be sent than before. */
  room(): void;
  /** A ping was answered. */
  answered(): void;
}

export interface SingleStreamOptions {
  readonly role: 'client' | 'server';
  /** Of the stream and of the connection. */
  readonly windowBytes: number;
  /** Longest DATA frame that is taken. */
  readonly frameBytesMax: number;
  /** Settings beyond those of HTTP/2. */
  readonly extensions?: readonly (readonly [id: number, value: number])[];
}

export class SingleStream implements FrameHandler {
  readonly allowance = new SendAllowance();
  readonly #reader: FrameReader;
  readonly #received: ReceiveAllowance;
  readonly #decoder = new HeaderDecoder({
    tableBytesMax: HEADER_TABLE_BYTES,
    listBytesMax: HEADER_LIST_BYTES_MAX,
  });
  readonly #block = new HeaderBlock();
  /** A server's: bytes of the client's preface that are still to come. */
  #prefaceBytes: number;
  #hasSettings = false;
  /** Of the DATA frame that comes in: bytes that were not handed on. */
  #frameBytes = 0;
  /** What the peer has sent of the stream. */
  #peer: 'nothing' | 'headers' | 'end' = 'nothing';

  constructor(
    readonly options: SingleStreamOptions,
    readonly events: SingleStreamEvents,
  ) {
    this.#reader = new FrameReader(this, options.frameBytesMax);
    this.#received = new ReceiveAllowance(options.windowBytes);
    this.#prefaceBytes = options.role === 'server' ? CONNECTION_PREFACE.length : 0;
  }

  /** What this end sends first. */
  opening(): Buffer {
    const { role, windowBytes, frameBytesMax, extensions = [] } = this.options;
    const settings: (readonly [number, number])[] = [
      [SETTING.INITIAL_WINDOW_SIZE, windowBytes],
      [SETTING.MAX_FRAME_SIZE, frameBytesMax],
      [SETTING.MAX_HEADER_LIST_SIZE, HEADER_LIST_BYTES_MAX],
      role === 'client' ? [SETTING.ENABLE_PUSH, 0] : [SETTING.MAX_CONCURRENT_STREAMS, 1],
      ...extensions,
    ];
    return Buffer.concat([
      ...(role === 'client' ? [CONNECTION_PREFACE] : []),
      settingsFrame(settings),
      windowUpdate(0, windowBytes - DEFAULT_WINDOW_BYTES),
    ]);
  }

  /** A HEADERS frame of the stream. */
  headersBytes(fields: readonly HeaderField[], isLast: boolean): Buffer {
    return headersFrame(STREAM_ID, encodeHeaders(fields), isLast);
  }

  /** What tells the peer that the stream is given up, and with it the connection. */
  abortion(code: Http2ErrorCode, reason: string): Buffer {
    const isKnown = this.options.role === 'client' || this.#peer !== 'nothing';
    const reset = isKnown ? [resetFrame(STREAM_ID, code)] : [];
    const lastStreamId = this.options.role === 'server' && isKnown ? STREAM_ID : 0;
    return Buffer.concat([...reset, goAwayFrame(lastStreamId, code, reason)]);
  }

  /** Eight bytes of the caller's choice. */
  ping(opaque: Buffer): Buffer {
    return pingFrame(opaque, false);
  }

  /** @throws Http2Error: the caller sends `abortion`, closes the connection, and calls nothing more here */
  receive(chunk: Buffer): void {
    this.#reader.push(this.#prefaceBytes === 0 ? chunk : this.#withoutPreface(chunk));
  }

  #withoutPreface(chunk: Buffer): Buffer {
    const from = CONNECTION_PREFACE.length - this.#prefaceBytes;
    const part = chunk.subarray(0, this.#prefaceBytes);
    if (!part.equals(CONNECTION_PREFACE.subarray(from, from + part.length)))
      throw new Http2Error('PROTOCOL_ERROR', 'the client does not speak HTTP/2');
    this.#prefaceBytes -= part.length;
    return chunk.subarray(part.length);
  }

  /** Section 3.4 and 6.10: settings come first, and nothing between the pieces of a header block. */
  begins(type: number, flags: number): void {
    if (!this.#hasSettings && (type !== FRAME.SETTINGS || (flags & FLAG.ACK) !== 0)) {
      // A client has said by its preface what it speaks; of a server this is the first word.
      const sentence = 'the first frame is not SETTINGS';
      if (this.options.role === 'server') throw new Http2Error('PROTOCOL_ERROR', sentence);
      throw new NotHttp2Error(`the server does not speak HTTP/2: ${sentence}`);
    }
    if (this.#block.isOpen !== (type === FRAME.CONTINUATION))
      throw new Http2Error('PROTOCOL_ERROR', `a frame of type ${type} in the wrong place`);
  }

  dataBegins(streamId: number, lengthBytes: number): void {
    if (streamId !== STREAM_ID || this.#peer !== 'headers')
      throw new Http2Error('STREAM_CLOSED', `DATA came for stream ${streamId}, which takes none`);
    this.#received.use(lengthBytes);
    this.#frameBytes = lengthBytes;
  }

  data(view: Buffer): void {
    this.#frameBytes -= view.length;
    this.events.data(view);
    this.#took(view.length);
  }

  dataEnds(isLast: boolean): void {
    // What is left is padding.
    this.#took(this.#frameBytes);
    if (!isLast) return;
    this.#peer = 'end';
    this.events.ended();
  }

  /** While it is held the peer gets no more room than it has. */
  hold(isHeld: boolean): void {
    this.#giveBack(this.#received.hold(isHeld));
  }

  #took(bytes: number): void {
    this.#giveBack(this.#received.took(bytes));
  }

  #giveBack(bytes: number): void {
    if (bytes === 0) return;
    this.events.control(Buffer.concat([windowUpdate(STREAM_ID, bytes), windowUpdate(0, bytes)]));
  }

  frame(type: number, flags: number, streamId: number, payload: Buffer): void {
    switch (type) {
      case FRAME.SETTINGS:
        this.#settings(flags, streamId, payload);
        return;
      case FRAME.HEADERS:
      case FRAME.CONTINUATION:
        this.#headers(type, flags, streamId, payload);
        return;
      case FRAME.WINDOW_UPDATE:
        this.#windowUpdate(streamId, payload);
        return;
      case FRAME.PING:
        requireLength('PING', payload, 8);
        if ((flags & FLAG.ACK) !== 0) this.events.answered();
        else this.events.control(pingFrame(payload, true));
        return;
      case FRAME.RST_STREAM:
        requireLength('RST_STREAM', payload, 4);
        if (streamId !== STREAM_ID || (this.options.role === 'server' && this.#peer === 'nothing'))
          throw new Http2Error(
            'PROTOCOL_ERROR',
            `stream ${streamId} was reset, which is not there`,
          );
        this.events.aborted(`stream reset with ${http2ErrorName(payload.readUInt32BE(0))}`);
        return;
      case FRAME.GOAWAY:
        this.#goAway(payload);
        return;
      case FRAME.PUSH_PROMISE:
        throw new Http2Error('PROTOCOL_ERROR', 'a push was promised, which is switched off');
      case FRAME.PRIORITY:
        requireLength('PRIORITY', payload, 5);
        return;
      default:
        // Section 5.5: unknown types are ignored.
        return;
    }
  }

  #settings(flags: number, streamId: number, payload: Buffer): void {
    const isAnswer = (flags & FLAG.ACK) !== 0;
    if (streamId !== 0) throw new Http2Error('PROTOCOL_ERROR', 'SETTINGS came for a stream');
    if (payload.length % 6 !== 0 || (isAnswer && payload.length > 0))
      throw new Http2Error('FRAME_SIZE_ERROR', `SETTINGS came with ${payload.length} bytes`);
    if (isAnswer) return;
    this.#hasSettings = true;
    this.allowance.learn(payload);
    this.events.control(settingsAcknowledgement());
    this.events.room();
  }

  #headers(type: number, flags: number, streamId: number, payload: Buffer): void {
    if (streamId !== STREAM_ID)
      throw new Http2Error(
        'REFUSED_STREAM',
        `stream ${streamId} was opened; this connection has stream ${STREAM_ID} only`,
      );
    if (this.#peer === 'end')
      throw new Http2Error('STREAM_CLOSED', 'headers came behind the end of the stream');
    const block = this.#block.add(type === FRAME.CONTINUATION, flags, payload);
    if (block === undefined) return;
    const { isLast } = block;
    const fields = this.#decoder.decode(block.bytes);
    // Section 8.1: what is not the final answer yet says nothing to gRPC.
    if (this.options.role === 'client' && !isLast && isInformational(fields)) return;
    if (this.#peer === 'headers' && !isLast)
      throw new Http2Error('PROTOCOL_ERROR', 'headers came twice');
    this.#peer = isLast ? 'end' : 'headers';
    this.events.headers(fields, isLast);
  }

  #windowUpdate(streamId: number, payload: Buffer): void {
    requireLength('WINDOW_UPDATE', payload, 4);
    if (streamId > STREAM_ID)
      throw new Http2Error('PROTOCOL_ERROR', `a window of stream ${streamId}, which is not there`);
    this.allowance.grow(streamId, payload.readUInt32BE(0) & 0x7fff_ffff);
    this.events.room();
  }

  /** The stream may go on if the peer has looked at it; a session that is to end is told so by its own means. */
  #goAway(payload: Buffer): void {
    if (payload.length < 8)
      throw new Http2Error('FRAME_SIZE_ERROR', `GOAWAY came with ${payload.length} bytes`);
    const lastStreamId = payload.readUInt32BE(0) & 0x7fff_ffff;
    const code = payload.readUInt32BE(4);
    if (code === 0 && (this.options.role === 'server' || lastStreamId >= STREAM_ID)) return;
    const reason = payload.toString('latin1', 8, Math.min(payload.length, 8 + 200));
    this.events.aborted(`connection given up with ${http2ErrorName(code)} ${reason}`.trimEnd());
  }
}

function isInformational(fields: readonly HeaderField[]): boolean {
  const [, status = ''] = fields.find(([name]) => name === ':status') ?? [];
  return /^1\d\d$/.test(status);
}

function requireLength(what: string, payload: Buffer, bytes: number): void {
  if (payload.length !== bytes)
    throw new Http2Error('FRAME_SIZE_ERROR', `${what} came with ${payload.length} bytes`);
}
