/**
 * The two decisions that keep old data from coming back, as functions of what is in flight and what is
 * logged.
 *
 *   sequence   1  2  3  4  5  6         W answered, not flushed    w unanswered    F flush
 *              W  w  W  F
 *
 * If flush 4 succeeds, 1 is durable and may be forgotten. 2 is still unanswered and will be sent again
 * after a reconnect; so 3, which may cover the same blocks, must be sent again after it and stays.
 */
import { changesContent } from '../block/block-request.js';
import type { Job } from './in-flight.js';
import type { ReplayLog } from './replay-log.js';

/** Everything logged below the result may be forgotten after the flush of this sequence succeeded. */
export function durableBelow(flushSequence: number, inFlight: Iterable<Job>): number {
  let below = flushSequence;
  for (const job of inFlight) {
    if (job.sequence < below && changesContent(job.request.kind)) below = job.sequence;
  }
  return below;
}

/**
 * What a new session has to send first, rising: everything unanswered; and of the log what follows the first
 * unanswered change.
 * @param logFrom of the log also everything from here on: 0 if the node lost its unflushed writes, the
 *   beginning of an interrupted replay, Infinity otherwise
 */
export function sequencesToSend(
  inFlight: Iterable<Job>,
  log: ReplayLog,
  logFrom: number,
): number[] {
  const sequences = new Set<number>();
  let replayFrom = logFrom;
  for (const job of inFlight) {
    sequences.add(job.sequence);
    if (changesContent(job.request.kind)) replayFrom = Math.min(replayFrom, job.sequence);
  }
  for (const sequence of log.sequencesFrom(replayFrom)) sequences.add(sequence);
  return [...sequences].sort((left, right) => left - right);
}
