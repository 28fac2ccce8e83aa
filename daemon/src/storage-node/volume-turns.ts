/**
 * One at a time per volume: whatever first looks at a volume's lease and sessions and then acts on what it
 * saw (acquire, release, open, resize, delete) takes a turn, so that nothing changes in between.
 */
import { StorageError } from '../rpc/storage-error.js';

/**
 * Most calls that wait for one volume. A turn takes milliseconds; only when the volume's storage hangs do
 * calls pile up, and then each further one would wait as long: better to say so at once.
 */
export const TURNS_WAITING_MAX = 100;

interface Queue {
  last: Promise<unknown>;
  length: number;
}

export class VolumeTurns {
  readonly #queues = new Map<string, Queue>();

  /** @throws StorageError 'exhausted' when too many wait, and whatever the work throws */
  async run<Value>(volumeId: string, work: () => Promise<Value>): Promise<Value> {
    const queue = this.#queues.get(volumeId) ?? { last: Promise.resolve(), length: 0 };
    if (queue.length >= TURNS_WAITING_MAX) {
      throw new StorageError(
        'exhausted',
        `${queue.length} calls wait for volume ${volumeId}: its storage does not answer; look at the node's disk`,
      );
    }
    const mine = queue.last.then(work, work);
    queue.last = mine;
    queue.length += 1;
    this.#queues.set(volumeId, queue);
    try {
      return await mine;
    } finally {
      queue.length -= 1;
      if (queue.length === 0) this.#queues.delete(volumeId);
    }
  }
}
