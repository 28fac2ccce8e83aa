/**
 * One writer per volume: who holds the lease, who may have it next, and which generation is current.
 * The decision is a function of the record (`decideLease`); here it is made one at a time per volume,
 * made durable before anybody hears of it, and told only when nothing of the writer before is under way.
 */
import type { Clock } from '../runtime/clock.js';
import { StorageError } from '../rpc/storage-error.js';
import type {
  AcquireLeaseRequestMessage,
  ReleaseLeaseRequestMessage,
} from '../rpc/storage-messages.js';
import { TRUSTED_CALLER, isOwner, leaseNames, type Caller } from './access-caller.js';
import type { Catalog } from './catalog.js';
import type { LeaseHolder, VolumeRecord } from './volume-record.js';
import type { VolumeTurns } from './volume-turns.js';

export interface LeaseTableOptions {
  readonly catalog: Catalog;
  readonly clock: Clock;
  readonly turns: VolumeTurns;
  /** Milliseconds since 1970, for people. */
  readonly wallClock: () => number;
  /** A holder without an open session for this long may be replaced. */
  readonly leaseTimeoutMs: number;
  /** Whether a writing session of this attachment is open. */
  readonly isConnected: (volumeId: string, attachmentId: string) => boolean;
  /**
   * Ends the volume's writing sessions with this reason. Resolves when everything that they had given to
   * the backend has completed: an old write must not be applied after a new writer's first.
   */
  readonly evictWriters: (volumeId: string, reason: StorageError) => Promise<void>;
  /** Resolves when everything that was written to the volume is on stable storage, or cannot be. */
  readonly makeDurable: (volumeId: string) => Promise<void>;
}

export class LeaseTable {
  /** By volume: when its holder was last connected. Before that, the start of this table counts. */
  readonly #lastSeenMs = new Map<string, number>();
  readonly #startedMs: number;

  constructor(readonly options: LeaseTableOptions) {
    this.#startedMs = options.clock.nowMs();
  }

  /**
   * @returns the record with the new generation, durable; older generations change nothing any more
   * @param by who asks, and whether it may take the lease from another client that is alive
   * @throws StorageError 'not-found', 'refused', 'denied' or 'fenced', as storage.proto says of AcquireLease
   */
  acquire(
    request: AcquireLeaseRequestMessage,
    by: Claimant = TRUSTED_CLAIMANT,
  ): Promise<VolumeRecord> {
    const { catalog, clock, turns, wallClock, evictWriters, makeDurable } = this.options;
    return turns.run(request.volumeId, async () => {
      const record = this.#require(request.volumeId);
      const former = record.holder?.attachmentId ?? request.attachmentId;
      const lease = decideLease(record, request, {
        holderIsLive: this.isHeld(record),
        nowUnixMs: wallClock(),
        ...by,
      });
      const renewed = await catalog.setLease(record.volumeId, lease);
      this.#lastSeenMs.set(record.volumeId, clock.nowMs());
      await evictWriters(
        record.volumeId,
        new StorageError(
          'fenced',
          `volume ${record.name} was taken over by ${holderWords(lease.holder)} (generation ${lease.generation})`,
        ),
      );
      if (former !== request.attachmentId) await makeDurable(record.volumeId);
      return renewed;
    });
  }

