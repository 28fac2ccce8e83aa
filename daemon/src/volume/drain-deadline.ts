/** The end of a drain: how long it may take, and what is said when that was not enough. */
import type { Clock } from '../runtime/clock.js';
import { StorageError } from '../rpc/storage-error.js';
import type { VolumeState } from './volume-state.js';

export class Deadline {
  #isOver = false;
  readonly #cancel: () => void;

  constructor(clock: Clock, deadlineMs: number, onOver: () => void) {
    this.#cancel = clock.setTimer(deadlineMs, () => {
      this.#isOver = true;
      onOver();
    });
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  cancel(): void {
    this.#cancel();
  }
}

/** @param unflushedBytes what waits in the replay log */
export function undrained(
  volumeName: string,
  state: VolumeState,
  deadlineMs: number,
  unflushedBytes: number,
): StorageError {
  const detail = 'detail' in state && state.detail !== '' ? `: ${state.detail}` : '';
  return new StorageError(
    'unavailable',
    `volume ${volumeName} could not be flushed within ${deadlineMs} ms${detail}; ` +
      `${unflushedBytes} bytes of answered writes wait in the replay log`,
  );
}
