/**
 * Received pieces in a list without one object per byte: a peer that sends a long payload in tiny
 * packets would otherwise make us keep a Buffer object of more than a hundred bytes for each of them.
 */

/** Neighbours that are both below this length are copied together: the copy costs less than the object. */
export const SMALL_PIECE_BYTES = 1024;

/** How many bytes of small pieces are put side by side before a new buffer begins. */
const SLAB_BYTES = 8 * SMALL_PIECE_BYTES;

export class SmallPieces {
  #slab: Buffer = Buffer.alloc(0);
  /** The used part of the slab, as it stands in the list. */
  #used: Buffer | undefined;

  /**
   * Adds a piece to the end of the list, as it is or copied behind the last one. The last element may
   * be replaced by a longer one that begins with the same bytes.
   *
   * @returns whether the piece itself is in the list, rather than a copy
   */
  append(pieces: Buffer[], piece: Buffer): boolean {
    const last = pieces.at(-1);
    if (last === undefined || piece.length >= SMALL_PIECE_BYTES) {
      pieces.push(piece);
      return true;
    }
    const hasRoom = last === this.#used && last.length + piece.length <= SLAB_BYTES;
    if (!hasRoom && last.length >= SMALL_PIECE_BYTES) {
      pieces.push(piece);
      return true;
    }
    if (!hasRoom) {
      this.#slab = Buffer.allocUnsafeSlow(SLAB_BYTES);
      last.copy(this.#slab);
    }
    const end = last.length + piece.copy(this.#slab, last.length);
    this.#used = this.#slab.subarray(0, end);
    pieces[pieces.length - 1] = this.#used;
    return false;
  }
}
