/**
 * One socket between the kernel's NBD driver and a volume: the transmission phase without a handshake,
 * because netlink told the kernel everything that a handshake would.
 */
import type { Socket } from 'node:net';
import { NbdProtocolError } from 'nbd-server-helpers';
import type { PacedBlockDevice } from '../block/block-device.js';
import { REQUEST_BYTES_MAX } from '../block/device-facts.js';
import type { BlockError } from '../block/block-error.js';
import { slabSocket } from '../runtime/receive-slab.js';
import { NbdSession } from './nbd-session.js';

/** 'disconnected': the kernel said goodbye, as when somebody disconnects the device; 'lost': it did not. */
export type SocketEnd = 'disconnected' | 'lost';

/** A socket that is served, wherever that is. */
export interface ServedSocket {
  /** Takes in nothing more, answers what is in flight, then closes: the kernel keeps what it has not sent. */
  stop(): Promise<void>;
  /** At once: the kernel asks again on the next socket. Resolves when nothing more is read or answered. */
  destroy(): Promise<void>;
}

export interface KernelSocketEvents {
  closed(how: SocketEnd, reason: string): void;
  requestFailed(kind: string, error: BlockError): void;
}

/** The kernel reads no structured replies. */
const AGREED = { replyKind: 'simple', extendedHeaders: false, metaContexts: [] } as const;

export class KernelSocket implements ServedSocket {
  readonly #socket: Socket;
  readonly #session: NbdSession;
  #reason = 'the kernel closed the socket';

  /** @param fd our end of the pair; closed together with this object */
  constructor(fd: number, device: PacedBlockDevice, events: KernelSocketEvents) {
    this.#socket = slabSocket(fd, true);
    this.#session = new NbdSession({
      socket: this.#socket,
      device,
      agreed: AGREED,
      payloadBytesMax: REQUEST_BYTES_MAX,
      // The kernel sends nothing newer before what it gave up on one socket is answered on another.
      hasOtherConnections: () => false,
      onDropped: (reason) => {
        this.#reason = reason;
      },
      onRefused: (request, error) => {
        const kind = 'kind' in request ? request.kind : `command ${request.command}`;
        events.requestFailed(kind, error);
      },
    });
    this.#socket.on('data', (chunk: Buffer) => {
      this.#receive(chunk);
    });
    // The kernel never half-closes: this is its end, and nobody waits for answers.
    this.#socket.on('end', () => {
      this.#socket.destroy();
    });
    this.#socket.on('error', (error) => {
      this.#reason = error.message;
    });
    this.#socket.on('close', () => {
      this.#session.abandon();
      events.closed(this.#session.saidGoodbye ? 'disconnected' : 'lost', this.#reason);
    });
  }

  async stop(): Promise<void> {
    await this.#session.stop();
    this.#socket.end(() => {
      this.#socket.destroy();
    });
  }

  destroy(): Promise<void> {
    this.#session.abandon();
    this.#socket.destroy();
    return Promise.resolve();
  }

  #receive(chunk: Buffer): void {
    try {
      this.#session.receive(chunk);
    } catch (error) {
      if (!(error instanceof NbdProtocolError)) throw error;
      this.#reason = error.message;
      this.#socket.destroy();
    }
  }
}
