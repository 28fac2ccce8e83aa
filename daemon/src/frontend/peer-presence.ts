/**
 * Whether the client at the other end of a socket is still there, asked without reading the socket: while a
 * session waits for room nothing is read, so nobody would hear of an end that stands behind unread requests.
 */
import type { Socket } from 'node:net';
import { hasHungUp } from 'blkferry-kernel';

/** @returns true also if the socket is closed here already; false if it cannot be known: without the add-on */
export function isPeerGone(socket: Socket): boolean {
  if (socket.destroyed) return true;
  // Node has no public name for it; on Linux every handle of a stream has had this one since version 0.12.
  const { _handle: handle } = socket as unknown as { _handle?: { fd?: number } | null };
  const fd = handle?.fd ?? -1;
  if (fd < 0) return false;
  try {
    return hasHungUp(fd);
  } catch {
    return false;
  }
}
