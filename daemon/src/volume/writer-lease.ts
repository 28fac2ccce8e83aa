/**
 * The lease of one volume from its writer's side: whether it is needed, what is asked of the node for it, and whether
 * the loss of it may be the work of a call of our own that came late.
 */
import { StorageError } from '../rpc/storage-error.js';
import type { StorageClient } from '../transport/storage-client.js';

/** Calls for the lease that a daemon which was killed just before may have left on their way. */
const LATE_CALLS_OF_FORMER_RUN = 2;
/**
 * Most calls for the lease that are believed to be under way although nobody awaits them. Whoever is evicted
 * more often than that has a double that uses its attachment id (a copied state directory), and gives way.
 */
const LATE_CALLS_MAX = 8;

export interface LeaseOptions {
  readonly client: StorageClient;
  readonly attachmentId: string;
  /** For people: which daemon this is. */
  readonly description: string;
  readonly readOnly: boolean;
  readonly takeOver: boolean;
  /**
   * Absent: the lease is acquired at once. Else the volume is only read, without a lease, until `claim`; this has to have
   * ended before the lease is then taken over (volume-link.ts), and may throw.
   */
  readonly claiming?: (() => void | Promise<void>) | undefined;
  /** The generation of what waits to be replayed; 0 if nothing does. */
  readonly expectedGeneration: number;
}

export class WriterLease {
  #generation = 0;
  /** A lease that was lost, perhaps to a call of our own that came late; undefined otherwise. */
  #lost: { readonly generation: number; readonly reason: StorageError } | undefined;
  /** Calls for the lease that may still reach the node. */
  #lateCalls = LATE_CALLS_OF_FORMER_RUN;
  #isStandby: boolean;
  #takesOver: boolean;

  constructor(readonly options: LeaseOptions) {
    this.#isStandby = options.claiming !== undefined;
    this.#takesOver = options.takeOver;
  }

  /** 0 for read-only volumes and before the lease. */
  get generation(): number {
    return this.#generation;
  }

  /** What the volume is for: a standby is read without a lease, and written to when it was claimed. */
  get use(): 'reading' | 'writing' | 'standby' {
    if (this.options.readOnly) return 'reading';
    return this.#isStandby ? 'standby' : 'writing';
  }

  get isMissing(): boolean {
    return this.use === 'writing' && this.#generation === 0;
  }

  /** True once it was held: what was written under it is the node's. */
  get wasHeld(): boolean {
    return this.#generation > 0 || this.#lost !== undefined;
  }

  /** Ends a standby: the lease is needed now, whoever has it. */
  claim(): void {
    this.#isStandby = false;
    this.#takesOver = true;
  }

  /** After `claiming`. @returns the generation, which counts when it was given to `hold` */
  async acquire(volumeId: string): Promise<number> {
    const { client, attachmentId, description, expectedGeneration } = this.options;
    const lost = this.#lost;
    const call = client.acquireLease({
      volumeId,
      attachmentId,
      description,
      // Granted only if nobody else has written since. And whoever took the volume over keeps it.
      expectedGeneration: lost?.generation ?? expectedGeneration,
      takeOver: this.#takesOver && lost === undefined,
    });
    const lease = await call.catch((error: unknown) => {
      if (isInDoubt(error)) this.#lateCalls = Math.min(this.#lateCalls + 1, LATE_CALLS_MAX);
      throw error;
    });
    return lease.generation;
  }

  hold(generation: number): void {
    this.#generation = generation;
    this.#lost = undefined;
  }

  /**
   * Whether the loss may be no other writer's doing, so that the lease is asked for once more. AcquireLease is not
   * idempotent: a call that was given up may arrive late, also one of a daemon that was killed, and evicts the
   * session of the lease that was granted meanwhile.
   */
  lose(reason: StorageError): 'perhaps' | 'for good' {
    if (this.#generation === 0 || this.#lateCalls === 0) return 'for good';
    this.#lateCalls -= 1;
    this.#lost = { generation: this.#generation, reason };
    this.#generation = 0;
    return 'perhaps';
  }

  /** Who took the volume, and what came of asking for it again. */
  explain(reason: StorageError): StorageError {
    if (this.#lost === undefined) return reason;
    const sentence = `${this.#lost.reason.message}; ${reason.message}`;
    return new StorageError('fenced', sentence, { cause: reason });
  }

  /** Gives it up. @throws StorageError */
  async release(volumeId: string): Promise<void> {
    if (this.#generation === 0) return;
    const { client, attachmentId } = this.options;
    await client.releaseLease({ volumeId, attachmentId, generation: this.#generation });
  }
}

/** The call may have been carried out, or may yet be. */
function isInDoubt(error: unknown): boolean {
  return error instanceof StorageError && error.kind === 'unavailable';
}
