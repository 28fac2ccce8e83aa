/**
 * Connections that were accepted here and go on in another thread of the process, which shares descriptors but no sockets:
 * the descriptor is doubled, the socket here closed, and nothing is lost, as what was not read is still in the kernel.
 */
import { closeSync, openSync } from 'node:fs';
import type { Socket } from 'node:net';
import { duplicateFd } from 'blkferry-kernel';
import { socketFd } from '../runtime/socket-fd.js';
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

/** Without the add-on no connection could be given away. @throws Error with the reason */
export function requireGivable(): void {
  const fd = openSync('/dev/null', 'r');
  try {
    closeSync(duplicateFd(fd));
  } catch (error) {
    throw new Error(`workers: more than 1 cannot be had: ${(error as Error).message}`);
  } finally {
    closeSync(fd);
  }
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
  const fd = socketFd(socket);
  if (fd === undefined || socket.readableLength > 0 || socket.writableLength > 0) return false;
  let copy: number;
  try {
    copy = duplicateFd(fd);
  } catch {
    return false;
  }
  let cut: (() => void) | undefined;
  const leave = door.givenAway(socket, () => cut?.());
  try {
    // In memory of its own: a view would take all that lies around it to the other thread.
    cut = taker.take({ fd: copy, first: new Uint8Array(first), lane }, leave);
  } catch (error) {
    closeSync(copy);
    throw error;
  }
  socket.destroy();
  return true;
}
