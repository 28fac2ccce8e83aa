/** In a worker: one volume of it, and what the main thread asks of it. */
import type { AttachmentRecord } from '../admin/attachment-record.js';
import type { LocalVolume, VolumeOpener } from '../admin/volume-opener.js';
import type { VolumeAmounts } from '../volume/attached-volume.js';
import { UNKNOWN_FACTS } from '../volume/volume-facts.js';
import type { Volume } from '../volume/volume.js';
import { RequestRow } from './request-row.js';
import { toldError } from '../threads/told-error.js';
import type { ToldRequest, ToldResult } from '../threads/told-request.js';
import type { Answer, VolumeAct, VolumeStatus } from './worker-messages.js';
import type { Neighbours } from './worker-sessions.js';

export interface WorkerVolumeEvents {
  readonly changed: (status: VolumeStatus) => void;
  readonly completed: (results: readonly ToldResult[]) => void;
  /** Of a standby. @throws what hinders the claim */
  readonly claiming: () => Promise<void>;
}

export class WorkerVolume implements Neighbours {
  readonly #opened: LocalVolume;
  #isOpened = false;
  readonly #row: RequestRow;
  /** Clients that are served here, and in the main thread. */
  #clientCount = 0;

  constructor(
    opener: VolumeOpener,
    record: AttachmentRecord,
    takeOver: boolean,
    events: WorkerVolumeEvents,
  ) {
    const onChange = (): void => {
      // One that is fenced from the beginning says so before it is there.
      if (this.#isOpened) events.changed(statusOf(this.volume));
    };
    this.#opened = opener.open(record, { takeOver, onClaim: events.claiming, onChange });
    this.#isOpened = true;
    this.#row = new RequestRow(this.volume, events.completed);
    onChange();
  }

  get volume(): Volume {
    return this.#opened.volume;
  }

  begun(): void {
    this.#clientCount += 1;
  }

  ended(): void {
    this.#clientCount -= 1;
  }

  hasOthers(): boolean {
    return this.#clientCount > 1;
  }

  /** The main thread serves so many more. */
  clientsThere(by: number): void {
    this.#clientCount += by;
  }

  submit(requests: readonly ToldRequest[]): void {
    this.#row.take(requests);
  }

  /** @returns with the amounts of then, also if there is an error */
  async ask(act: VolumeAct): Promise<Answer> {
    let count = 0;
    let error: unknown;
    try {
      count = await this.#do(act);
    } catch (caught) {
      error = caught;
    }
    const amounts = amountsOf(this.volume);
    return { amounts, count, ...(error === undefined ? {} : { error: toldError(error) }) };
  }

  async #do(act: VolumeAct): Promise<number> {
    const { volume } = this;
    switch (act.act) {
      case 'start':
        await volume.start();
        break;
      case 'refresh':
        break;
      case 'fail-now':
        return volume.failNow();
      case 'retry-now':
        await volume.retryNow();
        break;
      case 'drain':
        // The main thread has taken them in: they are under way, and a drain waits for what is.
        this.#row.letAllThrough();
        await volume.drain(act.deadlineMs, act.until);
        break;
      case 'close':
        await this.#afterRefusing(volume.close());
        break;
      case 'end':
        await this.#afterRefusing(this.#opened.close({ forget: act.forget }));
        break;
    }
    return 0;
  }

  /** The volume is closed by now: what had no room gets an answer, and is not carried out. */
  #afterRefusing(closed: Promise<void>): Promise<void> {
    this.#row.letAllThrough();
    return closed;
  }
}

function statusOf({ state, facts, generation }: Volume): VolumeStatus {
  return { state, generation, facts: facts === UNKNOWN_FACTS ? undefined : facts };
}

function amountsOf({
  counters,
  requestsInFlight,
  bytesInFlight,
  unflushedBytes,
}: Volume): VolumeAmounts {
  return { counters, requestsInFlight, bytesInFlight, unflushedBytes };
}
