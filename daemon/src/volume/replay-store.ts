/**
 * Where a replay log keeps its records: something that only appends, reads back and forgets from the
 * front. replay-file.ts keeps them in files that outlive the daemon; MemoryReplayStore is for
 * read-only attachments, tests and the simulator.
 */

/** Where a record's payload lies; meaningful only to the store that gave it. */
export interface ReplayPosition {
  readonly segment: number;
  readonly offsetBytes: number;
}

/** One change of the volume, as the log knows it. The payload stands apart. */
export interface ReplayRecord {
  readonly sequence: number;
  /** BLOCK_OPERATION of the request, or REPLAY_REMOVED: the record of that sequence was answered with an error. */
  readonly operation: number;
  readonly flags: number;
  readonly offsetBytes: number;
  readonly lengthBytes: number;
}

/** The operation of a record that takes an earlier one back. */
export const REPLAY_REMOVED = 255;

export interface ReplayStore {
  /**
   * Adds a record. It is only sure to outlive the daemon after `commit`.
   * @returns where the payload is from then on
   */
  append(record: ReplayRecord, payload: readonly Buffer[]): ReplayPosition;
  /** Writes out what was appended. @throws BlockError when the store has no space. */
  commit(): void;
  /** Part of a payload that was committed: `lengthBytes` of it, `fromBytes` behind its beginning. */
  read(position: ReplayPosition, fromBytes: number, lengthBytes: number): Buffer;
  /** Every record with a lower sequence may be forgotten; all of them if Infinity. */
  forgetBelow(sequence: number): void;
  /** Marks everything kept as belonging to this generation, from now on. */
  setGeneration(generation: number): void;
  close(options: { remove: boolean }): void;
}

/** Keeps the payloads as they are, in memory. */
export class MemoryReplayStore implements ReplayStore {
  readonly #payloads = new Map<number, Buffer>();

  append(record: ReplayRecord, payload: readonly Buffer[]): ReplayPosition {
    // A copy: the views would pin whole received chunks.
    if (payload.length > 0) this.#payloads.set(record.sequence, Buffer.concat(payload));
    return { segment: 0, offsetBytes: record.sequence };
  }

  commit(): void {
    // Nothing is kept back.
  }

  read(position: ReplayPosition, fromBytes: number, lengthBytes: number): Buffer {
    const part = this.#payloads.get(position.offsetBytes)?.subarray(fromBytes);
    if (part === undefined || part.length < lengthBytes)
      throw new Error(`no payload for sequence ${position.offsetBytes}`);
    return part.subarray(0, lengthBytes);
  }

  forgetBelow(sequence: number): void {
    for (const kept of this.#payloads.keys()) {
      if (kept >= sequence) break;
      this.#payloads.delete(kept);
    }
  }

  setGeneration(): void {
    // Memory does not outlive the process that knows its generation.
  }

  close(): void {
    this.#payloads.clear();
  }
}
