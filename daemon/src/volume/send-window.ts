/**
 * What the node's session takes at a time (it says so when it opens), and what waits for its turn, in
 * order of sequence. In the steady state nothing waits: the volume's own limits are the smaller ones.
 * After a reconnect, everything to be sent again waits here, and new requests line up behind it.
 */
import type { Job } from './in-flight.js';

export class SendWindow {
  #requestsMax = 0;
  #bytesMax = 0;
  #requests = 0;
  #bytes = 0;
  #waiting: number[] = [];
  #first = 0;

  /** A new session; `sequences` rise and are sent first. */
  open(requestsMax: number, bytesMax: number, sequences: number[]): void {
    this.#requestsMax = requestsMax;
    this.#bytesMax = bytesMax;
    this.#requests = 0;
    this.#bytes = 0;
    this.#waiting = sequences;
    this.#first = 0;
  }

  /** The session is over: nothing is sent, nothing waits. */
  shut(): void {
    this.open(0, 0, []);
  }

  /** Nothing waits. */
  get isClear(): boolean {
    return this.#first === this.#waiting.length;
  }

  /** The node has nothing to answer. */
  get isIdle(): boolean {
    return this.#requests === 0;
  }

  /** Counts the job and returns true if it may be sent now: nothing waits before it and it fits. */
  admits(job: Job): boolean {
    return this.isClear && this.#takes(job);
  }

  queue(sequence: number): void {
    this.#waiting.push(sequence);
  }

  /** The sequence whose turn it is, or undefined if nothing waits. */
  next(): number | undefined {
    return this.#waiting[this.#first];
  }

  /** Leaves out the one whose turn it is. */
  skip(): void {
    this.#first += 1;
    if (this.#first < this.#waiting.length) return;
    this.#waiting = [];
    this.#first = 0;
  }

  /** Counts the job whose turn it is and returns true if it fits. */
  admitsNext(job: Job): boolean {
    if (!this.#takes(job)) return false;
    this.skip();
    return true;
  }

  /** The node has answered the job. */
  release(job: Job): void {
    this.#requests -= 1;
    this.#bytes -= job.carriedBytes;
  }

  #takes(job: Job): boolean {
    if (this.#requests >= this.#requestsMax) return false;
    // One request alone always goes: the node's byte limit is at least its longest request.
    if (this.#requests > 0 && this.#bytes + job.carriedBytes > this.#bytesMax) return false;
    this.#requests += 1;
    this.#bytes += job.carriedBytes;
    return true;
  }
}
