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

/** The same, with timers that do not keep a process alive: for what is worth nothing once the rest is done. */
export const BACKGROUND_CLOCK: Clock = {
  nowMs: () => performance.now(),
  setTimer(delayMs, callback) {
    const timer = setTimeout(callback, delayMs).unref();
    return () => {
      clearTimeout(timer);
    };
  },
};