  /** Does nothing if the caller does not hold the lease under this generation. */
  release(request: ReleaseLeaseRequestMessage, caller = TRUSTED_CALLER): Promise<void> {
    const { catalog, turns, evictWriters } = this.options;
    return turns.run(request.volumeId, async () => {
      const record = catalog.byId(request.volumeId);
      if (record === undefined || !isHolder(record, { ...request, caller })) return;
      await catalog.setLease(record.volumeId, {
        generation: record.generation,
        holder: undefined,
      });
      await evictWriters(
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

  /** True if this writer may write now. Asked before every batch. */
  isCurrent(writer: Writer): boolean {
    const record = this.options.catalog.byId(writer.volumeId);
    return record !== undefined && isHolder(record, writer);
  }

  /** @throws StorageError 'not-found' or 'fenced' */
  requireCurrent(writer: Writer): void {
    const { name, generation, holder } = this.#require(writer.volumeId);
    if (this.isCurrent(writer)) return;
    const now = holder === undefined ? 'nobody holds it now' : `held by ${holderWords(holder)}`;
    throw new StorageError(
      'fenced',
      `generation ${writer.generation} of volume ${name} is over: the current one is ${generation}, ${now}`,
    );
  }

  /** A writing session of this attachment has ended. */
  noteSeen(volumeId: string, attachmentId: string): void {
    if (this.options.catalog.byId(volumeId)?.holder?.attachmentId === attachmentId)
      this.#lastSeenMs.set(volumeId, this.options.clock.nowMs());
  }

  /** The volume is gone. */
  forget(volumeId: string): void {
    this.#lastSeenMs.delete(volumeId);
  }

  #require(volumeId: string): VolumeRecord {
    const record = this.options.catalog.byId(volumeId);
    if (record === undefined)
      throw new StorageError('not-found', `no volume has the id ${volumeId}`);
    return record;
  }
}

/** What a session or a release says about itself. */
export interface Writer {
  readonly volumeId: string;
  readonly attachmentId: string;
  readonly generation: number;
  /** Absent for one that is trusted. */
  readonly caller?: Caller;
}

/** Who asks for a lease. */
export interface Claimant {
  readonly caller: Caller;
  /** Whether it may take the lease from another client that is alive. */
  readonly mayTakeOver: boolean;
}

const TRUSTED_CLAIMANT: Claimant = { caller: TRUSTED_CALLER, mayTakeOver: true };

function isHolder({ holder, generation }: VolumeRecord, writer: Writer): boolean {
  return (
    holder?.attachmentId === writer.attachmentId &&
    generation === writer.generation &&
    isOwner(writer.caller ?? TRUSTED_CALLER, holder.clientNames)
  );
}

/**
 * Whether the request is granted, and what the record then says.
 *
 * Fenced comes before refused: it is final, and a writer that was told "held by another" would try again
 * for ever what it must not write.
 *
 * An attachment is the holder only together with a name of its certificate: everybody who may see the
 * volume knows the attachment's id.
 *
 * @returns the lease to make durable
 * @throws StorageError 'refused', 'denied' or 'fenced'
 */
export function decideLease(
  record: VolumeRecord,
  request: AcquireLeaseRequestMessage,
  now: { readonly holderIsLive: boolean; readonly nowUnixMs: number } & Partial<Claimant>,
): { generation: number; holder: LeaseHolder } {
  const { holder, generation, name } = record;
  const { attachmentId, description, expectedGeneration } = request;
  const { caller, mayTakeOver } = { ...TRUSTED_CLAIMANT, ...now };
  const mine =
    holder?.attachmentId === attachmentId && isOwner(caller, holder.clientNames)
      ? holder
      : undefined;
  if (expectedGeneration !== 0 && !isUnbroken(record, mine, expectedGeneration)) {
    throw new StorageError('fenced', brokenSentence(record, expectedGeneration));
  }
  if (holder !== undefined && mine === undefined && now.holderIsLive && !request.takeOver) {
    throw new StorageError(
      'refused',
      `volume ${name} is held by ${holderWords(holder)}; ` + `detach it there or use --take-over`,
    );
  }
  if (
    holder !== undefined &&
    now.holderIsLive &&
    !mayTakeOver &&
    !isOwner(caller, holder.clientNames)
  ) {
    throw new StorageError(
      'denied',
      `volume ${name} is held by ${holder.description}, another client: ${caller.label} may not take it over ` +
        `(right take-over in the node's access_file)`,
    );
  }
  const next = generation + 1;
  const clientNames = leaseNames(caller) ?? mine?.clientNames;
  const owner = clientNames === undefined ? {} : { clientNames };
  if (mine !== undefined) return { generation: next, holder: { ...mine, description, ...owner } };
  return {
    generation: next,
    holder: {
      attachmentId,
      description,
      sinceUnixMs: now.nowUnixMs,
      // Back before anybody else wrote: what it logged under the old generation is still in order.
      firstGeneration: expectedGeneration === 0 ? next : expectedGeneration,
      ...owner,
    },
  };
}

/**
 * Nobody but the caller wrote since this generation. The caller may not know its newest generation: the
 * node may have crashed between making it durable and answering. So any of its unbroken possession will do.
 */
function isUnbroken(
  { holder, generation }: VolumeRecord,
  mine: LeaseHolder | undefined,
  expectedGeneration: number,
): boolean {
  if (expectedGeneration > generation) return false;
  if (mine !== undefined) return expectedGeneration >= mine.firstGeneration;
  return holder === undefined && expectedGeneration === generation;
}

/** Who, and since when: what a former holder asks first. */
function holderWords({ description, sinceUnixMs }: LeaseHolder): string {
  return `${description} since ${new Date(sinceUnixMs).toISOString()}`;
}

function brokenSentence({ name, generation, holder }: VolumeRecord, expected: number): string {
  const what =
    expected > generation
      ? `volume ${name} is at generation ${generation}, before ${expected}: the node's data is of an older date`
      : `volume ${name} had another writer since generation ${expected} (now ${generation}` +
        `${holder === undefined ? '' : `, ${holderWords(holder)}`})`;
  return `${what}; unflushed writes of before must not be sent again, detach with --force gives them up`;
}
