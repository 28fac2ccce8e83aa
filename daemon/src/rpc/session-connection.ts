/**
 * A connection for one session: gRPC's OpenSession on an HTTP/2 connection of its own, without grpc-js and Node's
 * HTTP/2 below it, which cost more than all the rest of a request's way (scripts/bench study). On the wire it is the
 * same; at its other end may be any gRPC library. Messages go out from where they lie, and come in as views.
 *
 * Both ends share this; headers and statuses are session-call.ts (the client's) and served-session.ts (the node's).
 */
import type { Socket } from 'node:net';
import { FRAME, FRAME_HEADER_BYTES } from '../http2/constants.js';
import { writeFrameHeader } from '../http2/frame-writing.js';
import type { HeaderField } from '../http2/header-field.js';
import { Http2Error, type Http2ErrorCode } from '../http2/http2-error.js';
import { STREAM_ID, SingleStream } from '../http2/single-stream.js';
import { letGo } from '../runtime/reused-memory.js';
import { WriteGatherer } from '../runtime/write-gatherer.js';
import type { OutgoingMessage } from './batch-encoding.js';
import { FLOW_CONTROL_WINDOW_BYTES, MESSAGE_BYTES_MAX } from './channel-options.js';
import type { WindowSizes } from './http2-window.js';
import { KeptEvents } from './kept-events.js';
import { MessageAssembler } from './message-assembler.js';
import { framedBytes, inPieces, writeWhole } from './message-writing.js';
import { OutgoingQueue } from './outgoing-queue.js';
import { StorageError } from './storage-error.js';

/** Longest DATA frame: most messages are one. Shorter ones cost time, and the next cannot begin before. */
const FRAME_BYTES_MAX = 4 * 1024 * 1024;

/** A frame of small writes and their columns: so it is one piece. */
const GATHERED_BYTES = 320 * 1024;
/** Answers to pings and settings that a peer does not read; more is somebody who wants our memory. */
export const CONTROL_BYTES_MAX = 256 * 1024;
/** For the kernel to take last words, for which it may never have room. */
const PARTING_MS = 1000;

export interface SessionConnectionEvents {
  headers(fields: readonly HeaderField[], isLast: boolean): void;
  message(pieces: readonly Buffer[]): void;
  /** The peer sends nothing more. */
  ended(): void;
  /** What comes is no stream of messages; nothing more of it is looked at. */
  unreadable(error: StorageError): void;
  /** The stream or connection is over, not in order; nothing follows. */
  failed(reason: Error): void;
}

export class SessionConnection {
  readonly #stream: SingleStream;
  readonly #assembler: MessageAssembler;
  readonly #gatherer: WriteGatherer;
  readonly #queue = new OutgoingQueue();
  #isOver = false;
  /** What comes in is not looked at any more. */
  #isDeaf = false;
  /** Messages, and what came behind them. */
  readonly #kept = new KeptEvents();
  /** Of answers and windows that the kernel has not taken. */
  #controlBytes = 0;
  /** The socket ends when the queue is empty. */
  #isEnding = false;
  /** A ping was sent that has no answer. */
  #hasOpenPing = false;
  #hasHeard = false;

