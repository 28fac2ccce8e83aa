/**
 * A connection by a second descriptor, which outlives the socket that it was accepted by: so it can go on through another
 * socket, in this thread or in another.
 */
import { closeSync, openSync } from 'node:fs';
import type { Socket } from 'node:net';
import { duplicateFd } from 'blkferry-kernel';
import { socketFd } from './socket-fd.js';

/**
 * @returns whoever has it closes it; undefined where it cannot be: without the add-on, without a free descriptor, with
 *   something left in the socket that was received and not taken, or written and not with the kernel
 */
export function doubledDescriptor(socket: Socket): number | undefined {
  const fd = socketFd(socket);
  if (fd === undefined || socket.readableLength > 0 || socket.writableLength > 0) return undefined;
  try {
    return duplicateFd(fd);
  } catch {
    return undefined;
  }
}

/** @throws Error where there can never be one, with the reason */
export function requireDoubledDescriptors(): void {
  const fd = openSync('/dev/null', 'r');
  try {
    closeSync(duplicateFd(fd));
  } finally {
    closeSync(fd);
  }
}
