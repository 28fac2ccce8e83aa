/**
 * One NBD client from its first byte to its last: the handshake with its time limit, then a session.
 * Bytes are understood by nbd-server-helpers; here they only meet the socket.
 */
import type { Socket } from 'node:net';
import { NbdProtocolError, ServerHandshake, type HandshakeOutcome } from 'nbd-server-helpers';
import type { BlockError } from '../block/block-error.js';
import type { Clock } from '../runtime/clock.js';
import type { ExportClient, ExportTable } from './export-table.js';
import { toExportFacts } from './nbd-export.js';
import { NbdSession } from './nbd-session.js';

export interface ConnectionLimits {
  /** A client that has not chosen an export by then is disconnected. */
  readonly handshakeTimeoutMs: number;
  /** Most bytes of one write's payload; longer ones are skipped and refused. */
  readonly payloadBytesMax: number;
}

/** What is worth a log record. */
export interface ConnectionEvents {
  /** The client chose an export. */
  opened(exportName: string): void;
  /** The client went without choosing an export, as clients do that only look; or was told to go. */
  handshakeEnded(reason: string): void;
  /** The client did not speak NBD, or stopped in the middle of it. */
  protocolError(reason: string): void;
  /** A request was refused or failed; the client sees only the errno. */
  requestFailed(exportName: string, kind: string, error: BlockError): void;
  closed(): void;
}

export class NbdConnection implements ExportClient {
  readonly #handshake: ServerHandshake;
  #session: NbdSession | undefined;
  #exportName = '';
  #unregister: (() => void) | undefined;
  #stopped: Promise<void> | undefined;
  readonly #cancelTimeout: () => void;

  constructor(
    readonly socket: Socket,
    readonly exports: ExportTable,
    readonly limits: ConnectionLimits,
    readonly clock: Clock,
    readonly events: ConnectionEvents,
  ) {
    this.#handshake = new ServerHandshake({
      exports: {
        list: () => exports.list().map(({ name, description }) => ({ name, description })),
        find: (name) => {
          const entry = exports.find(name);
          return entry?.isReady() === true ? toExportFacts(entry) : undefined;
        },
      },
      tls: 'unavailable',
      extendedHeaders: true,
    });
    this.#cancelTimeout = clock.setTimer(limits.handshakeTimeoutMs, () => {
      this.#fail(`no export was chosen within ${limits.handshakeTimeoutMs} ms`);
    });
    socket.setNoDelay(true);
    socket.on('data', (chunk: Buffer) => {
      this.#receive(chunk);
    });
    socket.on('end', () => {
      this.#onEnd();
    });
    socket.on('error', (error) => {
      events.protocolError(`connection lost: ${error.message}`);
    });
    socket.on('close', () => {
      this.#onClose();
    });
    socket.write(this.#handshake.begin());
  }

  stop(): Promise<void> {
    if (this.#session === undefined) this.destroy();
    this.#stopped ??= this.#session?.stop() ?? Promise.resolve();
    return this.#stopped;
  }

  destroy(): void {
    this.socket.destroy();
  }

  #receive(chunk: Buffer): void {
    try {
      if (this.#session === undefined) this.#negotiate(chunk);
      else this.#session.receive(chunk);
    } catch (error) {
      if (!(error instanceof NbdProtocolError)) throw error;
      this.#fail(error.message);
    }
  }

  #negotiate(chunk: Buffer): void {
    const step = this.#handshake.push(chunk);
    if (step.send.length > 0) this.socket.write(step.send);
    if (step.outcome === undefined) return;
    this.#cancelTimeout();
    switch (step.outcome.kind) {
      case 'transmission':
        this.#beginSession(step.outcome);
        return;
      case 'closed':
        this.events.handshakeEnded(step.outcome.reason);
        this.socket.end();
        return;
      case 'start-tls':
        this.#fail('TLS was asked for, but it is not offered');
    }
  }

  #beginSession(outcome: Extract<HandshakeOutcome, { kind: 'transmission' }>): void {
    const { exportName } = outcome.session;
    const entry = this.exports.find(exportName);
    this.#unregister = this.exports.register(exportName, this);
    if (entry === undefined || this.#unregister === undefined) {
      this.#fail(`export ${exportName} was removed`);
      return;
    }
    this.#exportName = exportName;
    this.#session = new NbdSession({
      socket: this.socket,
      device: entry.device,
      agreed: outcome.session,
      payloadBytesMax: this.limits.payloadBytesMax,
      hasOtherConnections: isUnix(this.socket)
        ? () => this.exports.clientCount(exportName) > 1
        : () => false,
      onDropped: (reason) => {
        this.events.protocolError(`export ${exportName}: ${reason}`);
      },
      onRefused: (request, error) => {
        const kind = 'kind' in request ? request.kind : `command ${request.command}`;
        this.events.requestFailed(exportName, kind, error);
      },
    });
    this.events.opened(exportName);
    if (outcome.leftover.length > 0) this.#session.receive(outcome.leftover);
  }

  /** The client closed its writing half: it waits for nothing but answers. */
  #onEnd(): void {
    if (this.#session === undefined) this.socket.destroy();
    else this.#session.finish();
  }

  #onClose(): void {
    this.#cancelTimeout();
    this.#unregister?.();
    this.#session?.abandon();
    this.events.closed();
  }

  #fail(reason: string): void {
    this.events.protocolError(
      this.#exportName === '' ? reason : `export ${this.#exportName}: ${reason}`,
    );
    this.socket.destroy();
  }
}

function isUnix(socket: Socket): boolean {
  return socket.remoteFamily === undefined;
}
