/**
 * How often in a row a volume's sessions opened well and ended badly: data arrived damaged, or the node could not make
 * it durable. Once is chance, and the session is opened anew; again and again is a broken cable, card, memory or disk,
 * which is as bad as a node that is away.
 * Pure: the clock belongs to the caller.
 */
import { StorageError } from '../rpc/storage-error.js';

/** A session must have gone on for this long without that for the row to end; less proves little. */
const UNDAMAGED_MS = 10_000;
/** So many are no chance any more: what carries one frame in five wrongly is broken. */
const ROW_LENGTH_BROKEN = 5;

export class DamageRow {
  #length = 0;
  #beganMs = 0;
  #lastMs = -Infinity;

  /** The last session ended badly, and none has proved since that this was chance. */
  get isSuspected(): boolean {
    return this.#length > 0;
  }

  /** Milliseconds since the row began; 0 while it may be chance. */
  lastsMs(nowMs: number): number {
    return this.#length >= ROW_LENGTH_BROKEN ? nowMs - this.#beganMs : 0;
  }

  /** A session was ended on this side, because of what the node answered. */
  broke(nowMs: number): void {
    if (nowMs - this.#lastMs > UNDAMAGED_MS) this.#length = 0;
    if (this.#length === 0) this.#beganMs = nowMs;
    this.#length += 1;
    this.#lastMs = nowMs;
  }

  /**
   * A session, or a try to open one, has ended.
   * @returns what to tell people: the reason, and if damage does not end, that it does not
   */
  heard(reason: StorageError, address: string, nowMs: number): StorageError {
    if (nowMs - this.#lastMs > UNDAMAGED_MS) this.#length = 0;
    if (reason.kind !== 'damaged') return reason;
    this.broke(nowMs);
    if (this.#length < ROW_LENGTH_BROKEN) return reason;
    return new StorageError(
      'damaged',
      `data between here and the node at ${address} arrives damaged, ${this.#length} sessions in a row; look at ` +
        `the network cards, cables and memory of both machines. The last: ${reason.message}`,
      { cause: reason },
    );
  }
}
