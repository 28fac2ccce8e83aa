/**
 * The requests that a volume has admitted and its node not yet answered, by sequence, with the two limits that
 * reach back to the clients: how many, and how many bytes of data they carry.
 *
 * Sequences rise with admission; they are the order of the node's stream.
 */
import { carriedBytes, changesContent, type BlockRequest } from '../block/block-request.js';
import type { BlockCompletion } from '../block/block-device.js';

/** Why a job exists. */
export type JobOrigin =
  /** A client waits for it. */
  | 'client'
  /** Nobody waits for it yet (read-ahead.ts). */
  | 'read-ahead'
  /** The volume's own flush, to empty the replay log. */
  | 'background-flush'
  /** Part of a logged change that is sent again; made from the replay log at every reconnect. */
  | 'resend';

export class Job {
  readonly carriedBytes: number;
  /** Its client was answered when the replay log had it; the node is still to do it. See write-cache.ts. */
  isAnswered = false;

  constructor(
    readonly sequence: number,
    readonly request: BlockRequest,
    readonly complete: BlockCompletion<BlockRequest>,
    readonly origin: JobOrigin,
  ) {
    this.carriedBytes = carriedBytes(request);
  }
}

export interface InFlightLimits {
  readonly queueDepth: number;
  readonly bytesMax: number;
}

export class InFlightTable {
  readonly #jobs = new Map<number, Job>();
  #bytes = 0;

  constructor(readonly limits: InFlightLimits) {}

  get count(): number {
    return this.#jobs.size;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** False when either limit is reached. Adding is still possible: the overshoot is one received chunk per client. */
  hasRoom(): boolean {
    return this.#jobs.size < this.limits.queueDepth && this.#bytes < this.limits.bytesMax;
  }

  add(job: Job): void {
    this.#jobs.set(job.sequence, job);
    this.#bytes += job.carriedBytes;
  }

  /** Removes and returns the job, or undefined if the sequence is not in flight. */
  take(sequence: number): Job | undefined {
    const job = this.#jobs.get(sequence);
    if (job === undefined) return undefined;
    this.#jobs.delete(sequence);
    this.#bytes -= job.carriedBytes;
    return job;
  }

  get(sequence: number): Job | undefined {
    return this.#jobs.get(sequence);
  }

  /** Gives everything that changes nothing a new sequence, from `first` on in the same order. */
  renumberOthers(first: number): { readonly before: Job; readonly after: Job }[] {
    const others = [...this.#jobs.values()].filter(({ request }) => !changesContent(request.kind));
    others.sort((left, right) => left.sequence - right.sequence);
    return others.map((before, index) => {
      const after = new Job(first + index, before.request, before.complete, before.origin);
      this.take(before.sequence);
      this.add(after);
      return { before, after };
    });
  }

  /** In no particular order. */
  values(): IterableIterator<Job> {
    return this.#jobs.values();
  }
}
