/**
 * The disk of the node's machine under one volume, with Linux's page cache before it: what is written is
 * seen at once and is durable only after a sync. Of what was not synced a power cut leaves each block as any
 * of the states that it had since. A sync that fails loses its pages: they count as clean, are read as long
 * as they stay in the cache, and the next sync succeeds without them.
 *
 * It outlives the node's processes. Requests, order and delays are simulated-volume.ts.
 */
import { zeroPiece } from '#daemon/block/zeroes.js';
import type { SeededRandom } from './seeded-random.js';

/** The moment in which a sync began: which state of each block, counted from the beginning, it covers. */
export type SyncPoint = ReadonlyMap<number, number>;

export class SimulatedDisk {
  /** What a read sees. */
  readonly #cached: Buffer[];
  readonly #durable: Buffer[];
  /** By block: its states since it was last durable, in order; a block without any is clean. */
  readonly #dirty = new Map<number, Buffer[]>();
  /** By block: how many states it ever had. */
  readonly #written: number[];
  /** Blocks whose cached state a failed sync has left only in the cache. */
  readonly #lostInCache = new Set<number>();

  constructor(
    blockCount: number,
    readonly blockBytes: number,
    readonly random: SeededRandom,
  ) {
    // As a file has them: holes, so that they go over the wire as such.
    const zero = zeroPiece(blockBytes);
    this.#cached = new Array<Buffer>(blockCount).fill(zero);
    this.#durable = new Array<Buffer>(blockCount).fill(zero);
    this.#written = new Array<number>(blockCount).fill(0);
  }

  get blockCount(): number {
    return this.#cached.length;
  }

  get dirtyBlocks(): number {
    return this.#dirty.size;
  }

  /** The block as it would be after a power cut in which nothing more was written. */
  durable(block: number): Buffer {
    return this.#durable[block]!;
  }

  read(block: number): Buffer {
    return this.#cached[block]!;
  }

  /** @param bytes kept: the caller does not change them */
  write(block: number, bytes: Buffer): void {
    this.#cached[block] = bytes;
    this.#written[block]! += 1;
    this.#lostInCache.delete(block);
    const states = this.#dirty.get(block);
    if (states === undefined) this.#dirty.set(block, [bytes]);
    else states.push(bytes);
  }

  beginSync(): SyncPoint {
    const point = new Map<number, number>();
    for (const block of this.#dirty.keys()) point.set(block, this.#written[block]!);
    return point;
  }

  /** Everything that was written before the point is durable, and perhaps some of what came later. */
  syncSucceeded(point: SyncPoint): void {
    for (const [block, covered, states] of this.#covered(point))
      this.#settle(block, states, this.random.between(covered, states.length));
  }

  /** @returns the number of blocks whose last state is now nowhere but in the cache */
  syncFailed(point: SyncPoint): number {
    let lost = 0;
    for (const [block, covered, states] of this.#covered(point)) {
      const durable = this.#durable[block]!;
      const reached = this.random.between(0, covered);
      const isLost = states.length === covered && reached < covered;
      this.#settle(block, states, covered);
      this.#durable[block] = reached === 0 ? durable : states[reached - 1]!;
      if (!isLost) continue;
      lost += 1;
      this.#lostInCache.add(block);
    }
    return lost;
  }

  /** The pages of a failed sync leave the cache. @returns how many blocks changed */
  evictLost(): number {
    const blocks = [...this.#lostInCache];
    for (const block of blocks) this.#cached[block] = this.#durable[block]!;
    this.#lostInCache.clear();
    return blocks.length;
  }

  /**
   * Power cut.
   * @returns how many blocks fell back to an older state, and how many kept one that no sync had covered
   */
  loseCache(): { lost: number; kept: number } {
    let lost = this.evictLost();
    let kept = 0;
    for (const [block, states] of this.#dirty) {
      const reached = this.random.between(0, states.length);
      if (reached > 0) {
        this.#durable[block] = states[reached - 1]!;
        kept += 1;
      }
      if (reached < states.length) lost += 1;
      this.#cached[block] = this.#durable[block]!;
    }
    this.#dirty.clear();
    return { lost, kept };
  }

  /** What of the point is still dirty: block, how many of its states are covered, its states. */
  *#covered(point: SyncPoint): Generator<[number, number, Buffer[]]> {
    for (const [block, lastCovered] of point) {
      const states = this.#dirty.get(block);
      if (states === undefined) continue;
      const covered = lastCovered - (this.#written[block]! - states.length);
      if (covered > 0) yield [block, covered, states];
    }
  }

  #settle(block: number, states: Buffer[], count: number): void {
    this.#durable[block] = states[count - 1]!;
    if (count === states.length) this.#dirty.delete(block);
    else this.#dirty.set(block, states.slice(count));
  }
}
