/**
 * Time, handed in through constructors so that the simulator and the tests own it.
 */
export interface Clock {
  /** Milliseconds, never goes backwards, unrelated to the time of day. */
  nowMs(): number;
  /** Calls back once after at least delayMs; the returned function cancels it. */
  setTimer(delayMs: number, callback: () => void): () => void;
}

export const SYSTEM_CLOCK: Clock = {
  nowMs: () => performance.now(),
  setTimer(delayMs, callback) {
    const timer = setTimeout(callback, delayMs);
    return () => {
      clearTimeout(timer);
    };
  },
};
