/**
 * What NBD clients can ask for: export names and the devices behind them. The admin room adds and
 * removes exports; the connections find them here and register, so that an export can be ended
 * together with its clients.
 */
import type { PacedBlockDevice } from '../block/block-device.js';
import type { SessionHost } from './session-host.js';

/** A client's connection, as far as the end of its export concerns it. */
export interface ExportClient {
  /** Reads no further request, answers those in flight, then ends the connection. Idempotent. */
  stop(): Promise<void>;
  /** Ends the connection now; answers to requests in flight are lost. */
  destroy(): void;
}

export interface Export {
  readonly name: string;
  /** For the export list; may be empty. */
  readonly description: string;
  readonly device: PacedBlockDevice;
  /** Where its clients in plain text are served; absent: in this thread. */
  readonly host?: SessionHost | undefined;
  /** False until the device knows its size; clients are then told to come back. */
  isReady(): boolean;
}

export class ExportTable {
  readonly #exports = new Map<string, { entry: Export; clients: Set<ExportClient> }>();

  /** @throws Error if the name is taken: the caller reserves names (admin room) */
  add(entry: Export): void {
    if (this.#exports.has(entry.name)) throw new Error(`export ${entry.name} exists already`);
    this.#exports.set(entry.name, { entry, clients: new Set() });
  }

  find(name: string): Export | undefined {
    return this.#exports.get(name)?.entry;
  }

  /** Sorted by name. */
  list(): Export[] {
    const entries = [...this.#exports.values()].map(({ entry }) => entry);
    return entries.sort((left, right) => (left.name < right.name ? -1 : 1));
  }

  clientCount(name: string): number {
    return this.#exports.get(name)?.clients.size ?? 0;
  }

  /**
   * No new client; those there are stopped in order. Resolves when the last is gone.
   * @param abandoned once it resolves, clients that still wait for answers are disconnected without them
   */
  async remove(name: string, abandoned?: Promise<void>): Promise<void> {
    const found = this.#exports.get(name);
    if (found === undefined) return;
    this.#exports.delete(name);
    void abandoned?.then(() => {
      for (const client of [...found.clients]) client.destroy();
    });
    await Promise.all([...found.clients].map((client) => client.stop()));
  }

  /** @returns a function that takes the client out again, or undefined if there is no such export (any more) */
  register(name: string, client: ExportClient): (() => void) | undefined {
    const found = this.#exports.get(name);
    if (found === undefined) return undefined;
    found.clients.add(client);
    return () => found.clients.delete(client);
  }
}
