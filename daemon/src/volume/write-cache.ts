/**
 * Which changes are answered as soon as the replay log has them, while they are on their way to the node
 * (setting `write_cache`). They stay in flight until the node has done them, so all limits hold as before.
 *
 * What makes that safe is elsewhere already: the log outlives the daemon and is sent again; the node does
 * requests of one session in order, so that later reads see them and later flushes cover them (storage.proto,
 * contract 1 to 3). New is only that the node may refuse what was answered. Nobody can be told then, so nothing
 * goes on: whoever asks next gets an error, and the data stays in the log.
 *
 * Not answered early is what promises durability (FUA), and what is not on its way yet, because the node is away or
 * lags behind: its data is the client's buffers, which are the client's again once it is answered. And the longer
 * a node is away the likelier somebody else takes the volume over, and then what only the log has is lost.
 */
import { BLOCK_FLAG, changesContent, type BlockResult } from '../block/block-request.js';
import type { StorageSession } from '../transport/storage-client.js';
import type { Job } from './in-flight.js';

const NONE: readonly Job[] = [];

export class WriteCache {
  #due: Job[] = [];

  constructor(readonly isOn: boolean) {}

  /** A client's request is on its way to the node, and logged if it is a change. */
  sent(job: Job): void {
    if (this.isOn && this.takes(job)) this.#due.push(job);
  }

  takes({ request: { kind, flags } }: Job): boolean {
    return changesContent(kind) && (flags & BLOCK_FLAG.FUA) === 0;
  }

  /**
   * The log is written: what may be answered now, in order, unless it was answered meanwhile.
   * @param session that it was sent on, if it is still there
   */
  takeDue(session: StorageSession | undefined): readonly Job[] {
    if (this.#due.length === 0) return NONE;
    const due = this.#due;
    this.#due = [];
    return session?.hasTaken === true ? due : NONE;
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
