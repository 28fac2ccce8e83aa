/**
 * Gathers what is written to a socket in one turn of the event loop, and hands it over together: at depth 64 that is one
 * system call for dozens of replies.
 */
import type { Socket } from 'node:net';
import { Gatherer } from './gatherer.js';

/** At depth 16 and 4 KiB, one turn's replies. */
const SLAB_BYTES = 128 * 1024;

export class WriteGatherer extends Gatherer {
  /** A real socket: what it has written it has copied. */
  constructor(
    readonly socket: Socket,
    slabBytes = SLAB_BYTES,
  ) {
    super(slabBytes);
  }

  /**
   * Hands everything to the socket. What it cannot take at once shows in its writableLength.
   * @param onWritten called, later, when the kernel has taken it
   */
  flush(onWritten?: () => void): void {
    const pieces = this.take();
    const last = pieces.pop();
    if (last === undefined) return;
    if (pieces.length > 0) this.socket.cork();
    for (const piece of pieces) this.socket.write(piece);
    this.socket.write(last, onWritten);
    if (pieces.length > 0) this.socket.uncork();
    if (this.socket.writableLength === 0) this.reuse();
  }
}
