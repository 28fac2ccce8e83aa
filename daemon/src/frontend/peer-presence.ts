/**
 * Whether the client at the other end of a socket is still there, asked without reading the socket: while a
 * session waits for room nothing is read, so nobody would hear of an end that stands behind unread requests.
 */
import type { Socket } from 'node:net';
import { hasHungUp } from 'blkferry-kernel';
import { socketFd } from '../runtime/socket-fd.js';

/** @returns true also if the socket is closed here already; false if it cannot be known: without the add-on */
export function isPeerGone(socket: Socket): boolean {
  if (socket.destroyed) return true;
  const fd = socketFd(socket);
  if (fd === undefined) return false;
  try {
    return hasHungUp(fd);
  } catch {
    return false;
  }
}
