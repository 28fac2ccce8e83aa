/** How many sessions there may be on a node, in all and of one client. */
import { StorageError } from '../rpc/storage-error.js';
import type { Caller } from './access-caller.js';

export class SessionPlaces {
  #count = 0;
  readonly #perClient = new Map<string, number>();

  constructor(
    readonly sessionsMax: number,
    readonly sessionsPerClientMax: number,
  ) {}

  /** @returns why the caller cannot have a session, or undefined */
  refusal(caller: Caller): StorageError | undefined {
    if (this.#count >= this.sessionsMax) {
      const sentence = `this node has ${this.sessionsMax} sessions, which is its limit (sessions_max)`;
      return new StorageError('exhausted', sentence);
    }
    if ((this.#perClient.get(clientOf(caller)) ?? 0) < this.sessionsPerClientMax) return undefined;
    const sentence = `this client has ${this.sessionsPerClientMax} sessions, which is the limit (sessions_per_client_max)`;
    return new StorageError('exhausted', sentence);
  }

  /** After `refusal` had nothing to say. */
  take(caller: Caller): void {
    const client = clientOf(caller);
    this.#count += 1;
    this.#perClient.set(client, (this.#perClient.get(client) ?? 0) + 1);
  }

  give(caller: Caller): void {
    const client = clientOf(caller);
    this.#count -= 1;
    const left = (this.#perClient.get(client) ?? 0) - 1;
    if (left > 0) this.#perClient.set(client, left);
    else this.#perClient.delete(client);
  }
}

/** The same client again: by the names of its certificate, otherwise by its machine, as its port is another each time. */
function clientOf({ names, peer }: Caller): string {
  return names === undefined ? peer.replace(/:\d+$/, '') : names.join(' ');
}
