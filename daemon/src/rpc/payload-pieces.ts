/** The payload of a batch, which its requests or replies take one after the other, as views. */
import { NO_PAYLOAD } from '../block/block-request.js';
import { hold } from '../runtime/reused-memory.js';

export class PayloadPieces {
  /** Bytes that nobody has taken yet. */
  leftBytes: number;
  #piece = 0;
  /** Of that piece: bytes already taken. */
  #taken = 0;

  constructor(readonly pieces: readonly Buffer[]) {
    let bytes = 0;
    for (const piece of pieces) bytes += piece.length;
    this.leftBytes = bytes;
  }

  /** @param bytes at most `leftBytes` @returns views that are held for whoever gets them */
  take(bytes: number): readonly Buffer[] {
    if (bytes === 0) return NO_PAYLOAD;
    const views: Buffer[] = [];
    for (let missing = bytes; missing > 0;) {
      const piece = this.pieces[this.#piece];
      if (piece === undefined) throw new Error('more was taken than there is');
      const end = Math.min(piece.length, this.#taken + missing);
      const view = piece.subarray(this.#taken, end);
      hold(view);
      views.push(view);
      missing -= end - this.#taken;
      this.#taken = end;
      if (end === piece.length) {
        this.#piece += 1;
        this.#taken = 0;
      }
    }
    this.leftBytes -= bytes;
    return views;
  }
}