  constructor(
    readonly socket: Socket,
    role: 'client' | 'server',
    readonly events: SessionConnectionEvents,
    extensions: readonly (readonly [number, number])[] = [],
  ) {
    this.#gatherer = new WriteGatherer(socket, GATHERED_BYTES);
    this.#assembler = new MessageAssembler(MESSAGE_BYTES_MAX, (pieces) => {
      if (this.#kept.isPaused)
        this.#kept.keep(() => {
          events.message(pieces);
        });
      else if (!this.#isOver) events.message(pieces);
    });
    this.#stream = new SingleStream(
      { role, windowBytes: FLOW_CONTROL_WINDOW_BYTES, frameBytesMax: FRAME_BYTES_MAX, extensions },
      {
        control: (bytes) => {
          this.#control(bytes);
        },
        headers: (fields, isLast) => {
          this.#tell(() => {
            events.headers(fields, isLast);
          });
        },
        data: (view) => {
          this.#assembler.push(view);
        },
        ended: () => {
          this.#tell(() => {
            events.ended();
          });
        },
        aborted: (reason) => {
          this.fail(new Error(reason));
        },
        room: () => {
          this.#pump();
        },
        answered: () => {
          this.#hasOpenPing = false;
        },
      },
    );
    socket.on('data', (chunk: Buffer) => {
      this.receive(chunk);
    });
    socket.on('error', (error) => {
      this.fail(error);
    });
    socket.on('close', () => {
      this.fail(new Error('Socket closed'));
    });
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  /** Something came since the last look. */
  hasHeard(): boolean {
    const heard = this.#hasHeard;
    this.#hasHeard = false;
    return heard;
  }

  /** Bytes that may be on their way: what we take, and what the peer allows us. */
  get windows(): WindowSizes {
    const { streamBytes, connectionBytes } = this.#stream.allowance.windows;
    return {
      receiveStreamBytes: FLOW_CONTROL_WINDOW_BYTES,
      receiveConnectionBytes: FLOW_CONTROL_WINDOW_BYTES,
      sendStreamBytes: streamBytes,
      sendConnectionBytes: connectionBytes,
    };
  }

  /** Says what comes first. @param more headers that a client sends with it */
  begin(more?: readonly HeaderField[]): void {
    const opening = this.#stream.opening();
    this.socket.write(
      more === undefined
        ? opening
        : Buffer.concat([opening, this.#stream.headersBytes(more, false)]),
    );
  }

  /** In order with the messages. */
  sendHeaders(fields: readonly HeaderField[], isLast: boolean): void {
    if (this.#isOver) return;
    const bytes = this.#stream.headersBytes(fields, isLast);
    if (this.#queue.isEmpty) this.socket.write(bytes);
    else this.#queue.addControl(bytes);
  }

  /** @param onSent called when the message is with the kernel, later; never if the connection fails before */
  send(message: OutgoingMessage, onSent?: () => void): void {
    if (this.#isOver) return;
    const { allowance } = this.#stream;
    const frameBytes = framedBytes(message);
    if (
      this.#queue.isEmpty &&
      frameBytes <= allowance.frameBytesMax &&
      frameBytes <= allowance.bytes
    ) {
      allowance.use(frameBytes);
      writeWhole(this.#gatherer, message);
      this.#gatherer.flush(onSent);
      return;
    }
    this.#queue.addMessage(inPieces(message), frameBytes, onSent);
    this.#pump();
  }

  /**
   * No messages for now. The socket is read on: in it are also the windows that what waits here needs. What comes is
   * kept, at most the window, since the peer gets no more room meanwhile.
   */
  pause(): void {
    this.#kept.pause();
    this.#stream.hold(true);
  }

  resume(): void {
    if (!this.#kept.isPaused) return;
    if (this.#kept.resume(() => this.#isOver)) this.#stream.hold(false);
  }

  /** What must not overtake messages. */
  #tell(event: () => void): void {
    if (this.#kept.isPaused) this.#kept.keep(event);
    else if (!this.#isOver) event();
  }

  /** Asks for a sign of life. @returns false if the last one had none */
  ping(): boolean {
    if (this.#hasOpenPing) return false;
    this.#hasOpenPing = true;
    if (!this.#isOver) this.#control(this.#stream.ping(Buffer.from('blkferry')));
    return true;
  }

  /** Closes in order, behind what was sent. */
  end(): void {
    if (this.#isOver) return;
    this.#isEnding = true;
    if (!this.#queue.isEmpty) return;
    this.#isOver = true;
    this.socket.end();
  }

  /** Gives the stream up and closes now. No event follows. */
  abort(code: Http2ErrorCode, reason: string): void {
    if (this.#isOver) return;
    this.#isOver = true;
    // Whoever does not read is not waited for: not at all if more waits already, else not for long.
    if (!this.socket.writable || this.socket.writableLength > 0) this.socket.destroy();
    else {
      this.socket.write(this.#stream.abortion(code, reason));
      this.socket.setTimeout(PARTING_MS, () => this.socket.destroy()).destroySoon();
    }
  }

  /** It is over, from outside or inside; says so once. */
  fail(reason: Error): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.socket.destroy();
    this.events.failed(reason);
  }

  /** For what came before this was made; the rest comes by itself. */
  receive(chunk: Buffer): void {
    if (this.#isOver || this.#isDeaf) return;
    this.#hasHeard = true;
    try {
      this.#stream.receive(chunk);
      letGo(chunk);
    } catch (error) {
      if (error instanceof StorageError) {
        this.#isDeaf = true;
        this.#tell(() => {
          this.events.unreadable(error);
        });
      } else if (error instanceof Http2Error) this.#break(error);
      else throw error;
    }
  }

  #break(error: Http2Error): void {
    if (this.#isOver) return;
    this.abort(error.code, error.message);
    this.events.failed(error);
  }

  #control(bytes: Buffer): void {
    if (this.#isOver) return;
    this.#controlBytes += bytes.length;
    if (this.#controlBytes > CONTROL_BYTES_MAX)
      this.#break(
        new Http2Error('ENHANCE_YOUR_CALM', 'answers to pings and settings are not read'),
      );
    else
      this.socket.write(bytes, () => {
        this.#controlBytes -= bytes.length;
      });
  }

  /** Sends what waits, as far as the peer's windows go. */
  #pump(): void {
    const { allowance } = this.#stream;
    while (!this.#queue.isEmpty && !this.#isOver) {
      const control = this.#queue.takeControl();
      if (control !== undefined) {
        this.socket.write(control);
        continue;
      }
      const bytes = Math.min(this.#queue.messageBytes, allowance.frameBytesMax, allowance.bytes);
      if (bytes <= 0) return;
      allowance.use(bytes);
      const slab = this.#gatherer.reserve(FRAME_HEADER_BYTES);
      const { position } = this.#gatherer;
      this.#gatherer.advance(writeFrameHeader(slab, position, bytes, FRAME.DATA, 0, STREAM_ID));
      const onSent = this.#queue.take(bytes, (piece) => {
        this.#gatherer.push(piece);
      });
      this.#gatherer.flush(onSent);
    }
    if (this.#isEnding) this.end();
  }
}
