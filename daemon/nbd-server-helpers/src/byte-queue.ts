/**
 * Received chunks as one row of bytes: take n of them, copied only where they cross a chunk border.
 * Used where messages are few (handshake, client side); the server's hot path has its own way in
 * request-stream.ts. How much may pile up is the caller's limit.
 */
import assert from 'node:assert/strict';
import { SmallPieces } from './small-pieces.js';

const NOTHING = Buffer.alloc(0);

export class ByteQueue {
  #chunks: Buffer[] = [];
  /** Of the first chunk: bytes already taken. */
  #taken = 0;
  #length = 0;
  readonly #smallPieces = new SmallPieces();

  /** Bytes in the queue. */
  get length(): number {
    return this.#length;
  }

  push(chunk: Buffer): void {
    if (chunk.length === 0) return;
    this.#length += chunk.length;
    this.#smallPieces.append(this.#chunks, chunk);
  }

  /** @param bytes at most `length` @returns exactly so many; a view wherever one chunk holds them all */
  take(bytes: number): Buffer {
    if (bytes === 0) return NOTHING;
    const pieces = this.takePieces(bytes);
    const first = pieces[0];
    return pieces.length === 1 && first !== undefined ? first : Buffer.concat(pieces, bytes);
  }

  /** As `take`, in pieces and never copied. */
  takePieces(bytes: number): Buffer[] {
    assert(bytes <= this.#length, 'more bytes asked for than received');
    const pieces: Buffer[] = [];
    let used = 0;
    for (let missing = bytes; missing > 0;) {
      const chunk = this.#chunks[used] ?? NOTHING;
      const end = Math.min(chunk.length, this.#taken + missing);
      pieces.push(chunk.subarray(this.#taken, end));
      missing -= end - this.#taken;
      this.#taken = end;
      if (end < chunk.length) break;
      used += 1;
      this.#taken = 0;
    }
    if (used > 0) this.#chunks.splice(0, used);
    this.#length -= bytes;
    return pieces;
  }

  takeAll(): Buffer {
    return this.take(this.#length);
  }

  /** Drops up to `bytes` bytes. @returns how many there were to drop */
  skip(bytes: number): number {
    const skipped = Math.min(bytes, this.#length);
    this.takePieces(skipped);
    return skipped;
  }
}
