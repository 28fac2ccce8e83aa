/**
 * Connections that were accepted here and go on in another thread of the process, which shares descriptors but no sockets:
 * the descriptor is doubled, the socket here closed, and nothing is lost, as what was not read is still in the kernel.
 */
import { closeSync } from 'node:fs';
import type { Socket } from 'node:net';
import { duplicateFd } from 'blkferry-kernel';
import { socketFd } from '../runtime/socket-fd.js';
import type { DistantSeat, ServerDoor } from './server-door.js';

export interface GivenConnection {
  /** Whoever takes the connection closes it. */
  readonly fd: number;
  /** What came already. */
  readonly first: Uint8Array<ArrayBuffer>;
  readonly lane: number;
  /** TLS is to be spoken on it, and nobody has begun. */
  readonly isTls: boolean;
}

export interface ConnectionTaker {
  /** @returns closes the connection, wherever it is then */
  take(given: GivenConnection, seat: DistantSeat): () => void;
}

/**
 * @param first everything that was received
 * @returns false where it cannot be, without a free descriptor say: the connection is as it was
 */
export function giveConnection(
  socket: Socket,
  { first, lane, isTls }: { first: Buffer; lane: number; isTls: boolean },
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
  const seat = door.givenAway(socket, () => cut?.());
  try {
    // In memory of its own: a view would take all that lies around it to the other thread.
    cut = taker.take({ fd: copy, first: new Uint8Array(first), lane, isTls }, seat);
  } catch (error) {
    closeSync(copy);
    throw error;
  }
  socket.destroy();
  return true;
}
