/** Requests of one client that were received and not yet taken in, in their order. */
import type { NbdRequest } from 'nbd-server-helpers';

const NONE: readonly NbdRequest[] = [];

export class WaitingRequests {
  /** From #next on. Most chunks find nothing waiting: then their requests are kept as they came. */
  #requests: readonly NbdRequest[] = NONE;
  #next = 0;

  get first(): NbdRequest | undefined {
    return this.#requests[this.#next];
  }

  push(requests: readonly NbdRequest[]): void {
    const waiting = this.#requests.slice(this.#next);
    this.#requests = waiting.length === 0 ? requests : [...waiting, ...requests];
    this.#next = 0;
  }

  /** Takes the first one out. */
  shift(): void {
    this.#next += 1;
    if (this.#next >= this.#requests.length) this.clear();
  }

  clear(): void {
    this.#requests = NONE;
    this.#next = 0;
  }
}
