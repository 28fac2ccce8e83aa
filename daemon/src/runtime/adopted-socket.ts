/**
 * Accepted connections that are received into slabs. Node lets one say where a socket is read to only when one makes it,
 * and those of a server it makes itself: so here another is made over the same connection, and Node's goes.
 */
import { closeSync, openSync } from 'node:fs';
import type { Socket } from 'node:net';
import { duplicateFd } from 'blkferry-kernel';
import { slabSocket } from './receive-slab.js';
import { socketFd } from './socket-fd.js';

/**
 * @param accepted plain; everything that it received has been taken, everything written to it is with the kernel. Closes;
 *   whoever listens for that listens to the other from now on
 * @returns a socket that is read as soon as somebody listens to `data`, which is the only way to read it; `accepted`
 *   itself where that cannot be: without the add-on, without a free descriptor, with something left in it
 */
export function adopted(accepted: Socket): Socket {
  const copy = descriptorCopy(accepted);
  if (copy === undefined) return accepted;
  try {
    const made = slabSocket(copy, accepted.allowHalfOpen);
    // It is the connection's, and so the same for both.
    accepted.destroy();
    return made;
  } catch {
    closeSync(copy);
    return accepted;
  }
}

/**
 * A second descriptor of the connection, for another socket or another thread. Its receiver closes it; until the socket
 * is closed here, it must not be read here.
 *
 * @returns undefined where that would lose something, or cannot be: without the add-on, without a free descriptor
 */
export function descriptorCopy(socket: Socket): number | undefined {
  const fd = socketFd(socket);
  if (fd === undefined || socket.readableLength > 0 || socket.writableLength > 0) return undefined;
  try {
    return duplicateFd(fd);
  } catch {
    return undefined;
  }
}

/** @throws Error beginning with `what` where there are none: without the add-on */
export function requireDescriptorCopies(what: string): void {
  const fd = openSync('/dev/null', 'r');
  try {
    closeSync(duplicateFd(fd));
  } catch (cause) {
    throw new Error(`${what}: ${(cause as Error).message}`, { cause });
  } finally {
    closeSync(fd);
  }
}
