/**
 * One NBD client from its first byte to its last: the handshake with its time limit, TLS in the middle of it where
 * that is asked for, then a session. Bytes are understood by nbd-server-helpers; here they only meet the socket.
 */
import type { Socket } from 'node:net';
import { NbdProtocolError, ServerHandshake, type HandshakeOutcome } from 'nbd-server-helpers';
import type { BlockError } from '../block/block-error.js';
import type { Clock } from '../runtime/clock.js';
import { ClientExports, type ExportAccess } from './client-exports.js';
import type { ExportClient, ExportTable } from './export-table.js';
import { NbdSession } from './nbd-session.js';
import type { ReplyBudget } from './reply-budget.js';
import { tlsSentence, type TlsDoor, type TlsOutcome } from './tls-door.js';

export interface ConnectionLimits {
  /** A client that has not chosen an export by then is disconnected. */
  readonly handshakeTimeoutMs: number;
  /** A client that has chosen one, asks nothing for this long and waits for nothing is disconnected; absent: it is not. */
  readonly idleTimeoutMs?: number;
  /** Most bytes of one write's payload; longer ones are skipped and refused. */
  readonly payloadBytesMax: number;
  /** What all clients together may be owed; absent: only what each one may. */
  readonly replyBudget?: ReplyBudget | undefined;
}

/** What clients of one address must show, and what they get for it. */
export interface ClientProtection {
  /** Undefined: plain text. Else nothing is told, and nothing opened, before TLS. */
  readonly door: TlsDoor | undefined;
  /** Undefined: everybody may write everything. */
  readonly access: ExportAccess | undefined;
}

/** What is worth a log record. */
export interface ConnectionEvents {
  /** The client chose an export. @param names as which it is known; empty without TLS */
  opened(exportName: string, names: readonly string[]): void;
  /** It asked for an export that is there and not for it, and was told that there is none. */
  refused(exportName: string, names: readonly string[], reason: string): void;
  /** The client went without choosing an export, as clients do that only look; or was told to go. */
  handshakeEnded(reason: string): void;
  /** The client did not speak NBD, or stopped in the middle of it. */
  protocolError(reason: string): void;
  /** A request was refused or failed; the client sees only the errno. */
  requestFailed(exportName: string, kind: string, error: BlockError): void;
  closed(): void;
}

export class NbdConnection implements ExportClient {
  /** The client's, or the TLS around it. */
  #socket: Socket;
  readonly #handshake: ServerHandshake;
  readonly #clientExports: ClientExports;
  #names: readonly string[] = [];
  #session: NbdSession | undefined;
  #exportName = '';
  /** With which the session was opened. */
  #right: 'read' | 'write' | undefined;
  #unregister: (() => void) | undefined;
  #stopped: Promise<void> | undefined;
  /** It was told why; what comes of that is no news. */
  #hasFailed = false;
  readonly #cancelTimeout: () => void;

