/**
 * Whether a disk keeps up with what is written into the page cache. While it does, a write is done at once on the main
 * thread; when the cache is full of what the disk has not taken, or the file system has to read first, the call that
 * would be done in microseconds sleeps for a disk, and with it everybody whom the node serves. Then changes go to other
 * threads (piece-writing.ts, range-change.ts), which costs a detour for each.
 *
 * A call that took long was perhaps only out of luck with the processor. So after one the next ones are watched: the
 * kernel counts how often a thread went to sleep. One shared by all volumes on a disk: what one has filled, all wait for.
 */
import { timesSlept } from 'blkferry-kernel';

/** Longer than a scheduler lets a thread wait that wants to run, on a machine with some load. */
export const HELD_UP_MS = 5;
/** So long no scheduler does. */
export const SURELY_HELD_UP_MS = 50;
/** After a call that took long. */
export const WATCHED_MS = 1000;
/** Before the disk is tried again; one try costs up to 200 ms of everybody's time, what Linux lets a writer sleep. */
export const SLOW_MS_MIN = 10_000;
/** It was slow each time that it was tried. */
export const SLOW_MS_MAX = 80_000;

/** In its own place so that tests can make a disk slow. */
export interface PaceSources {
  readonly nowMs: () => number;
  /** How often this thread went to sleep. */
  readonly timesSlept: () => number;
}

const REAL: PaceSources = { nowMs: () => performance.now(), timesSlept };

export class DiskPace {
  #state: 'quick' | 'watched' | 'slow' = 'quick';
  /** When the state may change by itself. */
  #untilMs = 0;
  #slowMs = SLOW_MS_MIN;
  /** It is being tried whether it is still slow. */
  #isTried = false;
  #sleepsBefore = 0;
  #lastAwayMs = 0;

  constructor(readonly sources = REAL) {}

  /** True: changes of this disk are to go to another thread. */
  get isSlow(): boolean {
    if (this.#state !== 'slow') return false;
    if (this.#lastAwayMs > HELD_UP_MS || this.sources.nowMs() < this.#untilMs) return true;
    this.#isTried = true;
    this.#watch();
    return false;
  }

  /** Before a call on the main thread. @returns when that is, for `ended` */
  begins(): number {
    if (this.#state === 'watched') this.#sleepsBefore = this.sources.timesSlept();
    return this.sources.nowMs();
  }

  /** @param expectedMs what it takes where no disk is waited for */
  ended(begunMs: number, expectedMs: number): void {
    const nowMs = this.sources.nowMs();
    const lostMs = nowMs - begunMs - expectedMs;
    if (lostMs < HELD_UP_MS) {
      if (this.#state === 'watched' && nowMs >= this.#untilMs) this.#recovered();
      return;
    }
    const hasSlept = this.#state === 'watched' && this.sources.timesSlept() > this.#sleepsBefore;
    if (hasSlept || lostMs >= SURELY_HELD_UP_MS) this.#slow(nowMs);
    else if (this.#state === 'quick') this.#watch();
  }

  /** A call on another thread is over. */
  endedAway(tookMs: number): void {
    this.#lastAwayMs = tookMs;
  }

  #watch(): void {
    this.#state = 'watched';
    this.#untilMs = this.sources.nowMs() + WATCHED_MS;
  }

  #slow(nowMs: number): void {
    if (this.#isTried) this.#slowMs = Math.min(this.#slowMs * 2, SLOW_MS_MAX);
    this.#isTried = false;
    this.#state = 'slow';
    this.#untilMs = nowMs + this.#slowMs;
  }

  #recovered(): void {
    this.#state = 'quick';
    this.#isTried = false;
    this.#slowMs = SLOW_MS_MIN;
  }
}

/** Of the disks that volumes are on, by the number of their device. */
export class DiskPaces {
  readonly #paces = new Map<number, DiskPace>();

  of(device: number): DiskPace {
    let pace = this.#paces.get(device);
    if (pace === undefined) {
      pace = new DiskPace();
      this.#paces.set(device, pace);
    }
    return pace;
  }
}
