/**
 * Another thread that serves NBD sessions beside the volume they are of (workers/remote-sessions.ts): only the handshake
 * and netlink calls are made here then, and what is left here of a session is a way to end it and to hear of it.
 */
import type { NegotiatedSession } from 'nbd-server-helpers';
import type { ClientEvents, ServedClient } from './client-session.js';
import type { KernelSocketEvents, ServedSocket } from './kernel-socket.js';

/** A client's connection after the handshake, of which everything that was said has been sent. */
export interface HandedClient {
  /** Whoever gets it closes it. */
  readonly fd: number;
  /** What came behind the handshake. */
  readonly leftover: Uint8Array<ArrayBuffer>;
  readonly agreed: Pick<NegotiatedSession, 'replyKind' | 'extendedHeaders' | 'metaContexts'>;
  /** Over a unix socket, which tells a client that has gone. */
  readonly isUnix: boolean;
}

export interface HandedClientEvents extends ClientEvents {
  /** The connection is gone. */
  closed(): void;
}

export interface SessionHost {
  serveClient(client: HandedClient, events: HandedClientEvents): ServedClient;
  /** @param fd this process's end of a socket to the kernel; closed there */
  serveKernel(fd: number, events: KernelSocketEvents): ServedSocket;
  /** The volume has so many more clients that are served in this thread, or fewer. */
  clientsHere(by: 1 | -1): void;
  /** Resolves when whatever has become of the sessions so far is known here. */
  settled(): Promise<void>;
}
