/**
 * Gathers what is written to a socket in one turn of the event loop and hands it over together: headers and
 * small data side by side in one buffer, large data as it is. At depth 64 that is one system call for
 * dozens of replies.
 */
import type { Socket } from 'node:net';

/** One buffer's worth of headers and small data: at depth 16 and 4 KiB, one turn's replies. */
const SLAB_BYTES = 128 * 1024;
/** From this length on a copy costs more than one more entry in the socket's vector write. */
const COPY_BELOW_BYTES = 16 * 1024;

const NOTHING = Buffer.alloc(0);

export class WriteGatherer {
  #slab = Buffer.allocUnsafeSlow(SLAB_BYTES);
  /** Of the slab: where the bytes not yet handed over begin, and where they end. */
  #start = 0;
  #end = 0;
  #pieces: Buffer[] = [];

  /** A real socket: what it has written it has copied. */
  constructor(readonly socket: Socket) {}

  /** Room for `bytes` bytes, which the caller writes from `position` on; call `advance` afterwards. */
  reserve(bytes: number): Buffer {
    if (this.#end + bytes > this.#slab.length) {
      this.#closePiece();
      this.#slab = Buffer.allocUnsafeSlow(Math.max(SLAB_BYTES, bytes));
      this.#start = 0;
      this.#end = 0;
    }
    return this.#slab;
  }

  /** Where in the slab the next byte goes. */
  get position(): number {
    return this.#end;
  }

  advance(end: number): void {
    this.#end = end;
  }

  /** Adds data behind what was written. It is not copied if it is large, and must then stay unchanged. */
  push(data: Buffer): void {
    if (data.length < COPY_BELOW_BYTES) {
      const slab = this.reserve(data.length);
      this.#end += data.copy(slab, this.#end);
      return;
    }
    this.#closePiece();
    this.#pieces.push(data);
  }

  /**
   * Hands everything to the socket. What it cannot take at once shows in its writableLength.
   * @param onWritten called, later, when the kernel has taken it
   */
  flush(onWritten?: () => void): void {
    this.#closePiece();
    const pieces = this.#pieces;
    const last = pieces.length - 1;
    if (last < 0) return;
    this.#pieces = [];
    if (last > 0) this.socket.cork();
    for (let index = 0; index < last; index += 1) this.socket.write(pieces[index] ?? NOTHING);
    this.socket.write(pieces[last] ?? NOTHING, onWritten);
    if (last > 0) this.socket.uncork();
    this.#reuseSlab();
  }

  /** What the kernel took at once is copied already: the slab can begin again, and costs no new memory. */
  #reuseSlab(): void {
    if (this.socket.writableLength > 0 || this.#slab.length > SLAB_BYTES) return;
    this.#start = 0;
    this.#end = 0;
  }

  #closePiece(): void {
    if (this.#start === this.#end) return;
    this.#pieces.push(this.#slab.subarray(this.#start, this.#end));
    this.#start = this.#end;
  }
}
