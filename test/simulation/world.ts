/**
 * The world of one history: its time, its events in order, its trace and its counts. One event at a time
 * happens, and everything that follows from it without waiting (promises, microtasks) has happened before
 * the next begins: nothing here depends on the real event loop.
 *
 * What belongs to a process that can die or be stopped goes through simulated-process.ts.
 */
import type { SeededRandom } from './seeded-random.js';
import { Violation } from './violation.js';

/** A history that goes on for so many events never ends by itself: some part of it spins. */
const EVENTS_MAX = 400_000;
/** Lines kept of the trace; a failure shows the last of them. */
const TRACE_LINES_MAX = 20_000;

/** What the world needs to know of the process that an event belongs to. */
export interface RunningProcess {
  /** Calls back in an event of its own, unless the process has died. */
  defer(callback: () => void): void;
}

interface WorldEvent {
  readonly atMs: number;
  readonly order: number;
  callback: (() => void) | undefined;
}

export class World {
  nowMs = 0;
  /** The process that the current event belongs to. */
  running: RunningProcess | undefined;
  readonly counts = new Map<string, number>();
  readonly trace: string[] = [];
  violation: Violation | undefined;
  eventCount = 0;
  readonly #queue: WorldEvent[] = [];
  #order = 0;

  constructor(readonly random: SeededRandom) {}

  /** Calls back after that many simulated milliseconds; events of one moment keep their order. @returns cancels */
  schedule(delayMs: number, callback: () => void): () => void {
    this.#order += 1;
    const event: WorldEvent = { atMs: this.nowMs + delayMs, order: this.#order, callback };
    push(this.#queue, event);
    return () => {
      event.callback = undefined;
    };
  }

  /** As `schedule(0, ...)`, but before everything else that is due in this moment. */
  scheduleFirst(callback: () => void): void {
    this.#order += 1;
    push(this.#queue, { atMs: this.nowMs, order: -this.#order, callback });
  }

  /**
   * Lets events happen until the condition holds, a rule is broken, or the time is over.
   * @returns whether the condition held
   */
  async runUntil(condition: () => boolean, withinMs: number): Promise<boolean> {
    const untilMs = this.nowMs + withinMs;
    while (this.violation === undefined) {
      if (condition()) return true;
      const next = this.#queue[0];
      if (next === undefined || next.atMs > untilMs) {
        this.nowMs = untilMs;
        return condition();
      }
      pop(this.#queue);
      if (next.callback !== undefined) await this.#happen(next.atMs, next.callback);
    }
    return false;
  }

  /** Counts something for the table of what was exercised. */
  count(what: string, by = 1): void {
    this.counts.set(what, (this.counts.get(what) ?? 0) + by);
  }

  note(line: string): void {
    if (this.trace.length >= TRACE_LINES_MAX) this.trace.shift();
    this.trace.push(`${this.nowMs.toFixed(2).padStart(10)}  ${line}`);
  }

  /** A rule is broken; the first one counts, and the history ends. */
  broken(rule: string, detail: string): void {
    if (this.violation !== undefined) return;
    this.violation = new Violation(rule, detail);
    this.note(`BROKEN ${rule}: ${detail}`);
  }

  async #happen(atMs: number, callback: () => void): Promise<void> {
    this.nowMs = Math.max(this.nowMs, atMs);
    this.eventCount += 1;
    if (this.eventCount > EVENTS_MAX) {
      this.broken('liveness', `${EVENTS_MAX} events and no end`);
      return;
    }
    try {
      callback();
    } catch (error) {
      this.broken('no exception', error instanceof Error ? (error.stack ?? '') : String(error));
    }
    await microtasksDone();
    this.running = undefined;
  }
}

/** The queue of ticks is served when that of microtasks is empty. */
function microtasksDone(): Promise<void> {
  return new Promise((resolve) => {
    process.nextTick(resolve);
  });
}

/** A binary heap, because a history has thousands of timers that never fire. */
function push(heap: WorldEvent[], event: WorldEvent): void {
  let at = heap.push(event) - 1;
  while (at > 0) {
    const parent = (at - 1) >> 1;
    if (!isBefore(event, heap[parent]!)) break;
    heap[at] = heap[parent]!;
    at = parent;
  }
  heap[at] = event;
}

function pop(heap: WorldEvent[]): void {
  const last = heap.pop()!;
  if (heap.length === 0) return;
  let at = 0;
  for (;;) {
    let child = 2 * at + 1;
    if (child >= heap.length) break;
    if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child += 1;
    if (!isBefore(heap[child]!, last)) break;
    heap[at] = heap[child]!;
    at = child;
  }
  heap[at] = last;
}

function isBefore(left: WorldEvent, right: WorldEvent): boolean {
  return left.atMs < right.atMs || (left.atMs === right.atMs && left.order < right.order);
}
