/**
 * The messages of a gRPC stream (five bytes of prefix, then the message) out of its data, in the pieces in which they
 * were received. Nothing is copied but the prefix and what comes in tiny pieces. Whoever gets a message lets go of its
 * pieces (runtime/reused-memory.ts).
 */
import { hold } from '../runtime/reused-memory.js';
import { StorageError } from './storage-error.js';

/** One byte that says whether the message is compressed, four of length. */
export const PREFIX_BYTES = 5;

/** Pieces below this length are put side by side: a view of its own would cost more memory than it has bytes. */
const SMALL_PIECE_BYTES = 4096;
const SLAB_BYTES = 64 * 1024;

export class MessageAssembler {
  readonly #prefix = Buffer.alloc(PREFIX_BYTES);
  #prefixBytes = 0;
  /** Of the message under way: bytes to come. */
  #missingBytes = 0;
  #pieces: Buffer[] = [];
  /** Holds small pieces; the last of `#pieces` is then its used part. */
  #slab: Buffer | undefined;

  constructor(
    readonly messageBytesMax: number,
    readonly onMessage: (pieces: readonly Buffer[]) => void,
  ) {}

  /** A message has begun and is not whole. */
  get isInside(): boolean {
    return this.#prefixBytes > 0;
  }

  /** @throws StorageError: the stream can no longer be trusted */
  push(view: Buffer): void {
    for (let at = 0; at < view.length;) {
      if (this.#prefixBytes < PREFIX_BYTES) {
        at = this.#takePrefix(view, at);
        if (this.#prefixBytes === PREFIX_BYTES && this.#missingBytes === 0) this.#whole();
        continue;
      }
      const end = Math.min(view.length, at + this.#missingBytes);
      this.#missingBytes -= end - at;
      this.#keep(at === 0 && end === view.length ? view : view.subarray(at, end));
      at = end;
      if (this.#missingBytes === 0) this.#whole();
    }
  }

  #takePrefix(view: Buffer, at: number): number {
    const taken = view.copy(
      this.#prefix,
      this.#prefixBytes,
      at,
      at + PREFIX_BYTES - this.#prefixBytes,
    );
    this.#prefixBytes += taken;
    if (this.#prefixBytes < PREFIX_BYTES) return at + taken;
    if (this.#prefix[0] !== 0)
      throw new StorageError('invalid', 'a message is compressed, which nobody asked for');
    const lengthBytes = this.#prefix.readUInt32BE(1);
    if (lengthBytes > this.messageBytesMax) {
      throw new StorageError(
        'exhausted',
        `Received message larger than max (${lengthBytes} vs ${this.messageBytesMax})`,
      );
    }
    this.#missingBytes = lengthBytes;
    return at + taken;
  }

  #keep(piece: Buffer): void {
    const last = this.#pieces.length - 1;
    if (piece.length >= SMALL_PIECE_BYTES || (last < 0 && this.#missingBytes === 0)) {
      hold(piece);
      this.#pieces.push(piece);
      this.#slab = undefined;
      return;
    }
    const used = this.#slab === undefined ? 0 : (this.#pieces[last]?.length ?? 0);
    if (this.#slab === undefined || used + piece.length > SLAB_BYTES) {
      this.#slab = Buffer.allocUnsafeSlow(SLAB_BYTES);
      this.#pieces.push(this.#slab.subarray(0, piece.copy(this.#slab)));
      return;
    }
    this.#pieces[last] = this.#slab.subarray(0, used + piece.copy(this.#slab, used));
  }

  #whole(): void {
    const pieces = this.#pieces.length === 0 ? [Buffer.alloc(0)] : this.#pieces;
    this.#pieces = [];
    this.#slab = undefined;
    this.#prefixBytes = 0;
    this.onMessage(pieces);
  }
}
