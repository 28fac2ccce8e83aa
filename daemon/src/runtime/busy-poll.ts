/**
 * Looks for the next request or answer for a moment instead of sleeping (setting `busy_poll`): a client that has few
 * requests at a time asks again within microseconds, and waking up takes longer than that, twice for each request.
 *
 * Only while few requests are waited for, and of one volume: with more of either the event loop seldom sleeps, and
 * the processor has better things to do. And only while it pays, as KVM does it (`halt_poll_ns`): the time grows from
 * short waits to the most that is allowed, and one wait that lasted longer ends it, until waits are short again.
 *
 * Every look is a turn of the event loop, so that nothing else waits for it.
 */

/**
 * Few. Two at a time were twice as many a second, four a third more, eight a fifth, for no more processor time of each;
 * sixteen were no more than without.
 */
const REQUESTS_MAX = 8;
/** Where the time begins to grow, in microseconds. */
const FIRST_MICROSECONDS = 10;
/** Another volume was busy so shortly before: there are several. */
const SEVERAL_MICROSECONDS = 1000;

export interface PollTiming {
  /** Never goes backwards. */
  readonly nowMicroseconds: () => number;
  /** Runs the callback in the next turn of the event loop, which then does not sleep. */
  readonly nextTurn: (callback: () => void) => void;
}

export const SYSTEM_TIMING: PollTiming = {
  nowMicroseconds: () => performance.now() * 1000,
  nextTurn: (callback) => {
    setImmediate(callback);
  },
};

export class BusyPoll {
  #looksMicroseconds = 0;
  /** Since when something is waited for; undefined: nothing is, or the wait begins with the next turn. */
  #since: number | undefined;
  #isWaiting = false;
  #turnComes = false;
  #volume: object | undefined;
  #severalUntil = 0;

  /** @param microsecondsMax of one wait; 0: it sleeps at once */
  constructor(
    readonly microsecondsMax: number,
    readonly timing = SYSTEM_TIMING,
  ) {}

  /** A client's request of the volume came. @param unanswered how many of its requests are, with it */
  asked(volume: object, unanswered: number): void {
    this.#ended();
    if (unanswered <= REQUESTS_MAX) this.#wait(volume);
  }

  /** A client's request of the volume was answered. @param unanswered how many of its requests still are */
  answered(volume: object, unanswered: number): void {
    this.#ended();
    if (unanswered < REQUESTS_MAX) this.#wait(volume);
  }

  #wait(volume: object): void {
    if (this.microsecondsMax === 0) return;
    this.#isWaiting = true;
    if (volume !== this.#volume) {
      this.#volume = volume;
      this.#severalUntil = this.timing.nowMicroseconds() + SEVERAL_MICROSECONDS;
    }
    if (this.#looksMicroseconds === 0) this.#since = this.timing.nowMicroseconds();
    else if (!this.#turnComes) {
      this.#turnComes = true;
      this.timing.nextTurn(this.#look);
    }
  }

  readonly #look = (): void => {
    this.#turnComes = false;
    if (!this.#isWaiting) return;
    const now = this.timing.nowMicroseconds();
    // What belongs to the turn before, such as writing to sockets, is done by now.
    this.#since ??= now;
    if (now - this.#since >= this.#looksMicroseconds || now < this.#severalUntil) return;
    this.#turnComes = true;
    this.timing.nextTurn(this.#look);
  };

  /** What was waited for, or something else, is there. */
  #ended(): void {
    this.#isWaiting = false;
    if (this.#since === undefined) return;
    const tookMicroseconds = this.timing.nowMicroseconds() - this.#since;
    this.#since = undefined;
    if (tookMicroseconds > this.microsecondsMax) this.#looksMicroseconds = 0;
    else {
      const grown = Math.max(FIRST_MICROSECONDS, this.#looksMicroseconds * 2);
      this.#looksMicroseconds = Math.min(this.microsecondsMax, grown);
    }
  }
}
