/**
 * In a worker: requests for a volume that came from the main thread, in their order. They were taken in there, so each is
 * carried out whatever becomes of its client; where the volume has no room for them yet, they wait here.
 */
import type { PacedBlockDevice } from '../block/block-device.js';
import type { BlockResult } from '../block/block-request.js';
import { TurnEnd } from '../runtime/turn-end.js';
import {
  heardRequest,
  toldResult,
  type HeardRequest,
  type ToldRequest,
  type ToldResult,
} from '../threads/told-request.js';

export class RequestRow {
  readonly #waiting: HeardRequest[] = [];
  #waitsForRoom = false;
  #unsaid: ToldResult[] = [];
  readonly #turnEnd = new TurnEnd(queueMicrotask, () => {
    const results = this.#unsaid;
    this.#unsaid = [];
    this.completed(results);
  });

  /** @param completed gets those of one turn of the event loop together */
  constructor(
    readonly device: PacedBlockDevice,
    readonly completed: (results: readonly ToldResult[]) => void,
  ) {}

  take(requests: readonly ToldRequest[]): void {
    for (const request of requests) this.#waiting.push(heardRequest(request));
    this.#goOn();
  }

  /** Nothing waits here any more: before a drain, or when the device is closed and refuses it. */
  letAllThrough(): void {
    this.#submit(() => true);
  }

  #goOn(): void {
    this.#submit(() => this.device.hasRoom());
    if (this.#waiting.length === 0 || this.#waitsForRoom) return;
    this.#waitsForRoom = true;
    this.device.whenRoom(() => {
      this.#waitsForRoom = false;
      this.#goOn();
    });
  }

  #submit(mayGo: () => boolean): void {
    // What is submitted may make room at once, and come back here.
    while (this.#waiting.length > 0 && mayGo()) {
      const request = this.#waiting.shift();
      if (request !== undefined) this.device.submit(request, this.#onCompleted);
    }
  }

  readonly #onCompleted = ({ requestId }: HeardRequest, result: BlockResult): void => {
    this.#unsaid.push(toldResult(requestId, result));
    this.#turnEnd.expect();
  };
}
