/** The end of a drain: how long it may take, and what is said when that was not enough. */
import type { Clock } from '../runtime/clock.js';
import { StorageError } from '../rpc/storage-error.js';
import type { VolumeState } from './volume-state.js';
import type { Waiters } from './waiters.js';

export class Deadline {
  #isOver = false;
  readonly #cancel: () => void;

  constructor(
    clock: Clock,
    deadlineMs: number,
    readonly onOver: () => void,
  ) {
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

  /** Before its time. */
  end(): void {
    this.#cancel();
    this.#isOver = true;
    this.onOver();
  }
}

/** @param idle wakes whenever something was answered */
export async function untilIdle(
  isBusy: () => boolean,
  idle: Waiters,
  deadline: Deadline,
): Promise<void> {
  while (isBusy() && !deadline.isOver) {
    await new Promise<void>((resolve) => {
      idle.add(resolve);
    });
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
