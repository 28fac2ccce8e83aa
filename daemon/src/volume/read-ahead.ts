/**
 * What is read before it is asked for (setting `read_ahead`): a client that reads one piece behind the other and
 * waits for each has the next ones fetched together, so that it waits for the node once in dozens of reads.
 *
 * Kept out of the way of everybody else: only reads that follow each other count, with nothing else of the volume
 * under way, and nothing is asked for before a few of them; random reads and deep queues never see it. It begins
 * small and grows while what it fetched is used.
 *
 * What was fetched is answered only while it is sure to be what the node would say: the volume has the lease, so all
 * writes come this way, and one that overlaps voids it. A lease can be lost without notice, so nothing is kept longer
 * than READ_AHEAD_AGE_MS: so long a writer that was deposed may read what the next one has already overwritten.
 */
import type { BlockCompletion } from '../block/block-device.js';
import {
  DONE,
  changesContent,
  readRequest,
  slices,
  type BlockRequest,
} from '../block/block-request.js';
import type { DeviceFacts } from '../block/device-facts.js';
import type { Clock } from '../runtime/clock.js';
import { hold, letGoAll } from '../runtime/reused-memory.js';
import type { JobPipeline } from './job-pipeline.js';
import { countAnswer } from './volume-counters.js';

/** Counted from asking. Dozens of round trips in a data centre, and less than any take-over needs. */
export const READ_AHEAD_AGE_MS = 100;
/** So many reads must have followed each other. */
const FOLLOWING_MIN = 3;
/** Longer reads gain nothing: the way costs less than their data. So many must fit into one fetch. */
const READS_PER_FETCH_MIN = 4;

interface Fetched {
  readonly offsetBytes: number;
  readonly endBytes: number;
  readonly askedMs: number;
  /** undefined until it is here. */
  payload: readonly Buffer[] | undefined;
}

export class ReadAhead {
  /** Side by side, the one being read first; two at most. */
  #fetched: Fetched[] = [];
  #nextOffsetBytes = -1;
  #following = 0;
  #fetchBytes = 0;
  #fetchesUnderWay = 0;

  constructor(
    readonly pipeline: JobPipeline,
    /** Longest fetch; 0 switches reading ahead off. */
    readonly bytesMax: number,
    readonly clock: Clock,
  ) {}

  /**
   * A client's request, on its way into the pipeline.
   * @param isWriter all changes of the volume come this way
   */
  submit(
    request: BlockRequest,
    complete: BlockCompletion<BlockRequest>,
    facts: DeviceFacts,
    isWriter: boolean,
  ): void {
    const isAlone = this.pipeline.inFlight.count === this.#fetchesUnderWay;
    if (changesContent(request.kind)) this.#void(request);
    const payload = request.kind === 'read' ? this.#at(request) : undefined;
    if (payload === undefined) this.pipeline.submit(request, complete);
    else {
      const result = { ...DONE, payload };
      countAnswer(this.pipeline.counters, request, result);
      this.pipeline.clients.asked();
      this.pipeline.clients.answered();
      complete(request, result);
    }
    if (this.#follows(request, isAlone && isWriter)) this.#fetchBehind(facts);
  }

  /** Nothing that was fetched is sure any more. */
  forget(): void {
    this.#keep(() => false);
    this.#following = 0;
  }

  /** The data of a read, if it is here. */
  #at({ offsetBytes, lengthBytes }: BlockRequest): readonly Buffer[] | undefined {
    for (const { offsetBytes: from, endBytes, askedMs, payload } of this.#fetched) {
      if (payload === undefined || offsetBytes < from || offsetBytes + lengthBytes > endBytes)
        continue;
      if (this.clock.nowMs() - askedMs > READ_AHEAD_AGE_MS) break;
      const views = slices(payload, offsetBytes - from, offsetBytes - from + lengthBytes);
      for (const view of views) hold(view);
      return views;
    }
    return undefined;
  }

  /** What else was fetched is thrown away. */
  #keep(isKept: (one: Fetched) => boolean): void {
    if (this.#fetched.length === 0) return;
    const kept = this.#fetched.filter(isKept);
    for (const one of this.#fetched) {
      if (one.payload !== undefined && !kept.includes(one)) letGoAll(one.payload);
    }
    this.#fetched = kept;
  }

  /** A change goes to the node: what was fetched of its range is not what it would read any more. */
  #void({ offsetBytes, lengthBytes }: BlockRequest): void {
    this.#keep(
      (one) => one.endBytes <= offsetBytes || one.offsetBytes >= offsetBytes + lengthBytes,
    );
  }

  /** @returns whether what comes behind the request is worth to be fetched */
  #follows({ kind, offsetBytes, lengthBytes }: BlockRequest, mayFetch: boolean): boolean {
    const isNext =
      kind === 'read' &&
      mayFetch &&
      offsetBytes === this.#nextOffsetBytes &&
      lengthBytes * READS_PER_FETCH_MIN <= this.bytesMax;
    this.#nextOffsetBytes = kind === 'read' ? offsetBytes + lengthBytes : -1;
    this.#following = isNext ? this.#following + 1 : 0;
    if (this.#following === FOLLOWING_MIN) this.#fetchBytes = lengthBytes * READS_PER_FETCH_MIN;
    return this.#following >= FOLLOWING_MIN;
  }

  #fetchBehind({ sizeBytes, requestBytesMax }: DeviceFacts): void {
    const next = this.#nextOffsetBytes;
    const nowMs = this.clock.nowMs();
    this.#keep(
      ({ offsetBytes, endBytes, askedMs }) =>
        endBytes > next &&
        offsetBytes - next <= this.bytesMax &&
        nowMs - askedMs <= READ_AHEAD_AGE_MS,
    );
    const fromBytes = this.#fetched.at(-1)?.endBytes ?? next;
    // The second half of what is here lasts until the next is.
    if (fromBytes - next > this.#fetchBytes / 2 || this.#fetched.length > 1) return;
    const lengthBytes = Math.min(this.#fetchBytes, requestBytesMax, sizeBytes - fromBytes);
    if (lengthBytes <= 0) return;
    this.#fetchBytes = Math.min(this.bytesMax, this.#fetchBytes * 2);
    this.#fetch({
      offsetBytes: fromBytes,
      endBytes: fromBytes + lengthBytes,
      askedMs: nowMs,
      payload: undefined,
    });
  }

  #fetch(one: Fetched): void {
    this.#fetched.push(one);
    this.#fetchesUnderWay += 1;
    const request = readRequest(one.offsetBytes, one.endBytes - one.offsetBytes);
    this.pipeline.submitAhead(request, (_request, { error, payload }) => {
      this.#fetchesUnderWay -= 1;
      if (error === undefined) one.payload = payload;
      // Whoever asks for it asks the node, and hears the reason.
      else this.#keep((other) => other !== one);
    });
  }
}
