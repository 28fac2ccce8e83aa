/**
 * A session that a worker serves, in the tables of the main thread: it comes in, is ended, drained and told of sizes here,
 * and the worker does it. It is gone only when the worker has said that it executes nothing more and its device is done
 * with everything that it was given. So whoever waits for that, as those do who give its lease to another, waits for the
 * worker: until then its answers were given while nobody else could write.
 */
import { StorageError } from '../../rpc/storage-error.js';
import { laneOf } from '../../rpc/session-lane.js';
import type { OpenFrame } from '../../rpc/storage-messages.js';
import type { Caller } from '../access-caller.js';
import { SessionAdmission } from '../session-admission.js';
import { warnOfBreach } from '../session-breach.js';
import type { EnteringSession } from '../session-entry.js';
import type { SessionHost } from '../session-host.js';
import { DistantVolume } from './distant-volume.js';
import { toldError } from '../../threads/told-error.js';
import type { Post, ToWorker } from './worker-messages.js';

export class DistantSession implements EnteringSession {
  volumeId = '';
  attachmentId = '';
  generation = 0;
  streamIndex = 0;
  #state: 'waiting' | 'entering' | 'in' | 'over' = 'waiting';
  readonly #admission: SessionAdmission;
  readonly #gone: Promise<void>;
  #resolveGone: () => void = () => undefined;

  constructor(
    readonly sessionId: number,
    readonly host: SessionHost,
    readonly caller: Caller,
    readonly post: Post<ToWorker>,
    /** Number of the worker, and whether a volume is in it. */
    readonly worker: number,
    readonly hasVolume: (volumeId: string) => boolean,
  ) {
    this.#admission = new SessionAdmission(host, this);
    this.#gone = new Promise((resolve) => {
      this.#resolveGone = resolve;
    });
  }

  get isOver(): boolean {
    return this.#state === 'over';
  }

  /** The client's first frame. */
  open(open: OpenFrame): void {
    if (this.#state !== 'waiting') return;
    try {
      this.#admission.check(open);
      if (!this.hasVolume(open.volumeId)) throw wrongLane(open.volumeId);
    } catch (error) {
      const reason = StorageError.from(error);
      const call = { getPeer: () => this.caller.peer };
      warnOfBreach(this.host.refusals, { volumeId: '', caller: this.caller, call }, reason);
      this.end(reason);
      return;
    }
    this.#state = 'entering';
    this.volumeId = open.volumeId;
    this.attachmentId = open.attachmentId;
    this.generation = open.generation;
    this.streamIndex = open.streamIndex;
    this.#admission.enter(open, ({ device, volume, writeVerifier }) => {
      if (!(device instanceof DistantVolume)) throw new Error('the volume is in no worker');
      this.#state = 'in';
      const { deviceId } = device;
      this.post({ kind: 'admitted', sessionId: this.sessionId, deviceId, volume, writeVerifier });
    });
  }

  end(reason: StorageError): void {
    if (this.#state === 'over') return;
    this.#state = 'over';
    this.post({ kind: 'end', sessionId: this.sessionId, reason: toldError(reason) });
  }

  drain(reason: StorageError): void {
    if (this.#state !== 'in') this.end(reason);
    else this.post({ kind: 'drain', sessionId: this.sessionId, reason: toldError(reason) });
  }

  resized(sizeBytes: number): void {
    if (this.#state === 'in') this.post({ kind: 'resized', sessionId: this.sessionId, sizeBytes });
  }

  whenGone(): Promise<void> {
    return this.#gone;
  }

  /** The worker has nothing of it any more. */
  async gone(): Promise<void> {
    this.#state = 'over';
    await this.#admission.leave();
    this.#resolveGone();
  }
}

function wrongLane(volumeId: string): StorageError {
  return new StorageError(
    'invalid',
    `the session's connection was opened for another lane than ${laneOf(volumeId)}, which is that of volume id ${volumeId}`,
  );
}
