/**
 * The writes that no successful flush has covered yet, in order, so that they can be sent again after
 * a node that may have lost them. What is kept where is the store's business (replay-store.ts).
 *
 * The log is always an unbroken suffix of the volume's history: every later change of the same blocks is in
 * the same log. So it can be sent again without bringing anything older back (resend-plan.ts).
 *
 * A write with FUA stays in the log too until a flush: without it, sending an older write of the same
 * block again would bring the older data back.
 */
import assert from 'node:assert/strict';
import {
  BLOCK_OPERATION,
  NO_PAYLOAD,
  type BlockRequest,
  type BlockRequestKind,
} from '../block/block-request.js';
import { ReplayRow } from './replay-row.js';
import {
  REPLAY_REMOVED,
  type ReplayPosition,
  type ReplayRecord,
  type ReplayStore,
} from './replay-store.js';

export interface ReplayLimits {
  /** Payload bytes. When reached, new writes wait until a flush has emptied the log. */
  readonly bytesMax: number;
  /** Entries: bounds the index in memory (about 150 bytes each) and the length of a replay. */
  readonly entriesMax: number;
}

interface Entry {
  readonly sequence: number;
  readonly record: ReplayRecord;
  readonly position: ReplayPosition;
}

const KIND_OF_OPERATION = new Map<number, BlockRequestKind>(
  Object.entries(BLOCK_OPERATION).map(([kind, operation]) => [operation, kind as BlockRequestKind]),
);

export class ReplayLog {
  readonly #entries = new ReplayRow<Entry>();
  #payloadBytes = 0;
  #lastSequence = 0;
  #uncommitted = false;

  constructor(
    readonly store: ReplayStore,
    readonly limits: ReplayLimits,
    /** What the store still had from the last run, in order, with REPLAY_REMOVED records among them. */
    recovered: readonly { record: ReplayRecord; position: ReplayPosition }[] = [],
  ) {
    for (const { record, position } of recovered) {
      this.#lastSequence = Math.max(this.#lastSequence, record.sequence);
      if (record.operation === REPLAY_REMOVED) this.#delete(record.sequence);
      else this.#insert(record, position);
    }
  }

  get count(): number {
    return this.#entries.count;
  }

  /** The highest sequence ever kept, 0 before the first. */
  get lastSequence(): number {
    return this.#lastSequence;
  }

  /** Bytes of payload kept. */
  get bytes(): number {
    return this.#payloadBytes;
  }

  /** False when a limit is reached; the overshoot is one received chunk per client. */
  hasRoom(): boolean {
    return this.#payloadBytes < this.limits.bytesMax && this.count < this.limits.entriesMax;
  }

  /** True from half of a limit on: time for a flush, while writes can still go on. */
  wantsFlush(): boolean {
    return (
      this.#payloadBytes * 2 >= this.limits.bytesMax || this.count * 2 >= this.limits.entriesMax
    );
  }

  append(sequence: number, request: BlockRequest): void {
    const record: ReplayRecord = {
      sequence,
      operation: BLOCK_OPERATION[request.kind],
      flags: request.flags,
      offsetBytes: request.offsetBytes,
      lengthBytes: request.lengthBytes,
    };
    this.#insert(record, this.store.append(record, request.payload));
    this.#uncommitted = true;
  }

  /** The request was answered with an error: its client knows that it has no promise. */
  remove(sequence: number): void {
    if (!this.#delete(sequence)) return;
    this.store.append(
      { sequence, operation: REPLAY_REMOVED, flags: 0, offsetBytes: 0, lengthBytes: 0 },
      NO_PAYLOAD,
    );
    this.#uncommitted = true;
  }

  /** Must have returned before a logged write is answered. @throws BlockError when the store is full. */
  commit(): void {
    if (!this.#uncommitted) return;
    this.store.commit();
    this.#uncommitted = false;
  }

  /** A flush made everything below the sequence durable. */
  dropBelow(sequence: number): void {
    for (let first = this.#entries.first; first !== undefined; first = this.#entries.first) {
      if (first.sequence >= sequence) break;
      this.#entries.dropFirst();
      this.#forgetPayload(first);
    }
    this.store.forgetBelow(this.count === 0 ? Infinity : sequence);
  }

  /** What is kept from a sequence on, rising. */
  *recordsFrom(sequence: number): Generator<ReplayRecord> {
    for (const { record } of this.#entries.from(sequence)) yield record;
  }

  /** Reads part of a committed request back. The caller has the range from `recordsFrom`, and nothing was dropped since. */
  load(sequence: number, offsetBytes: number, lengthBytes: number): BlockRequest {
    const entry = this.#entries.find(sequence);
    assert(entry !== undefined, `change ${sequence} is in the replay log`);
    const { record, position } = entry;
    const fromBytes = offsetBytes - record.offsetBytes;
    assert(fromBytes >= 0 && fromBytes + lengthBytes <= record.lengthBytes, 'a part of the change');
    const kind = KIND_OF_OPERATION.get(record.operation);
    if (kind === undefined)
      throw new Error(`replay log holds unknown operation ${record.operation}`);
    const payload =
      kind === 'write' ? [this.store.read(position, fromBytes, lengthBytes)] : NO_PAYLOAD;
    return { kind, offsetBytes, lengthBytes, flags: record.flags, payload };
  }

  #insert(record: ReplayRecord, position: ReplayPosition): void {
    const { sequence, operation, lengthBytes } = record;
    this.#lastSequence = sequence;
    this.#entries.add({ sequence, record, position });
    if (operation === BLOCK_OPERATION.write) this.#payloadBytes += lengthBytes;
  }

  #delete(sequence: number): boolean {
    const entry = this.#entries.take(sequence);
    if (entry === undefined) return false;
    this.#forgetPayload(entry);
    return true;
  }

  #forgetPayload({ record }: Entry): void {
    if (record.operation === BLOCK_OPERATION.write) this.#payloadBytes -= record.lengthBytes;
  }
}
