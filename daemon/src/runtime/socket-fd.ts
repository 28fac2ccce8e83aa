/** The file descriptor of a socket, for calls that Node has no door for. */
import type { Socket } from 'node:net';

/** @returns undefined for one that is closed, and for one that is no stream of the kernel's */
export function socketFd(socket: Socket): number | undefined {
  // Node has no public name for it; on Linux every handle of a stream has had this one since version 0.12.
  const { _handle: handle } = socket as unknown as { _handle?: { fd?: number } | null };
  const fd = handle?.fd ?? -1;
  return fd < 0 ? undefined : fd;
}
