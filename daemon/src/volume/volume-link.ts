/**
 * A volume's way to its node: finds the volume, acquires the lease once, opens a session and opens it
 * again whenever it ended, with waits from retry-policy.ts. It decides nothing about requests: Volume
 * hears `up`, `down` and `fenced` and acts.
 */
import type { BlockResult } from '../block/block-request.js';
import type { Clock } from '../runtime/clock.js';
import type { OpenedFrame } from '../rpc/storage-messages.js';
import { StorageError } from '../rpc/storage-error.js';
import type { StorageSession } from '../transport/storage-client.js';
import { misopened } from './answer-check.js';
import { DamageRow } from './damage-row.js';
import { retryWaitMs } from './retry-policy.js';
import { WriterLease, type LeaseOptions } from './writer-lease.js';

export interface LinkOptions extends LeaseOptions {
  readonly volumeName: string;
  /** The volume that was attached before a restart; undefined takes whichever has the name. */
  readonly volumeId: string | undefined;
  readonly checksum: 'none' | 'crc32c';
  readonly clock: Clock;
  /** In [0, 1). */
  readonly random: () => number;
}

export interface LinkEvents {
  /** The lease was granted; called before the first `up`, not for read-only volumes. */
  leased(generation: number): void;
  up(session: StorageSession, facts: OpenedFrame): void;
  completed(sequence: number, result: BlockResult): void;
  verifierSeen(writeVerifier: bigint): void;
  resized(sizeBytes: number): void;
  /** The session ended or a try to open one failed; another try follows by itself. */
  down(reason: StorageError): void;
  /** Another writer has the volume, perhaps after this one had it. No further try. */
  fenced(reason: StorageError, wasHeld: boolean): void;
}

export class VolumeLink {
  #volumeId = '';
  readonly #lease: WriterLease;
  #session: StorageSession | undefined;
  #failedTries = 0;
  readonly #damage = new DamageRow();
  #cancelRetry: (() => void) | undefined;
  /** Counts sessions; events of an older one are not heard. */
  #round = 0;
  #stopped = false;
  #firstTry: { resolve: () => void; reject: (reason: StorageError) => void } | undefined;

  constructor(
    readonly options: LinkOptions,
    readonly events: LinkEvents,
  ) {
    this.#lease = new WriterLease(options);
  }

  get volumeId(): string {
    return this.#volumeId;
  }

  /** 0 for read-only volumes and before the lease. */
  get generation(): number {
    return this.#lease.generation;
  }

  get use(): WriterLease['use'] {
    return this.#lease.use;
  }

  /** Of a standby, something is to be written: its session ends, and the next one is a writer's. */
  claim(): void {
    this.#lease.claim();
    this.#cancelRetry?.();
    this.#cancelRetry = undefined;
    this.#session?.close();
    this.#session = undefined;
    this.events.down(new StorageError('unavailable', 'the volume is being taken over'));
    void this.#try();
  }

