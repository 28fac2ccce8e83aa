/**
 * How long to wait before the next try to reach a node. Pure: the clock and the dice belong to the caller.
 */

/** The first wait: a node that was restarted is back before a guest notices. */
const FIRST_WAIT_MS = 50;
/**
 * The longest wait: a node that is back is found within this time, and its start, about a second, should not
 * be doubled by it. Volumes of one node share a connection: 1000 volumes ask for it 2000 times a second, all
 * but a few of which are answered without a word on the wire.
 */
const LONGEST_WAIT_MS = 500;

/**
 * Doubling waits with jitter, so that many volumes do not return in step.
 *
 * @param attempt failed tries so far, from 0
 * @param random in [0, 1)
 * @returns milliseconds, between half of the step and the step
 */
export function retryWaitMs(attempt: number, random: number): number {
  const stepMs = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** Math.min(attempt, 16));
  return (stepMs * (1 + random)) / 2;
}
