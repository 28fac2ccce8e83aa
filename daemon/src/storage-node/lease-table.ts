/**
 * One writer per volume: who holds the lease, who may have it next, and which generation is current.
 * The decision is a function of the record (`decideLease`); here it is made one at a time per volume
 * and made durable before anybody hears of it.
 */
import type { Clock } from '../runtime/clock.js';
import { StorageError } from '../rpc/storage-error.js';
import type {
  AcquireLeaseRequestMessage,
  ReleaseLeaseRequestMessage,
} from '../rpc/storage-messages.js';
import type { Catalog } from './catalog.js';
import type { LeaseHolder, VolumeRecord } from './volume-record.js';

export interface LeaseTableOptions {
  readonly catalog: Catalog;
  readonly clock: Clock;
  /** Milliseconds since 1970, for people. */
  readonly wallClock: () => number;
  /** A holder without an open session for this long may be replaced. */
  readonly leaseTimeoutMs: number;
  /** Whether a session of this attachment is open. */
  readonly isConnected: (volumeId: string, attachmentId: string) => boolean;
  /** The sessions of older generations must end, with this reason, before a new one opens. */
  readonly onMoved: (volumeId: string, reason: StorageError) => void;
}

export class LeaseTable {
  /** When the holder was last connected; before that, the start of this table counts. */
  readonly #lastSeenMs = new Map<string, number>();
  readonly #queues = new Map<string, Promise<unknown>>();
  readonly #startedMs: number;

  constructor(readonly options: LeaseTableOptions) {
    this.#startedMs = options.clock.nowMs();
  }

  /** @throws StorageError 'not-found', 'refused' or 'fenced', as storage.proto says of AcquireLease */
  acquire(request: AcquireLeaseRequestMessage): Promise<VolumeRecord> {
    return this.#oneAtATime(request.volumeId, async () => {
      const record = this.#record(request.volumeId);
      const lease = decideLease(record, request, {
        holderIsLive: this.isHeld(record),
        nowUnixMs: this.options.wallClock(),
      });
      const renewed = await this.options.catalog.setLease(record.volumeId, lease);
      this.#lastSeenMs.set(record.volumeId, this.options.clock.nowMs());
      this.options.onMoved(
        record.volumeId,
        new StorageError(
          'fenced',
          `volume ${record.name} was taken over by ${lease.holder.description} (generation ${lease.generation})`,
        ),
      );
      return renewed;
    });
  }

  release(request: ReleaseLeaseRequestMessage): Promise<void> {
    return this.#oneAtATime(request.volumeId, async () => {
      const record = this.options.catalog.byId(request.volumeId);
      if (
        record?.holder?.attachmentId !== request.attachmentId ||
        record.generation !== request.generation
      )
        return;
      await this.options.catalog.setLease(record.volumeId, {
        generation: record.generation,
        holder: undefined,
      });
      this.options.onMoved(
        record.volumeId,
        new StorageError('fenced', `the lease of volume ${record.name} was released`),
      );
    });
  }

  /** True while the volume's writer is connected, or was so recently that it may come back. */
  isHeld(record: VolumeRecord): boolean {
    if (record.holder === undefined) return false;
    if (this.options.isConnected(record.volumeId, record.holder.attachmentId)) return true;
    const seenMs = this.#lastSeenMs.get(record.volumeId) ?? this.#startedMs;
    return this.options.clock.nowMs() - seenMs < this.options.leaseTimeoutMs;
  }

  /** True if this generation may write now. */
  isCurrent(volumeId: string, generation: number): boolean {
    const record = this.options.catalog.byId(volumeId);
    return record?.holder !== undefined && record.generation === generation;
  }

  /** A session of the holder has ended. */
  noteSeen(volumeId: string): void {
    this.#lastSeenMs.set(volumeId, this.options.clock.nowMs());
  }

  #record(volumeId: string): VolumeRecord {
    const record = this.options.catalog.byId(volumeId);
    if (record === undefined)
      throw new StorageError('not-found', `no volume has the id ${volumeId}`);
    return record;
  }

  async #oneAtATime<Value>(volumeId: string, work: () => Promise<Value>): Promise<Value> {
    const before = this.#queues.get(volumeId) ?? Promise.resolve();
    const mine = before.then(work, work);
    this.#queues.set(volumeId, mine);
    try {
      return await mine;
    } finally {
      if (this.#queues.get(volumeId) === mine) this.#queues.delete(volumeId);
    }
  }
}

/** @returns the lease to make durable. @throws StorageError 'refused' or 'fenced' */
export function decideLease(
  record: VolumeRecord,
  request: AcquireLeaseRequestMessage,
  now: { readonly holderIsLive: boolean; readonly nowUnixMs: number },
): { generation: number; holder: LeaseHolder } {
  const { holder, generation, name } = record;
  const { attachmentId, description, expectedGeneration } = request;
  const mine = holder?.attachmentId === attachmentId ? holder : undefined;
  if (holder !== undefined && mine === undefined && now.holderIsLive && !request.takeOver) {
    throw new StorageError(
      'refused',
      `volume ${name} is held by ${holder.description} since ${new Date(holder.sinceUnixMs).toISOString()}; ` +
        `detach it there, or use --take-over`,
    );
  }
  const unbroken =
    expectedGeneration === generation ||
    (mine !== undefined && expectedGeneration >= mine.firstGeneration);
  if (expectedGeneration !== 0 && !unbroken) {
    throw new StorageError(
      'fenced',
      `volume ${name} had another writer since generation ${expectedGeneration} (it is now ${generation}): ` +
        `unflushed writes of before must not be sent again; detach with --force gives them up`,
    );
  }
  const next = generation + 1;
  const holding = mine ?? { attachmentId, sinceUnixMs: now.nowUnixMs, firstGeneration: next };
  return { generation: next, holder: { ...holding, description } };
}
