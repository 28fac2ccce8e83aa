/** A session whose way to the node is still being sought: it begins when one is found, unless it was closed. */
import type { BlockRequest } from '../block/block-request.js';
import { StorageError } from '../rpc/storage-error.js';
import type { StorageSession } from './storage-client.js';

export class SoughtSession implements StorageSession {
  #session: StorageSession | undefined;
  #isClosed = false;

  /** @param ended hears why no way was found */
  constructor(way: Promise<() => StorageSession>, ended: (reason: StorageError) => void) {
    way.then(
      (open) => {
        if (!this.#isClosed) this.#session = open();
      },
      (error: unknown) => {
        if (!this.#isClosed) ended(StorageError.from(error));
      },
    );
  }

  /** Allowed after `opened`, which only a session that was begun reports. */
  send(sequence: number, request: BlockRequest): void {
    if (this.#session === undefined) throw new Error('sent before the session was opened');
    this.#session.send(sequence, request);
  }

  close(): void {
    this.#isClosed = true;
    this.#session?.close();
  }
}
