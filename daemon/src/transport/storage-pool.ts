/** Nodes by address: one channel each, shared by all volumes that live there, closed after the last. */
import type { StorageClient } from './storage-client.js';

export class StoragePool {
  readonly #clients = new Map<string, { client: StorageClient; users: number }>();

  constructor(readonly create: (address: string) => StorageClient) {}

  /** Every `take` is matched by one `give`. */
  take(address: string): StorageClient {
    const known = this.#clients.get(address);
    if (known !== undefined) {
      known.users += 1;
      return known.client;
    }
    const client = this.create(address);
    this.#clients.set(address, { client, users: 1 });
    return client;
  }

  give(address: string): void {
    const known = this.#clients.get(address);
    if (known === undefined) return;
    known.users -= 1;
    if (known.users > 0) return;
    this.#clients.delete(address);
    known.client.close();
  }

  /** Closes every channel; open sessions end. */
  close(): void {
    for (const { client } of this.#clients.values()) client.close();
    this.#clients.clear();
  }
}
