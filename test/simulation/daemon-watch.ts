/**
 * What can be seen of a daemon from outside, at the client that its volume uses: when it hears of its lease,
 * and whether it has begun to send its log again and no flush has come after that.
 *
 * Meanwhile the node may hold older states of some blocks over newer ones. As long as the daemon, or its next
 * life, keeps the lease, the log repairs that; when the lease moves just then, nobody may send the newer ones
 * any more (history-model.ts, `resendInterrupted`).
 */
import type { ReplayLog } from '#daemon/volume/replay-log.js';
import type { SessionEvents, StorageClient } from '#daemon/transport/storage-client.js';

export class DaemonWatch {
  #isUnsettled = false;
  /** The newest change that was logged when the session opened: what is sent up to it is sent again. */
  #lastBefore = 0;
  readonly #flushes = new Set<number>();

  constructor(
    readonly log: () => ReplayLog | undefined,
    readonly leased: (generation: number) => void,
  ) {}

  get isUnsettled(): boolean {
    return this.#isUnsettled;
  }

  watch(client: StorageClient): StorageClient {
    const openSession: StorageClient['openSession'] = (open, events) => {
      const session = client.openSession(open, this.#watched(events));
      return {
        send: (sequence, request) => {
          if (sequence <= this.#lastBefore) this.#isUnsettled = true;
          else if (request.kind === 'flush') this.#flushes.add(sequence);
          session.send(sequence, request);
        },
        close: () => {
          session.close();
        },
      };
    };
    const acquireLease: StorageClient['acquireLease'] = async (request) => {
      const lease = await client.acquireLease(request);
      this.leased(lease.generation);
      return lease;
    };
    return clientWith(client, { openSession, acquireLease });
  }

  #watched(events: SessionEvents): SessionEvents {
    return {
      opened: (facts) => {
        this.#lastBefore = [...(this.log()?.sequencesFrom(0) ?? [])].at(-1) ?? 0;
        this.#flushes.clear();
        events.opened(facts);
      },
      completed: (sequence, result) => {
        if (this.#flushes.delete(sequence) && result.error === undefined) this.#isUnsettled = false;
        events.completed(sequence, result);
      },
      verifierSeen: (writeVerifier) => {
        events.verifierSeen(writeVerifier);
      },
      resized: (sizeBytes) => {
        events.resized(sizeBytes);
      },
      ended: (reason) => {
        events.ended(reason);
      },
    };
  }
}

/** The client with some of its methods replaced. */
export function clientWith(client: StorageClient, methods: Partial<StorageClient>): StorageClient {
  return new Proxy(client, {
    get: (target, name): unknown => {
      const replaced: unknown = Reflect.get(methods, name);
      if (replaced !== undefined) return replaced;
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? (value.bind(target) as unknown) : value;
    },
  });
}
