/**
 * How far the sending again has come: which parts (resend-plan.ts) are on their way, and what is owed to the
 * node as long as not all of it has been answered.
 *
 * A resend that is interrupted must be begun again by the next session, whatever that one's write verifier
 * says: what it was to bring back is not there yet.
 */
import type { BlockRequest, BlockResult } from '../block/block-request.js';
import { Job } from './in-flight.js';
import type { ResendPart } from './resend-plan.js';

/** What the answer to a part means. */
export interface SettledPart {
  readonly part: ResendPart;
  readonly job: Job;
  /** Set with the last part of an unanswered change: what its client is to be told. */
  readonly result: BlockResult | undefined;
}

interface Owner {
  partsLeft: number;
  failure: BlockResult | undefined;
}

export class Resend {
  #from = Infinity;
  #replaysLeft = 0;
  /** Part i travels under the sequence #first + i. */
  #first = 0;
  #parts: readonly ResendPart[] = [];
  readonly #sent = new Map<number, Job>();
  /** By sequence of the unanswered changes. */
  readonly #owners = new Map<number, Owner>();

  /** Answered changes from this sequence on are owed to the node; Infinity: none. */
  get owedFrom(): number {
    return this.#from;
  }

  /** Everything that this session sends has a sequence below this one if it is a part, else not. */
  get endSequence(): number {
    return this.#first + this.#parts.length;
  }

  /** A session begins. @param owedFrom of the answered changes among the parts */
  begin(firstSequence: number, parts: readonly ResendPart[]): void {
    this.interrupt();
    this.#first = firstSequence;
    this.#parts = parts;
    this.#from = Infinity;
    this.#replaysLeft = 0;
    for (const { sequence, isReplay } of parts) {
      if (isReplay) {
        this.#replaysLeft += 1;
        this.#from = Math.min(this.#from, sequence);
      } else {
        const owner = this.#owners.get(sequence);
        if (owner === undefined) this.#owners.set(sequence, { partsLeft: 1, failure: undefined });
        else owner.partsLeft += 1;
      }
    }
  }

  /** The session is gone. What was owed stays owed. */
  interrupt(): void {
    this.#sent.clear();
    this.#owners.clear();
    this.#parts = [];
  }

  /** The part's job, made when it is its turn: its data is read back from the log only then. */
  jobAt(sequence: number, requestOf: (part: ResendPart) => BlockRequest): Job | undefined {
    const made = this.#sent.get(sequence);
    if (made !== undefined) return made;
    const part = this.#partAt(sequence);
    if (part === undefined) return undefined;
    const job = new Job(sequence, requestOf(part), () => undefined, 'resend');
    this.#sent.set(sequence, job);
    return job;
  }

  /** The node answered. @returns undefined if this was not asked */
  completed(sequence: number, answer: BlockResult): SettledPart | undefined {
    const job = this.#sent.get(sequence);
    const part = this.#partAt(sequence);
    if (job === undefined || part === undefined) return undefined;
    this.#sent.delete(sequence);
    return { part, job, result: this.#settled(part, answer) };
  }

  /** @returns what the client of the part's change is to be told, when nothing more is awaited */
  #settled({ sequence, isReplay }: ResendPart, answer: BlockResult): BlockResult | undefined {
    if (isReplay) {
      this.#replaysLeft -= 1;
      if (this.#replaysLeft === 0) this.#from = Infinity;
      return undefined;
    }
    const owner = this.#owners.get(sequence);
    if (owner === undefined) return undefined;
    owner.partsLeft -= 1;
    if (answer.error !== undefined) owner.failure ??= answer;
    if (owner.partsLeft > 0) return undefined;
    this.#owners.delete(sequence);
    return owner.failure ?? answer;
  }

  #partAt(sequence: number): ResendPart | undefined {
    return this.#parts[sequence - this.#first];
  }
}
