/**
 * How often in a row a volume's sessions ended because data arrived damaged. Once is chance, and the session
 * is opened anew; again and again is a broken cable, card or memory, which a volume must not try for ever.
 * Pure: the clock belongs to the caller.
 */
import { StorageError } from '../rpc/storage-error.js';

/** A session must have gone on for this long without damage for the row to end; less proves little. */
const UNDAMAGED_MS = 10_000;
/** So many are no chance any more: what carries one frame in five wrongly is broken. */
const ROW_LENGTH_BROKEN = 5;

export class DamageRow {
  #length = 0;
  #beganMs = 0;
  #lastMs = -Infinity;

  /** The last session ended with damage, and none has proved since that this was chance. */
  get isSuspected(): boolean {
    return this.#length > 0;
  }

  /** Milliseconds since the row began; 0 while it may be chance. */
  lastsMs(nowMs: number): number {
    return this.#length >= ROW_LENGTH_BROKEN ? nowMs - this.#beganMs : 0;
  }

  /**
   * A session, or a try to open one, has ended.
   * @returns what to tell people: the reason, and if damage does not end, that it does not
   */
  heard(reason: StorageError, address: string, nowMs: number): StorageError {
    if (nowMs - this.#lastMs > UNDAMAGED_MS) this.#length = 0;
    if (reason.kind !== 'damaged') return reason;
    if (this.#length === 0) this.#beganMs = nowMs;
    this.#length += 1;
    this.#lastMs = nowMs;
    if (this.#length < ROW_LENGTH_BROKEN) return reason;
    return new StorageError(
      'damaged',
      `data between here and the node at ${address} arrives damaged, ${this.#length} sessions in a row; look at ` +
        `the network cards, cables and memory of both machines. The last: ${reason.message}`,
      { cause: reason },
    );
  }
}
