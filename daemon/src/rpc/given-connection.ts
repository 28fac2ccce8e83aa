/**
 * Connections that were accepted here and go on in another thread of the process, which shares descriptors but no sockets:
 * the descriptor is doubled, the socket here closed, and nothing is lost, as what was not read is still in the kernel.
 */
import { closeSync } from 'node:fs';
import type { Socket } from 'node:net';
import { doubledDescriptor } from '../runtime/doubled-descriptor.js';
import type { WindowSizes } from './http2-window.js';
import type { CallPlace } from './peer-identity.js';
import type { RemoteEnd, ServerDoor } from './server-door.js';
import type { ServerMaterial } from './tls-acceptor.js';

export interface GivenConnection {
  /** Whoever takes the connection closes it. Nobody has spoken on it, TLS neither. */
  readonly fd: number;
  /** What came already. */
  readonly first: Uint8Array<ArrayBuffer>;
  readonly lane: number;
}

/** Where connections come in, and what is to be told there of those that were given away. */
export interface ConnectionHall {
  readonly place: CallPlace;
  /** Absent: no TLS is spoken. */
  readonly material: ServerMaterial | undefined;
  /** The client at this end has said what it wants. */
  readonly identified: (remote: RemoteEnd) => void;
  /** With a connection's first call. */
  readonly onWindows: (windows: WindowSizes) => void;
}

export interface ConnectionTaker {
  /** Before the first of them. */
  listens(hall: ConnectionHall): void;
  /**
   * @param leave to be called when the connection is closed
   * @returns closes it, wherever it is then
   */
  take(given: GivenConnection, leave: () => void): () => void;
  cutAll(): void;
}

/**
 * @param first everything that was received
 * @returns false where it cannot be, without a free descriptor say: the connection is as it was
 */
export function giveConnection(
  socket: Socket,
  { first, lane }: { readonly first: Buffer; readonly lane: number },
  door: ServerDoor,
  taker: ConnectionTaker,
): boolean {
  const fd = doubledDescriptor(socket);
  if (fd === undefined) return false;
  let cut: (() => void) | undefined;
  const leave = door.givenAway(socket, () => cut?.());
  try {
    // In memory of its own: a view would take all that lies around it to the other thread.
    cut = taker.take({ fd, first: new Uint8Array(first), lane }, leave);
  } catch (error) {
    closeSync(fd);
    throw error;
  }
  socket.destroy();
  return true;
}
