/**
 * The client's end of a session's connection: OpenSession as a stream of frames, in the form that grpc-js would give
 * it. It connects by itself; what is written before that waits, which is the first frame only.
 */
import { EventEmitter } from 'node:events';
import type { Socket } from 'node:net';
import { status } from './grpc-status.js';
import type { HeaderField } from '../http2/header-field.js';
import { Http2Error, NotHttp2Error } from '../http2/http2-error.js';
import { letGoAll } from '../runtime/reused-memory.js';
import { SessionConnection } from './session-connection.js';
import { endOf, requestHeaders, type CallEnd } from './session-headers.js';
import { sessionMark } from './session-mark.js';
import { StorageError } from './storage-error.js';
import { decodeNodePieces, encodeClientFrame } from './storage-frame.js';
import type { ClientFrame } from './storage-messages.js';

export interface SessionTarget {
  /** Of the requests' headers. */
  readonly authority: string;
  readonly isTls: boolean;
  /** Of the session's volume; undefined: it is not said. */
  readonly lane?: number | undefined;
  /** A connection, when it is ready. Rejects with an error that has the system's code, or a sentence. */
  connect(): { readonly ready: Promise<Socket>; readonly cancel: () => void };
}

/**
 * Events: `data` (NodeFrame, or StorageError where a frame cannot be decoded), `error` (CallEnd, once, and nothing
 * follows), `end` (the node ended the session in order), `over` (in whatever way).
 */
export class SessionCall extends EventEmitter {
  #connection: SessionConnection | undefined;
  #waiting: ClientFrame[] = [];
  #isOver = false;
  readonly #cancelDial: () => void;

  constructor(target: SessionTarget) {
    super();
    const { ready, cancel } = target.connect();
    this.#cancelDial = cancel;
    ready.then(
      (secured) => {
        this.#begin(secured, target);
      },
      (error: unknown) => {
        this.#fail({ code: status.UNAVAILABLE, details: wordsOf(error) });
      },
    );
  }

  write(frame: ClientFrame): boolean {
    if (this.#connection === undefined) this.#waiting.push(frame);
    else this.#connection.send(encodeClientFrame(frame));
    return true;
  }

  /** Ends the call now. No event follows. */
  cancel(): void {
    if (!this.#isOver) this.#close('CANCEL');
  }

  /** The connection is cut from this end. */
  cut(details: string): void {
    this.#fail({ code: status.UNAVAILABLE, details });
  }

  #begin(socket: Socket, { authority, isTls, lane }: SessionTarget): void {
    if (this.#isOver) {
      socket.destroy();
      return;
    }
    const connection = new SessionConnection(
      socket,
      'client',
      {
        headers: (fields, isLast) => {
          this.#headers(fields, isLast);
        },
        message: (pieces) => {
          this.#message(pieces);
        },
        ended: () => {
          this.#fail({ code: status.UNKNOWN, details: 'the call ended without a status' });
        },
        unreadable: (error) => {
          this.#fail({ code: status.RESOURCE_EXHAUSTED, details: error.message });
        },
        failed: (reason) => {
          this.#fail(endFor(reason));
        },
      },
      sessionMark(lane),
    );
    this.#connection = connection;
    connection.begin(requestHeaders(authority, isTls));
    for (const frame of this.#waiting.splice(0)) connection.send(encodeClientFrame(frame));
  }

  #headers(fields: readonly HeaderField[], isLast: boolean): void {
    const end = endOf(fields, isLast);
    if (end === undefined) return;
    if (end.code !== status.OK) {
      this.#fail(end);
      return;
    }
    this.#close();
    this.emit('end');
  }

  #message(pieces: readonly Buffer[]): void {
    if (this.#isOver) return;
    let frame;
    try {
      frame = decodeNodePieces(pieces);
    } catch (error) {
      frame = StorageError.from(error);
    }
    letGoAll(pieces);
    this.emit('data', frame);
  }

  #fail(end: CallEnd): void {
    if (this.#isOver) return;
    this.#close();
    this.emit('error', end);
  }

  #close(code: 'NO_ERROR' | 'CANCEL' = 'NO_ERROR'): void {
    this.#isOver = true;
    if (this.#connection === undefined) this.#cancelDial();
    else this.#connection.abort(code, '');
    this.emit('over');
  }
}

/** Of a call to something else than a server of gRPC. */
export const NOT_HTTP2 = 'what answers does not speak HTTP/2';

function endFor(reason: Error): CallEnd {
  if (reason instanceof NotHttp2Error) return { code: status.UNAVAILABLE, details: NOT_HTTP2 };
  if (reason instanceof Http2Error)
    return { code: status.INTERNAL, details: `HTTP/2 was broken: ${reason.message}` };
  return { code: status.UNAVAILABLE, details: wordsOf(reason) };
}

/** With the system's code, by which it is recognized. */
function wordsOf(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  return code === undefined || message.includes(code) ? message : `${code} ${message}`;
}
