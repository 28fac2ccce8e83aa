/**
 * A digest of the content of a file or a volume that tells where two contents differ. Zeroes are left
 * out, so that it does not matter where content ends, how holes are reported, and how much of a sparse
 * volume is hole: equal content, followed by any number of zeroes, has an equal digest.
 *
 * For each stretch of 64 MiB that is not all zeroes: SHA-256 over its granules that are not, each
 * preceded by its offset and filled up to its full length.
 */
import { createHash, type Hash } from 'node:crypto';
import { GRANULE_BYTES, isZeroGranule, type Piece } from './piece.js';

/**
 * How exactly a difference can be located. 44 bytes are kept per stretch with data: about 14 MiB for a
 * volume of 20 TiB.
 */
export const STRETCH_BYTES = 64 * 1024 * 1024;

export interface Difference {
  readonly offsetBytes: number;
  readonly lengthBytes: number;
}

export class ContentDigest {
  readonly #stretches = new Map<number, string>();
  #hash: Hash | undefined;
  #hashStretch = -1;
  #endBytes = 0;
  readonly #offset = Buffer.alloc(8);

  /** Takes the next piece. Pieces come in ascending order; what is left out counts as zeroes. */
  add(piece: Piece): void {
    if (piece.offsetBytes < this.#endBytes) {
      throw new Error(`piece at ${piece.offsetBytes} after content up to ${this.#endBytes}`);
    }
    this.#endBytes = piece.offsetBytes + piece.lengthBytes;
    const { data } = piece;
    if (data === undefined) return;
    for (let atBytes = 0; atBytes < data.length; atBytes += GRANULE_BYTES) {
      const granule = data.subarray(atBytes, atBytes + GRANULE_BYTES);
      if (!isZeroGranule(granule)) this.#addGranule(piece.offsetBytes + atBytes, granule);
    }
  }

  /** @returns the first stretch that differs, or undefined when the contents are equal. */
  firstDifference(other: ContentDigest): Difference | undefined {
    this.#endStretch();
    other.#endStretch();
    const indices = new Set([...this.#stretches.keys(), ...other.#stretches.keys()]);
    let first: number | undefined;
    for (const index of indices) {
      if (this.#stretches.get(index) === other.#stretches.get(index)) continue;
      if (first === undefined || index < first) first = index;
    }
    if (first === undefined) return undefined;
    return { offsetBytes: first * STRETCH_BYTES, lengthBytes: STRETCH_BYTES };
  }

  #addGranule(offsetBytes: number, granule: Buffer): void {
    const stretch = Math.floor(offsetBytes / STRETCH_BYTES);
    if (stretch !== this.#hashStretch) {
      this.#endStretch();
      this.#hashStretch = stretch;
    }
    this.#hash ??= createHash('sha256');
    this.#offset.writeBigUInt64BE(BigInt(offsetBytes));
    this.#hash.update(this.#offset).update(granule);
    const missingBytes = GRANULE_BYTES - granule.length;
    if (missingBytes > 0) this.#hash.update(Buffer.alloc(missingBytes));
  }

  #endStretch(): void {
    if (this.#hash === undefined) return;
    this.#stretches.set(this.#hashStretch, this.#hash.digest('base64'));
    this.#hash = undefined;
  }
}