  /** What is left of a hold time: a node whose sessions end badly again and again is as good as away. */
  holdLeftMs(holdMs: number): number {
    return Math.max(0, holdMs - this.#damage.lastsMs(this.options.clock.nowMs()));
  }

  /** Begins. Settles with the outcome of the first try; tries go on after a rejection until `stop`. */
  start(): Promise<void> {
    const outcome = new Promise<void>((resolve, reject) => {
      this.#firstTry = { resolve, reject };
    });
    void this.#try();
    return outcome;
  }

  /** Breaks the session as if the connection had been lost, and tries again. */
  restart(reason: StorageError): void {
    this.#damage.broke(this.options.clock.nowMs());
    this.#session?.close();
    this.#onEnded(reason);
  }

  /** Tries now instead of after the current wait. */
  retryNow(): void {
    if (this.#cancelRetry === undefined) return;
    this.#cancelRetry();
    this.#cancelRetry = undefined;
    void this.#try();
  }

  /** Ends the session and all tries. No event follows. */
  stop(): void {
    this.#stopped = true;
    this.#round += 1;
    this.#cancelRetry?.();
    this.#cancelRetry = undefined;
    this.#session?.close();
    this.#session = undefined;
  }

  /** Gives the lease up; call after `stop`. @throws StorageError */
  release(): Promise<void> {
    return this.#lease.release(this.#volumeId);
  }

  async #try(): Promise<void> {
    this.#round += 1;
    const round = this.#round;
    try {
      if (this.#volumeId === '') await this.#findVolume(round);
      if (round !== this.#round) return;
      if (this.#lease.isMissing) await this.#acquireLease(round);
      if (round !== this.#round) return;
      this.#openSession(round);
    } catch (error) {
      if (round !== this.#round) return;
      this.#onEnded(
        error instanceof StorageError
          ? error
          : new StorageError('internal', String(error), { cause: error }),
      );
    }
  }

  async #findVolume(round: number): Promise<void> {
    const { client, volumeName, volumeId } = this.options;
    const volume = await client.getVolume(volumeName);
    if (round !== this.#round) return;
    if (volumeId !== undefined && volume.volumeId !== volumeId) {
      throw new StorageError(
        'fenced',
        `volume ${volumeName} at ${client.address} is not the one that was attached (its id is ${volume.volumeId}, ` +
          `it was ${volumeId}): it was deleted and made anew; detach it and attach it again`,
      );
    }
    this.#volumeId = volume.volumeId;
  }

  async #acquireLease(round: number): Promise<void> {
    const { claiming } = this.options;
    if (claiming !== undefined) {
      await claiming();
      // Closed meanwhile: nobody would give up a lease that is taken over now.
      if (round !== this.#round) return;
    }
    const generation = await this.#lease.acquire(this.#volumeId);
    if (round !== this.#round) return;
    this.#lease.hold(generation);
    this.events.leased(generation);
  }

  #openSession(round: number): void {
    const { client, attachmentId, checksum } = this.options;
    const heard = (): boolean => round === this.#round;
    const session = client.openSession(
      {
        volumeId: this.#volumeId,
        attachmentId,
        generation: this.generation,
        streamIndex: 0,
        checksum,
        takesHoles: true,
      },
      {
        opened: (facts) => {
          if (!heard()) return;
          const lie = misopened(facts, this.#volumeId);
          if (lie !== undefined) {
            this.restart(lie);
            return;
          }
          // Over a link that damages what it carries, or before a disk that fails, sessions open again and again.
          if (!this.#damage.isSuspected) this.#failedTries = 0;
          this.events.up(session, facts);
          this.#settleFirstTry();
        },
        completed: (sequence, result) => {
          if (heard()) this.events.completed(sequence, result);
        },
        verifierSeen: (writeVerifier) => {
          if (heard()) this.events.verifierSeen(writeVerifier);
        },
        resized: (sizeBytes) => {
          if (heard()) this.events.resized(sizeBytes);
        },
        ended: (reason) => {
          if (heard()) this.#onEnded(reason);
        },
      },
    );
    this.#session = session;
  }

  #onEnded(reason: StorageError): void {
    if (this.#stopped) return;
    this.#round += 1;
    this.#session = undefined;
    if (reason.kind === 'fenced' && this.#lease.lose(reason) === 'perhaps') {
      // Without a wait: who is shut out for good should hear of it now.
      this.events.down(reason);
      void this.#try();
      return;
    }
    if (reason.kind === 'fenced') {
      this.events.fenced(this.#lease.explain(reason), this.#lease.wasHeld);
      this.#settleFirstTry(reason);
      return;
    }
    const told = this.#damage.heard(
      reason,
      this.options.client.address,
      this.options.clock.nowMs(),
    );
    const waitMs = retryWaitMs(this.#failedTries, this.options.random());
    this.#failedTries += 1;
    const { client, clock } = this.options;
    const retry = (): void => {
      this.retryNow();
    };
    const cancelTimer = clock.setTimer(waitMs, retry);
    const cancelConnected = client.onceConnected?.(retry);
    this.#cancelRetry = () => {
      cancelTimer();
      cancelConnected?.();
    };
    this.events.down(told);
    this.#settleFirstTry(reason);
  }

  #settleFirstTry(reason?: StorageError): void {
    const waiting = this.#firstTry;
    this.#firstTry = undefined;
    if (reason === undefined) waiting?.resolve();
    else waiting?.reject(reason);
  }
}
