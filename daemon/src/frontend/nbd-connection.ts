/**
 * One NBD client from its first byte to its last: the handshake with its time limit, TLS in the middle of it where
 * that is asked for, then a session (client-session.ts), here or in the thread of its volume. Bytes are understood by
 * nbd-server-helpers; here they only meet the socket.
 */
import type { Socket } from 'node:net';
import { NbdProtocolError, ServerHandshake } from 'nbd-server-helpers';
import type { PacedBlockDevice } from '../block/block-device.js';
import type { BlockError } from '../block/block-error.js';
import type { Clock } from '../runtime/clock.js';
import { ClientExports, type ExportAccess } from './client-exports.js';
import { handOver, isUnix, type Transmission } from './client-handover.js';
import { ClientSession, lossOf, type ClientEvents, type ServedClient } from './client-session.js';
import type { Export, ExportClient, ExportTable } from './export-table.js';
import type { ReplyBudget } from './reply-budget.js';
import type { SessionHost } from './session-host.js';
import type { TlsDoor, TlsOutcome } from './tls-door.js';

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
  #client: ServedClient | undefined;
  /** The same, if it is served in this thread. */
  #session: ClientSession | undefined;
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
    socket.on('close', this.#onClose);
    this.#listenTo(socket);
    socket.write(this.#handshake.begin());
  }

  stop(): Promise<void> {
    if (this.#client === undefined) this.destroy();
    this.#stopped ??= this.#client?.stop() ?? Promise.resolve();
    return this.#stopped;
  }

  /** Ends a client that has not chosen an export. */
  giveWay(reason: string): void {
    this.#fail(reason);
  }

  /** There are new rules: ends a client that has more than they give it. @returns whether it did */
  endUnallowed(): boolean {
    if (this.#client === undefined) return false;
    const right = this.#clientExports.rightTo(this.#exportName);
    if (right === this.#right || right === 'write') return false;
    this.#fail(
      `the rules give it ${right ?? 'nothing'} now, and it had ${this.#right ?? 'nothing'}`,
    );
    return true;
  }

  destroy(): void {
    this.#client?.destroy();
    this.#socket.destroy();
  }

  #listenTo(socket: Socket): void {
    socket.on('data', this.#receive);
    socket.on('end', this.#onEnd);
    socket.on('error', this.#onError);
  }

  #listenNoMore(socket: Socket): void {
    socket.off('data', this.#receive);
    socket.off('end', this.#onEnd);
    socket.off('error', this.#onError);
  }

  readonly #receive = (chunk: Buffer): void => {
    try {
      this.#negotiate(chunk);
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
    this.#listenNoMore(plain);
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

  #beginSession(outcome: Transmission): void {
    const { exportName } = outcome.session;
    const entry = this.exports.find(exportName);
    const device = entry === undefined ? undefined : this.#clientExports.deviceOf(entry);
    this.#unregister = this.exports.register(exportName, this);
    if (entry === undefined || device === undefined || this.#unregister === undefined) {
      this.#fail(`export ${exportName} was removed`);
      return;
    }
    this.#exportName = exportName;
    this.#right = this.#clientExports.rightTo(exportName);
    this.#listenNoMore(this.#socket);
    const { host } = entry;
    // TLS cannot change its thread, and a narrower device is not there.
    const isPlain = this.protection.door === undefined && device === entry.device;
    if (host !== undefined && isPlain) this.#serveThere(host, outcome);
    else this.#serveHere(entry, device, outcome);
    if (this.#client === undefined) return;
    this.events.opened(exportName, this.#names);
    this.#session?.begin(outcome.leftover);
  }

  #serveHere(entry: Export, device: PacedBlockDevice, { session }: Transmission): void {
    const { exportName } = session;
    const { replyBudget, payloadBytesMax, idleTimeoutMs = Infinity } = this.limits;
    entry.host?.clientsHere(1);
    const unregister = this.#unregister;
    this.#unregister = () => {
      unregister?.();
      entry.host?.clientsHere(-1);
    };
    this.#client = this.#session = new ClientSession({
      socket: this.#socket,
      device,
      agreed: session,
      budget: replyBudget,
      payloadBytesMax,
      isEncrypted: this.protection.door !== undefined,
      hasOtherConnections: isUnix(this.#socket)
        ? () => this.exports.clientCount(exportName) > 1
        : () => false,
      idleTimeoutMs,
      events: this.#clientEvents(exportName),
    });
  }

  /**
   * Whoever cannot be handed over is not served: requests of one client must not come on different ways to the volume,
   * where one that it had given up could come after newer ones.
   */
  #serveThere(host: SessionHost, outcome: Transmission): void {
    const socket = this.#socket;
    socket.off('close', this.#onClose);
    this.#client = handOver(socket, outcome, host, {
      ...this.#clientEvents(outcome.session.exportName),
      closed: this.#onClose,
    });
    if (this.#client !== undefined) return;
    socket.on('error', this.#onError);
    socket.on('close', this.#onClose);
    this.#fail('its connection could not be given to the thread of its volume');
  }

  #clientEvents(exportName: string): ClientEvents {
    return {
      failed: (reason) => {
        this.#fail(reason);
      },
      lost: (reason) => {
        this.events.protocolError(reason);
      },
      requestFailed: (kind, error) => {
        this.events.requestFailed(exportName, kind, error);
      },
    };
  }

  /** In the middle of the handshake. */
  readonly #onEnd = (): void => {
    this.#socket.destroy();
  };

  readonly #onError = (error: Error): void => {
    this.events.protocolError(lossOf(error));
  };

  readonly #onClose = (): void => {
    this.#cancelTimeout();
    this.#unregister?.();
    this.#session?.abandon();
    this.events.closed();
  };

  #fail(reason: string): void {
    if (this.#hasFailed) return;
    this.#hasFailed = true;
    this.events.protocolError(
      this.#exportName === '' ? reason : `export ${this.#exportName}: ${reason}`,
    );
    this.destroy();
  }
}
