/**
 * Which changes are answered as soon as the replay log has them (setting `write_cache`), and when they go to the
 * node. They stay in flight until the node has done them, so all limits hold as before.
 *
 * What makes that safe is elsewhere already: the log outlives the daemon and is sent again; the node does
 * requests of one session in order, so that later reads see them and later flushes cover them (storage.proto,
 * contract 1 to 3). New is only that the node may refuse what was answered. Nobody can be told then, so nothing
 * goes on: whoever asks next gets an error, and the data stays in the log.
 *
 * Since nobody waits for them, they are gathered for a moment and then go as one frame, which costs both
 * sides much less than one by one. Nothing overtakes them: whatever else is sent takes them along first.
 *
 * Not answered early is what promises durability (FUA), and what could not go now, because the node is away or
 * lags behind: the longer it is, the likelier somebody else takes the volume over, and then what only the log has
 * is lost.
 */
import { BLOCK_FLAG, changesContent, type BlockResult } from '../block/block-request.js';
import type { Clock } from '../runtime/clock.js';
import type { Job } from './in-flight.js';

/**
 * So long what was answered may wait for more. A client that writes one small piece after the other is ten writes on by
 * then, and a frame of ten costs the node and this end hardly more than a frame of one.
 */
export const GATHER_MS = 1;

/** So much is a full frame of a session, and does not wait for more. */
const GATHERED_BYTES_MAX = 256 * 1024;

const NONE: readonly Job[] = [];

export class WriteCache {
  /** To be answered when the log is written. */
  #due: Job[] = [];
  /** To be sent, in order. */
  #gathered: Job[] = [];
  #gatheredBytes = 0;

  #isWaiting = false;

  /** @param onTime what was gathered has waited for its time */
  constructor(
    readonly isOn: boolean,
    readonly clock: Clock,
    readonly onTime: () => void,
  ) {}

  /** A client's request, which is logged and could go to the node now. @returns whether it is kept here instead */
  admit(job: Job): boolean {
    if (!this.isOn || !this.takes(job)) return false;
    this.#due.push(job);
    this.#gathered.push(job);
    this.#gatheredBytes += job.carriedBytes;
    return true;
  }

  takes({ request: { kind, flags } }: Job): boolean {
    return changesContent(kind) && (flags & BLOCK_FLAG.FUA) === 0;
  }

  get hasGathered(): boolean {
    return this.#gathered.length > 0;
  }

  get isFull(): boolean {
    return this.#gatheredBytes >= GATHERED_BYTES_MAX;
  }

  /** The log is written: what may be answered now, in order, unless it was answered meanwhile. */
  takeDue(): readonly Job[] {
    if (this.#due.length === 0) return NONE;
    const due = this.#due;
    this.#due = [];
    return due;
  }

  /** What is to go to the node now, in order. */
  takeGathered(): readonly Job[] {
    if (this.#gathered.length === 0) return NONE;
    const gathered = this.#gathered;
    this.#gathered = [];
    this.#gatheredBytes = 0;
    return gathered;
  }

  /** What is gathered goes when its time is over, unless it goes before. */
  wait(): void {
    if (this.#isWaiting || !this.hasGathered) return;
    this.#isWaiting = true;
    this.clock.setTimer(GATHER_MS, () => {
      this.#isWaiting = false;
      this.onTime();
    });
  }

  /** The session is gone: what is here is in flight and in the log, and goes over the next one from there. */
  forget(): void {
    this.takeDue();
    this.takeGathered();
  }

  /** What came of a request that was answered: nobody can be told, so if it failed nothing may go on. */
  judge({ request }: Job, { error }: BlockResult, onLoss: (detail: string) => void): void {
    if (error === undefined) return;
    onLoss(
      `the node could not carry out a ${request.kind} that was answered already: ${error.reason}; its data is in the ` +
        `replay log: remove the cause on the node, then restart blkferryd, which sends it again (detach --force gives it up)`,
    );
  }
}
