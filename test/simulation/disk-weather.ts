/**
 * How the node's disk does today: how long a sync or a request takes, which of them fail. Faults change it;
 * the disk's content is simulated-disk.ts.
 */
import { BlockError } from '#daemon/block/block-error.js';
import type { SeededRandom } from './seeded-random.js';
import type { SimulatedDisk } from './simulated-disk.js';
import type { World } from './world.js';

const SYNC_MS = { min: 0.5, max: 12 } as const;

export interface WeatherEvents {
  /** What was not durable may be lost from now on, although nothing died. */
  cacheLost(why: string): void;
}

export class DiskWeather {
  /** Longest time that one request takes; 0: at once. */
  slowMs = 0;
  /** Factor on the time of a sync. */
  syncSlowness = 1;
  /** The next so many syncs fail. */
  failingSyncs = 0;
  /** Probability that a change fails. */
  writeFailures = 0;
  writeErrno: 'EIO' | 'ENOSPC' = 'EIO';
  #powerCuts = 0;
  #syncsRunning = 0;

  constructor(
    readonly world: World,
    readonly random: SeededRandom,
    readonly events: WeatherEvents,
  ) {}

  heal(): void {
    this.slowMs = 0;
    this.syncSlowness = 1;
    this.failingSyncs = 0;
    this.writeFailures = 0;
  }

  /** A process that is killed in fdatasync is not gone before it has returned. */
  get isSyncing(): boolean {
    return this.#syncsRunning > 0;
  }

  requestMs(): number {
    return this.slowMs === 0 ? 0 : this.random.next() * this.slowMs;
  }

  /** The kernel's fdatasync: it goes on when the process that asked dies. */
  sync(disk: SimulatedDisk, done: (error: Error | null) => void): void {
    const point = disk.beginSync();
    const tookMs =
      (SYNC_MS.min + this.random.next() * (SYNC_MS.max - SYNC_MS.min)) * this.syncSlowness;
    const generation = this.#powerCuts;
    this.#syncsRunning += 1;
    this.world.schedule(tookMs, () => {
      if (generation !== this.#powerCuts) return;
      this.#syncsRunning -= 1;
      if (this.failingSyncs === 0) {
        disk.syncSucceeded(point);
        done(null);
        return;
      }
      this.failingSyncs -= 1;
      const lost = disk.syncFailed(point);
      this.world.count('syncs that failed');
      this.world.count('blocks lost by a failed sync', lost);
      this.world.note(`disk: a sync failed, ${lost} blocks are left in the cache only`);
      this.events.cacheLost('a sync failed');
      done(Object.assign(new Error('input/output error'), { code: 'EIO' }));
    });
  }

  /** The process has heard of a failed sync: from now on the kernel may drop its pages at any time. */
  failureTold(disk: SimulatedDisk): void {
    this.world.schedule(this.random.pick([0, 5, 100, 2_000]), () => {
      this.dropLost(disk);
    });
  }

  /** What a failed sync left in the cache goes. */
  dropLost(disk: SimulatedDisk): void {
    const blocks = disk.evictLost();
    if (blocks === 0) return;
    this.world.count('blocks of a failed sync that left the cache', blocks);
    this.world.note(`disk: ${blocks} blocks of a failed sync left the cache`);
    this.events.cacheLost('pages of a failed sync left the cache');
  }

  /** @returns undefined if the change goes well; else how much of it was done */
  writeFailure(blocks: number): { blocksWritten: number; error: BlockError } | undefined {
    if (this.writeFailures === 0 || !this.random.chance(this.writeFailures)) return undefined;
    this.world.count('changes that failed');
    const blocksWritten = this.random.between(0, blocks - 1);
    if (blocksWritten > 0) this.world.count('changes that failed half done');
    return { blocksWritten, error: new BlockError(this.writeErrno, 'the simulated disk failed') };
  }

  /** Syncs under way never end. */
  powerCut(): void {
    this.#powerCuts += 1;
    this.#syncsRunning = 0;
  }
}
