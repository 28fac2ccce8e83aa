/**
 * How far the sending of the log has come. A replay that is interrupted must be begun again by the next
 * session, whatever that one's write verifier says: what it was to bring back is not there yet, and what it
 * has sent already may be older than what it has not.
 */
export class ResendProgress {
  /** Replays from this sequence on are owed to the node; Infinity: none. */
  #from = Infinity;
  readonly #unanswered = new Set<number>();

  get from(): number {
    return this.#from;
  }

  /** @param sequences of the log, rising, that the session sends again */
  begin(sequences: readonly number[]): void {
    this.#unanswered.clear();
    for (const sequence of sequences) this.#unanswered.add(sequence);
    this.#from = sequences[0] ?? Infinity;
  }

  /** The node has it, or a flush has made it needless. */
  settled(sequence: number): void {
    if (this.#unanswered.delete(sequence) && this.#unanswered.size === 0) this.#from = Infinity;
  }
}
