/**
 * The node's end of a session's connection: a call of OpenSession in the form that grpc-js would give it
 * (`ServedCall`), so that whoever serves it need not know which it is.
 */
import { EventEmitter } from 'node:events';
import type { Socket } from 'node:net';
import tls from 'node:tls';
import { status } from './grpc-status.js';
import type { HeaderField } from '../http2/header-field.js';
import type { Clock } from '../runtime/clock.js';
import { letGoAll } from '../runtime/reused-memory.js';
import { KEEPALIVE_INTERVAL_MS } from './channel-options.js';
import { SessionConnection } from './session-connection.js';
import { ANSWER_HEADERS, endHeaders, headersRefusal, type CallEnd } from './session-headers.js';
import { StorageError } from './storage-error.js';
import { decodeClientPieces, encodeNodeFrame } from './storage-frame.js';
import type { ClientFrame, NodeFrame } from './storage-messages.js';

/** The part of grpc.ServerDuplexStream that serves a session. A frame that cannot be decoded arrives as the error. */
export interface ServedCall {
  on(event: 'data', listener: (frame: ClientFrame | StorageError) => void): unknown;
  on(event: 'end' | 'cancelled', listener: () => void): unknown;
  on(event: 'error', listener: (error: Error) => void): unknown;
  /** Ends the call with that status, behind what was written. */
  emit(event: 'error', end: { code: number; details: string }): boolean;
  write(frame: NodeFrame, onSent: () => void): boolean;
  /** Ends the call well. */
  end(): unknown;
  pause(): unknown;
  resume(): unknown;
  getPeer(): string;
  getAuthContext(): { sslPeerCertificate?: tls.PeerCertificate };
}

/** A client that has connected says what it wants by then, and reads its end by then. */
export const CALL_TIMEOUT_MS = 10_000;

export interface SessionServer {
  /** The client has said that it wants a session. */
  readonly called: (call: ServedSession) => void;
  readonly clock: Clock;
}

export class ServedSession extends EventEmitter implements ServedCall {
  readonly connection: SessionConnection;
  #isCalled = false;
  #hasAnswered = false;
  #isOver = false;
  #cancelTimer: () => void;

  constructor(
    readonly socket: Socket,
    readonly server: SessionServer,
  ) {
    super();
    this.connection = new SessionConnection(socket, 'server', {
      headers: (fields, isLast) => {
        this.#headers(fields, isLast);
      },
      message: (pieces) => {
        this.#message(pieces);
      },
      ended: () => {
        if (!this.#isOver) this.emit('end');
      },
      unreadable: (error) => {
        if (!this.#isOver) this.emit('data', error);
      },
      failed: () => {
        this.#lost();
      },
    });
    this.#cancelTimer = server.clock.setTimer(CALL_TIMEOUT_MS, () => {
      this.connection.abort('ENHANCE_YOUR_CALM', `no call came within ${CALL_TIMEOUT_MS} ms`);
      this.#lost();
    });
    // What whoever serves the call ends it with, as with grpc-js.
    this.on('error', (end: CallEnd) => {
      this.#finish(end);
    });
    this.connection.begin();
  }

  write(frame: NodeFrame, onSent: () => void): boolean {
    this.#answer();
    this.connection.send(encodeNodeFrame(frame), onSent);
    return true;
  }

  end(): void {
    this.#finish({ code: status.OK, details: '' });
  }

  pause(): void {
    this.connection.pause();
  }

  resume(): void {
    this.connection.resume();
  }

  getPeer(): string {
    const { remoteAddress, remotePort } = this.socket;
    return remoteAddress === undefined ? 'unknown' : `${remoteAddress}:${remotePort ?? 0}`;
  }

  getAuthContext(): { sslPeerCertificate?: tls.PeerCertificate } {
    if (!(this.socket instanceof tls.TLSSocket)) return {};
    return { sslPeerCertificate: this.socket.getPeerCertificate() };
  }

  /** The connection is cut. */
  destroy(): void {
    this.connection.fail(new Error('the node is stopping'));
  }

  #headers(fields: readonly HeaderField[], isLast: boolean): void {
    if (this.#isCalled) {
      // Trailers: clients of gRPC have none, but to end with them is no mistake.
      this.emit('end');
      return;
    }
    this.#isCalled = true;
    this.#cancelTimer();
    const refusal = headersRefusal(fields);
    if (refusal !== undefined) {
      this.#finish(refusal);
      return;
    }
    this.#watch();
    this.server.called(this);
    if (isLast) this.emit('end');
  }

  /** A client whose machine vanished must not look connected for long: its lease could not move. */
  #watch(): void {
    this.#cancelTimer = this.server.clock.setTimer(KEEPALIVE_INTERVAL_MS, () => {
      if (this.#isOver) return;
      if (this.connection.hasHeard() || this.connection.ping()) this.#watch();
      else this.connection.fail(new Error('the client gave no sign of life'));
    });
  }

  #message(pieces: readonly Buffer[]): void {
    if (this.#isOver) return;
    let frame;
    try {
      frame = decodeClientPieces(pieces);
    } catch (error) {
      frame = StorageError.from(error);
    }
    letGoAll(pieces);
    this.emit('data', frame);
  }

  #answer(): void {
    if (this.#hasAnswered) return;
    this.#hasAnswered = true;
    this.connection.sendHeaders(ANSWER_HEADERS, false);
  }

  #finish(end: CallEnd): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#cancelTimer();
    const first = this.#hasAnswered ? [] : ANSWER_HEADERS;
    this.connection.sendHeaders([...first, ...endHeaders(end)], true);
    this.connection.end();
    // Closed at once, what the client still sends would make its kernel throw the status away unread.
    this.connection.resume();
    const cancel = this.server.clock.setTimer(CALL_TIMEOUT_MS, () => {
      this.socket.destroy();
    });
    this.socket.once('close', cancel);
  }

  #lost(): void {
    this.#cancelTimer();
    if (this.#isOver) return;
    this.#isOver = true;
    this.emit('cancelled');
  }
}
