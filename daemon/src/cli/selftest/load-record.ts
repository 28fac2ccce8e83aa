/**
 * What a checked load has asked, heard and found: the model of the content, the counters, and the broken
 * promises. Shared by all connections of the load.
 */
import type { BlockError } from '../../block/block-error.js';
import { BLOCK_FLAG, type BlockRequest } from '../../block/block-request.js';
import type { Clock } from '../../runtime/clock.js';
import { ExpectedContent } from './expected-content.js';
import { PauseMeter } from './pause-meter.js';
import { STAMP_BYTES, Stamps } from './stamp.js';

/** More sentences about broken promises help nobody. */
const PROBLEMS_KEPT = 20;

export interface LoadCounters {
  reads: number;
  writes: number;
  fuaWrites: number;
  flushes: number;
  zeroes: number;
  trims: number;
  readBytes: number;
  writtenBytes: number;
  /** Blocks whose content was judged. */
  blocksChecked: number;
  /** Connections opened again. */
  reconnects: number;
  /** Requests of a connection that went away before they were answered. */
  unanswered: number;
  /** Requests answered with an error, by errno. */
  errors: Record<string, number>;
}

export class LoadRecord {
  readonly content: ExpectedContent;
  readonly stamps: Stamps;
  readonly pauses: PauseMeter;
  readonly counters: LoadCounters = {
    ...{ reads: 0, writes: 0, fuaWrites: 0, flushes: 0, zeroes: 0, trims: 0 },
    ...{ readBytes: 0, writtenBytes: 0, blocksChecked: 0, reconnects: 0, unanswered: 0 },
    errors: {},
  };
  readonly #problems: string[] = [];
  #problemCount = 0;

  /** @param owner a text that no other run uses: stamps of other runs are found by it */
  constructor(sizeBytes: number, owner: string, clock: Clock) {
    this.content = new ExpectedContent(Math.floor(sizeBytes / STAMP_BYTES));
    this.stamps = new Stamps(owner);
    this.pauses = new PauseMeter(clock);
  }

  /** What was promised and not kept: the first of `problemCount`. */
  get problems(): readonly string[] {
    return this.#problems;
  }

  get problemCount(): number {
    return this.#problemCount;
  }

  /** Answered successfully. */
  get requestCount(): number {
    const { reads, writes, flushes, zeroes, trims } = this.counters;
    return reads + writes + flushes + zeroes + trims;
  }

  /** Judges what a read that began at `begunAt` found. */
  judge(firstBlock: number, blockCount: number, data: Buffer, begunAt: number): void {
    for (let index = 0; index < blockCount; index += 1) {
      const at = index * STAMP_BYTES;
      const found = this.stamps.read(data.subarray(at, at + STAMP_BYTES));
      const problem = this.content.problemOf(firstBlock + index, found, begunAt);
      if (problem !== undefined) this.note(problem);
    }
    this.counters.blocksChecked += blockCount;
  }

  note(problem: string): void {
    this.#problemCount += 1;
    if (this.#problems.length < PROBLEMS_KEPT) this.#problems.push(problem);
  }

  countAnswer({ kind, lengthBytes, flags }: BlockRequest): void {
    const { counters } = this;
    this.pauses.answered();
    if (kind === 'read') {
      counters.reads += 1;
      counters.readBytes += lengthBytes;
    } else if (kind === 'write') {
      counters.writes += 1;
      counters.writtenBytes += lengthBytes;
      if ((flags & BLOCK_FLAG.FUA) !== 0) counters.fuaWrites += 1;
    } else if (kind === 'flush') counters.flushes += 1;
    else if (kind === 'trim') counters.trims += 1;
    else counters.zeroes += 1;
  }

  countError(error: BlockError): void {
    const { counters } = this;
    if (error.errno === 'ESHUTDOWN') counters.unanswered += 1;
    else counters.errors[error.errno] = (counters.errors[error.errno] ?? 0) + 1;
  }
}
