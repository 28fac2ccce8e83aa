/**
 * Buffers for reads, which are read into again once their reply has gone: fresh memory must be cleared by the kernel page
 * by page, which costs as much as the read. Small ones are cut from a slab (runtime/reused-memory.ts), because an
 * allocation of its own for every 4 KiB costs more than the read.
 */
import { hold, letGo, takeSlab } from '../../../runtime/reused-memory.js';

/** 64 reads of 4 KiB: one batch at depth 64. */
const SLAB_BYTES = 256 * 1024;
/** From here on a buffer of its own: it would leave too much of a slab unused. */
const OWN_BUFFER_BYTES = 64 * 1024;
/** Of all volumes together, kept for reads to come: what a session may have unsent, twice. */
export const SPARE_BYTES_MAX = 32 * 1024 * 1024;

export class ReadBuffers {
  #slab = takeSlab(SLAB_BYTES);
  #usedBytes = 0;
  /** Free to be read into, by length. */
  readonly #spares = new Map<number, Buffer[]>();
  #spareBytes = 0;
  /** What was given out and not back; so nothing can come back twice, or that was never ours. */
  readonly #lent = new WeakSet<Buffer>();

  /** Bytes kept for reads to come. */
  get spareBytes(): number {
    return this.#spareBytes;
  }

  /** With whatever it held before: the caller fills all of it or throws it away. */
  take(lengthBytes: number): Buffer {
    if (lengthBytes >= OWN_BUFFER_BYTES) return this.#takeLarge(lengthBytes);
    if (this.#usedBytes + lengthBytes > SLAB_BYTES) {
      letGo(this.#slab);
      this.#slab = takeSlab(SLAB_BYTES);
      this.#usedBytes = 0;
    }
    const start = this.#usedBytes;
    this.#usedBytes += lengthBytes;
    const view = this.#slab.subarray(start, start + lengthBytes);
    hold(view);
    this.#lent.add(view);
    return view;
  }

  /** Nobody sees these any more. */
  giveBack(buffers: readonly Buffer[]): void {
    for (const buffer of buffers) {
      if (!this.#lent.delete(buffer)) continue;
      if (buffer.length < OWN_BUFFER_BYTES) {
        letGo(buffer);
        continue;
      }
      if (this.#spareBytes + buffer.length > SPARE_BYTES_MAX) continue;
      this.#spareBytes += buffer.length;
      const spares = this.#spares.get(buffer.length);
      if (spares === undefined) this.#spares.set(buffer.length, [buffer]);
      else spares.push(buffer);
    }
  }

  #takeLarge(lengthBytes: number): Buffer {
    const spares = this.#spares.get(lengthBytes);
    const spare = spares?.pop();
    if (spare === undefined) {
      // Others than are wanted now only take up the place of those.
      if (this.#spareBytes >= SPARE_BYTES_MAX / 2) this.#forget();
      const buffer = Buffer.allocUnsafeSlow(lengthBytes);
      this.#lent.add(buffer);
      return buffer;
    }
    this.#spareBytes -= lengthBytes;
    if (spares?.length === 0) this.#spares.delete(lengthBytes);
    this.#lent.add(spare);
    return spare;
  }

  #forget(): void {
    this.#spares.clear();
    this.#spareBytes = 0;
  }
}
