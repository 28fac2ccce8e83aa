/** What happened in a soak and how often: every event a line in a file, counted by kind; and what went wrong. */
import { appendFileSync, writeFileSync } from 'node:fs';

/** More sentences help nobody; the count goes on. */
const FAILURES_KEPT = 50;

export interface EventSummary {
  readonly kind: string;
  readonly count: number;
  /** Of I/O or of the step itself, in milliseconds. */
  readonly medianMs: number;
  readonly longestMs: number;
}

export class SoakJournal {
  readonly #tookMs = new Map<string, number[]>();
  readonly failures: string[] = [];
  failureCount = 0;

  constructor(
    readonly file: string,
    readonly elapsedMs: () => number,
  ) {
    writeFileSync(file, '');
  }

  event(kind: string, tookMs: number, detail = ''): void {
    const took = this.#tookMs.get(kind) ?? [];
    this.#tookMs.set(kind, took);
    took.push(tookMs);
    this.#write({ kind, tookMs: Math.round(tookMs), ...(detail === '' ? {} : { detail }) });
  }

  failed(sentence: string): void {
    this.failureCount += 1;
    if (this.failures.length < FAILURES_KEPT) this.failures.push(sentence);
    this.#write({ kind: 'failure', detail: sentence });
  }

  get eventCount(): number {
    return [...this.#tookMs.values()].reduce((sum, { length }) => sum + length, 0);
  }

  summary(): EventSummary[] {
    return [...this.#tookMs].map(([kind, tookMs]) => {
      const sorted = [...tookMs].sort((left, right) => left - right);
      const medianMs = sorted[Math.floor(sorted.length / 2)] ?? 0;
      return { kind, count: sorted.length, medianMs, longestMs: sorted.at(-1) ?? 0 };
    });
  }

  #write(record: object): void {
    const atMs = Math.round(this.elapsedMs());
    appendFileSync(this.file, `${JSON.stringify({ atMs, ...record })}\n`);
  }
}
