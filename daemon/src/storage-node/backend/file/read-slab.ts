/**
 * Buffers for reads: small ones are cut from a larger piece, because an allocation of its own for every
 * 4 KiB costs more than the read. A piece lives as long as any of its reads is on its way out.
 */

/** 64 reads of 4 KiB: one batch at depth 64. */
const SLAB_BYTES = 256 * 1024;
/** From here on a buffer of its own: it would leave too much of a slab unused. */
const OWN_BUFFER_BYTES = 64 * 1024;

export class ReadSlab {
  #slab = Buffer.allocUnsafeSlow(SLAB_BYTES);
  #usedBytes = 0;

  /** Uninitialized: the caller fills all of it or throws it away. */
  take(lengthBytes: number): Buffer {
    if (lengthBytes >= OWN_BUFFER_BYTES) return Buffer.allocUnsafeSlow(lengthBytes);
    if (this.#usedBytes + lengthBytes > SLAB_BYTES) {
      this.#slab = Buffer.allocUnsafeSlow(SLAB_BYTES);
      this.#usedBytes = 0;
    }
    const start = this.#usedBytes;
    this.#usedBytes += lengthBytes;
    return this.#slab.subarray(start, start + lengthBytes);
  }
}
