/**
 * The devices that are open, each shared by all who use it, closed after the last. A volume has never
 * two devices at a time: one that is opened while the last one still closes waits for that.
 */
import type { BackendVolume } from './backend/backend.js';

interface Shared {
  readonly device: Promise<BackendVolume>;
  users: number;
}

export class OpenDevices {
  readonly #open = new Map<string, Shared>();
  readonly #closing = new Map<string, Promise<void>>();

  has(volumeId: string): boolean {
    return this.#open.has(volumeId) || this.#closing.has(volumeId);
  }

  /** Every success is matched by one `give`. @throws whatever `open` throws */
  async take(volumeId: string, open: () => Promise<BackendVolume>): Promise<BackendVolume> {
    let shared = this.#open.get(volumeId);
    if (shared === undefined) {
      // Whether closing the last one failed is told to those who closed it.
      const closed = this.#closing.get(volumeId)?.catch(() => undefined) ?? Promise.resolve();
      shared = { device: closed.then(open), users: 0 };
      this.#open.set(volumeId, shared);
    }
    shared.users += 1;
    try {
      return await shared.device;
    } catch (error) {
      if (this.#open.get(volumeId) === shared) this.#open.delete(volumeId);
      throw error;
    }
  }

  async give(volumeId: string): Promise<void> {
    const shared = this.#open.get(volumeId);
    if (shared === undefined) return;
    shared.users -= 1;
    if (shared.users > 0) return;
    this.#open.delete(volumeId);
    const closing = shared.device.then((device) => device.close());
    this.#closing.set(volumeId, closing);
    try {
      await closing;
    } finally {
      this.#closing.delete(volumeId);
    }
  }

  /** Closes all, also when closing one of them fails. @throws whatever the first failure was */
  async closeAll(): Promise<void> {
    const open = [...this.#open.values()];
    this.#open.clear();
    const closing = open.map(({ device }) => device.then((opened) => opened.close()));
    const ends = await Promise.allSettled([...closing, ...this.#closing.values()]);
    for (const end of ends) {
      if (end.status === 'rejected') throw end.reason;
    }
  }
}
