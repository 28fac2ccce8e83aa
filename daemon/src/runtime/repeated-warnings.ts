/**
 * Warnings that others cause and may cause again many times a second, such as clients that are refused: each is
 * logged once in a while, with how often it was left out. How many there were of each event is counted; a program
 * has one of these, and its status shows the counts.
 */
import type { Clock } from './clock.js';

/** The part of a bunyan logger that is used. */
export interface WarningLog {
  warn(fields: object, message: string): void;
}

/** Of a log record. */
export type WarningFields = Readonly<Record<string, unknown>> & { readonly event: string };

/** How often something happened since the program started, logged or not. */
export interface EventCount {
  /** As in the log record. */
  event: string;
  count: number;
}

/** A program that is refused asks again several times a second: the same warning is logged once in this time. */
export const REPEATED_WARNING_INTERVAL_MS = 60_000;
/** Different warnings that are remembered for that; beyond it the oldest is forgotten, and may be logged again. */
export const WARNINGS_REMEMBERED_MAX = 1024;

export class RepeatedWarnings {
  /** By event: there are as many as the code has names for. */
  readonly #counts = new Map<string, number>();
  readonly #logged = new Map<string, { sinceMs: number; unloggedCount: number }>();

  constructor(
    readonly log: WarningLog,
    readonly clock: Clock,
  ) {}

  /** Sorted by event; those that never happened are left out. */
  get counts(): EventCount[] {
    const counts = [...this.#counts].map(([event, count]) => ({ event, count }));
    return counts.sort((a, b) => (a.event < b.event ? -1 : 1));
  }

  /** @param key what makes two warnings of one event the same */
  warn(key: string, fields: WarningFields, sentence: string): void {
    const { event } = fields;
    this.#counts.set(event, (this.#counts.get(event) ?? 0) + 1);
    this.#log(`${event} ${key}`, fields, sentence);
  }

  #log(key: string, fields: object, sentence: string): void {
    const nowMs = this.clock.nowMs();
    const before = this.#logged.get(key);
    if (before !== undefined && nowMs - before.sinceMs < REPEATED_WARNING_INTERVAL_MS) {
      before.unloggedCount += 1;
      return;
    }
    this.#remember(key, nowMs);
    const unloggedCount = before?.unloggedCount ?? 0;
    const more =
      unloggedCount === 0 ? '' : `, and was so ${unloggedCount} times since it was last logged`;
    this.log.warn({ ...fields, unloggedCount }, `${sentence}${more}`);
  }

  #remember(key: string, nowMs: number): void {
    this.#logged.delete(key);
    if (this.#logged.size >= WARNINGS_REMEMBERED_MAX) {
      const [oldest] = this.#logged.keys();
      if (oldest !== undefined) this.#logged.delete(oldest);
    }
    this.#logged.set(key, { sinceMs: nowMs, unloggedCount: 0 });
  }
}
