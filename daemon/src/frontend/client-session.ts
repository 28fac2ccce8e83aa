/**
 * One NBD client from the handshake's end on: its socket, its session, and the end of one that asks nothing any more.
 * Also of a client whose handshake was in another thread.
 */
import type { Socket } from 'node:net';
import { NbdProtocolError } from 'nbd-server-helpers';
import type { BlockError } from '../block/block-error.js';
import { NbdSession } from './nbd-session.js';
import type { NbdSessionOptions } from './nbd-session-options.js';
import { tlsSentence } from './tls-door.js';

/** What the listener needs of a client that is served, wherever that is. */
export interface ServedClient {
  /** Reads no further request, answers those in flight, then ends the connection. */
  stop(): Promise<void>;
  /** Ends the connection now. */
  destroy(): void;
}

export interface ClientEvents {
  /** The connection is ended here, for a reason. At most once. */
  failed(reason: string): void;
  /** The connection broke. */
  lost(reason: string): void;
  /** A request was refused or failed; the client sees only the errno. */
  requestFailed(kind: string, error: BlockError): void;
}

export interface ClientSessionOptions extends Omit<NbdSessionOptions, 'onDropped' | 'onRefused'> {
  /** A client that asks nothing for this long and waits for nothing is disconnected; Infinity: it is not. */
  readonly idleTimeoutMs: number;
  readonly events: ClientEvents;
}

export class ClientSession implements ServedClient {
  readonly #socket: Socket;
  readonly #session: NbdSession;
  #hasFailed = false;

  /** Listens to the socket, but for its `close`: then the caller calls `abandon`. */
  constructor(readonly options: ClientSessionOptions) {
    const { socket, events } = options;
    this.#socket = socket;
    this.#session = new NbdSession({
      ...options,
      onDropped: (reason) => {
        this.#tell(reason);
      },
      onRefused: (request, error) => {
        const kind = 'kind' in request ? request.kind : `command ${request.command}`;
        events.requestFailed(kind, error);
      },
    });
    socket.on('data', this.#receive);
    // The client closed its writing half: it waits for nothing but answers.
    socket.on('end', () => {
      this.#session.finish();
    });
    socket.on('error', (error) => {
      events.lost(lossOf(error));
    });
    this.#watchIdleness();
  }

  /** @param leftover what was received already */
  begin(leftover: Buffer): void {
    if (leftover.length > 0) this.#receive(leftover);
  }

  stop(): Promise<void> {
    return this.#session.stop();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  /** The connection is gone. */
  abandon(): void {
    this.#session.abandon();
  }

  readonly #receive = (chunk: Buffer): void => {
    try {
      this.#session.receive(chunk);
    } catch (error) {
      if (!(error instanceof NbdProtocolError)) throw error;
      this.#fail(error.message);
    }
  };

  /** By the socket's own timer, which what is sent or received puts off. */
  #watchIdleness(): void {
    const { idleTimeoutMs } = this.options;
    if (idleTimeoutMs === Infinity) return;
    const socket = this.#socket;
    socket.setTimeout(idleTimeoutMs, () => {
      const isWaitedFor = this.#session.isWaitedFor || socket.writableLength > 0;
      if (isWaitedFor) socket.setTimeout(idleTimeoutMs);
      else this.#fail(`it asked nothing for ${idleTimeoutMs} ms (nbd.idle_timeout)`);
    });
  }

  #fail(reason: string): void {
    this.#tell(reason);
    this.#socket.destroy();
  }

  #tell(reason: string): void {
    if (this.#hasFailed) return;
    this.#hasFailed = true;
    this.options.events.failed(reason);
  }
}

/** Why a client's connection broke, in a sentence. */
export function lossOf(error: Error): string {
  const isOfTls = 'code' in error && String(error.code).startsWith('ERR_SSL_');
  return isOfTls ? tlsSentence(error) : `connection lost: ${error.message}`;
}
