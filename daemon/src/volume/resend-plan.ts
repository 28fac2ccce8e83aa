/**
 * The two decisions that keep old data from coming back, as functions of what is in flight and what is
 * logged.
 *
 *   sequence   1  2  3  4  5  6         W answered, not flushed    w unanswered    F flush
 *              W  w  W  F
 *
 * If flush 4 succeeds, 1 is durable and may be forgotten. 2 is still unanswered and will be sent again
 * after a reconnect, but without what 3 covers: so 3 must be known, and stays.
 *
 * **What is sent again only moves blocks forward.** A resend may end anywhere, by a crash or because the lease
 * moves, and then nobody may finish it. So of each logged change goes what no answered later one covers: each
 * block gets its newest answered state at once, and never one before that.
 *
 *   block      0 1 2 3 4 5 6 7
 *   W 1        ########                 sent: 0 1, and 7
 *   W 2 (FUA)      ##########           sent: 2 3 4 5 6; durable, perhaps: 1 must not come back over it
 *
 * An unanswered change covers nothing: it may yet fail, and then what is under it has to be there.
 */
import { changesContent } from '../block/block-request.js';
import { CoveredRanges } from './covered-ranges.js';
import type { Job } from './in-flight.js';
import type { ReplayRecord } from './replay-store.js';

/** Everything logged below the result may be forgotten after the flush of this sequence succeeded. */
export function durableBelow(flushSequence: number, inFlight: Iterable<Job>): number {
  let below = flushSequence;
  for (const job of inFlight) {
    if (job.sequence < below && changesContent(job.request.kind)) below = job.sequence;
  }
  return below;
}

/** One request of a resend. */
export interface ResendPart {
  /** The logged change that it belongs to. */
  readonly sequence: number;
  /** Whether the change had been answered, and is owed to the node. */
  readonly isReplay: boolean;
  /** In the range of the change, and with nothing to write: a flush instead of what was left out. */
  readonly offsetBytes: number;
  readonly lengthBytes: number;
}

export function isFlushPart({ lengthBytes }: ResendPart): boolean {
  return lengthBytes === 0;
}

/**
 * What a new session has to send of the changes, before anything else.
 *
 * An unanswered change of which something was left out ends with a flush: what covers it is there when
 * that is answered, and durable too, if durable is what it wanted to be.
 *
 * @param records of the log, rising
 * @param isUnanswered whether the change of this sequence is in flight
 * @param replayFrom answered changes go from this sequence on: 0 if the node lost its unflushed writes, the
 *   beginning of an interrupted replay, Infinity if the node has them all
 */
export function planResend(
  records: readonly ReplayRecord[],
  isUnanswered: (sequence: number) => boolean,
  replayFrom: number,
): ResendPart[] {
  const answered = new CoveredRanges();
  const flushes: ResendPart[] = [];
  const parts: ResendPart[] = [];
  // From the newest to the oldest, the last part of each first.
  for (const { sequence, offsetBytes, lengthBytes } of records.toReversed()) {
    const range = { offsetBytes, endBytes: offsetBytes + lengthBytes };
    const isReplay = !isUnanswered(sequence);
    if (!isReplay || sequence >= replayFrom) {
      const gaps = answered.gapsIn(range);
      let leftOutBytes = lengthBytes;
      for (const gap of gaps.reverse()) {
        const part = { offsetBytes: gap.offsetBytes, lengthBytes: gap.endBytes - gap.offsetBytes };
        parts.push({ sequence, isReplay, ...part });
        leftOutBytes -= part.lengthBytes;
      }
      if (!isReplay && leftOutBytes > 0)
        flushes.push({ sequence, isReplay, offsetBytes, lengthBytes: 0 });
    }
    if (isReplay) answered.add(range);
  }
  return [...parts.reverse(), ...flushes.reverse()];
}
