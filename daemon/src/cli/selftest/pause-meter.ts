/** The longest time for which a load got no answer although it waited for one: what a guest feels. */
import type { Clock } from '../../runtime/clock.js';

export class PauseMeter {
  #lastAnswerMs: number;
  #longestMs = 0;

  constructor(readonly clock: Clock) {
    this.#lastAnswerMs = clock.nowMs();
  }

  /** Something was answered, successfully; or the load begins to wait just now. */
  answered(): void {
    const nowMs = this.clock.nowMs();
    this.#longestMs = Math.max(this.#longestMs, nowMs - this.#lastAnswerMs);
    this.#lastAnswerMs = nowMs;
  }

  /** Whole milliseconds; a pause that still lasts counts too. */
  get longestMs(): number {
    return Math.round(Math.max(this.#longestMs, this.clock.nowMs() - this.#lastAnswerMs));
  }

  /** Milliseconds since the last answer. */
  get silentMs(): number {
    return this.clock.nowMs() - this.#lastAnswerMs;
  }

  /** Begins anew: the pause so far does not count. */
  restart(): void {
    this.#longestMs = 0;
    this.#lastAnswerMs = this.clock.nowMs();
  }
}