  constructor(
    socket: Socket,
    readonly exports: ExportTable,
    readonly protection: ClientProtection,
    readonly limits: ConnectionLimits,
    readonly clock: Clock,
    readonly events: ConnectionEvents,
  ) {
    this.#socket = socket;
    this.#clientExports = new ClientExports(exports, protection.access, (exportName, reason) => {
      events.refused(exportName, this.#names, reason);
    });
    this.#handshake = new ServerHandshake({
      exports: this.#clientExports,
      tls: protection.door === undefined ? 'unavailable' : 'required',
      extendedHeaders: true,
    });
    this.#cancelTimeout = clock.setTimer(limits.handshakeTimeoutMs, () => {
      this.#fail(`no export was chosen within ${limits.handshakeTimeoutMs} ms`);
    });
    socket.setNoDelay(true);
    socket.on('close', () => {
      this.#onClose();
    });
    this.#listenTo(socket);
    socket.write(this.#handshake.begin());
  }

  stop(): Promise<void> {
    if (this.#session === undefined) this.destroy();
    this.#stopped ??= this.#session?.stop() ?? Promise.resolve();
    return this.#stopped;
  }

  /** Ends a client that has not chosen an export. */
  giveWay(reason: string): void {
    this.#fail(reason);
  }

  /** There are new rules: ends a client that has more than they give it. @returns whether it did */
  endUnallowed(): boolean {
    if (this.#session === undefined) return false;
    const right = this.#clientExports.rightTo(this.#exportName);
    if (right === this.#right || right === 'write') return false;
    this.#fail(
      `the rules give it ${right ?? 'nothing'} now, and it had ${this.#right ?? 'nothing'}`,
    );
    return true;
  }

  destroy(): void {
    this.#socket.destroy();
  }

  #listenTo(socket: Socket): void {
    socket.on('data', this.#receive);
    socket.on('end', this.#onEnd);
    socket.on('error', this.#onError);
  }

  readonly #receive = (chunk: Buffer): void => {
    try {
      if (this.#session === undefined) this.#negotiate(chunk);
      else this.#session.receive(chunk);
    } catch (error) {
      if (!(error instanceof NbdProtocolError)) throw error;
      this.#fail(error.message);
    }
  };

  #negotiate(chunk: Buffer): void {
    const step = this.#handshake.push(chunk);
    if (step.send.length > 0) this.#socket.write(step.send);
    if (step.outcome === undefined) return;
    switch (step.outcome.kind) {
      case 'transmission':
        this.#cancelTimeout();
        this.#beginSession(step.outcome);
        return;
      case 'closed':
        this.#cancelTimeout();
        this.events.handshakeEnded(step.outcome.reason);
        this.#socket.end();
        return;
      case 'start-tls':
        this.#startTls();
    }
  }

  /**
   * From here on the socket is read by TLS alone, in the same turn in which the client's wish was read: what it
   * sends in plain text now is garbage to TLS. What it had sent before was refused by the handshake.
   */
  #startTls(): void {
    const plain = this.#socket;
    plain.off('data', this.#receive);
    plain.off('end', this.#onEnd);
    plain.off('error', this.#onError);
    // TLS tells what goes wrong; what is left is the acknowledgement, whose loss it notices too.
    plain.on('error', () => undefined);
    this.protection.door?.enter(plain, (outcome) => {
      this.#onTls(outcome);
    });
  }

  #onTls(outcome: TlsOutcome): void {
    if ('refusal' in outcome) {
      this.#fail(outcome.refusal);
      return;
    }
    // Now as in plain text: a client that closed its writing half still gets its answers.
    outcome.socket.allowHalfOpen = true;
    this.#socket = outcome.socket;
    this.#names = outcome.names;
    this.#clientExports.identify(outcome.names);
    this.#handshake.tlsEstablished();
    this.#listenTo(outcome.socket);
  }

  #beginSession(outcome: Extract<HandshakeOutcome, { kind: 'transmission' }>): void {
    const { exportName } = outcome.session;
    const entry = this.exports.find(exportName);
    const device = entry === undefined ? undefined : this.#clientExports.deviceOf(entry);
    this.#unregister = this.exports.register(exportName, this);
    if (device === undefined || this.#unregister === undefined) {
      this.#fail(`export ${exportName} was removed`);
      return;
    }
    this.#exportName = exportName;
    this.#right = this.#clientExports.rightTo(exportName);
    const socket = this.#socket;
    this.#session = new NbdSession({
      socket,
      device,
      agreed: outcome.session,
      budget: this.limits.replyBudget,
      payloadBytesMax: this.limits.payloadBytesMax,
      isEncrypted: this.protection.door !== undefined,
      hasOtherConnections: isUnix(socket)
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
    this.events.opened(exportName, this.#names);
    this.#watchIdleness(socket);
    if (outcome.leftover.length > 0) this.#session.receive(outcome.leftover);
  }

  /** By the socket's own timer, which what is sent or received puts off. */
  #watchIdleness(socket: Socket): void {
    const { idleTimeoutMs = Infinity } = this.limits;
    if (idleTimeoutMs === Infinity) return;
    socket.setTimeout(idleTimeoutMs, () => {
      const isWaitedFor = this.#session?.isWaitedFor === true || socket.writableLength > 0;
      if (isWaitedFor) socket.setTimeout(idleTimeoutMs);
      else this.#fail(`it asked nothing for ${idleTimeoutMs} ms (nbd.idle_timeout)`);
    });
  }

  /** The client closed its writing half: it waits for nothing but answers. */
  readonly #onEnd = (): void => {
    if (this.#session === undefined) this.#socket.destroy();
    else this.#session.finish();
  };

  readonly #onError = (error: Error): void => {
    const isOfTls = 'code' in error && String(error.code).startsWith('ERR_SSL_');
    this.events.protocolError(isOfTls ? tlsSentence(error) : `connection lost: ${error.message}`);
  };

  #onClose(): void {
    this.#cancelTimeout();
    this.#unregister?.();
    this.#session?.abandon();
    this.events.closed();
  }

  #fail(reason: string): void {
    if (this.#hasFailed) return;
    this.#hasFailed = true;
    this.events.protocolError(
      this.#exportName === '' ? reason : `export ${this.#exportName}: ${reason}`,
    );
    this.#socket.destroy();
  }
}

function isUnix(socket: Socket): boolean {
  return socket.remoteFamily === undefined;
}
