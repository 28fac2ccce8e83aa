/**
 * What the histories exercised, added up, as a table: a simulator that does nothing finds nothing, and
 * nobody should be deceived by that.
 */
const ROWS_OF_FAULTS = /^(fault|requests|volume): /;

export class CoverageTable {
  readonly #sums = new Map<string, number>();
  /** In how many histories it occurred. */
  readonly #histories = new Map<string, number>();
  historyCount = 0;

  add(counts: ReadonlyMap<string, number>): void {
    this.historyCount += 1;
    for (const [what, count] of counts) {
      if (count === 0) continue;
      this.#sums.set(what, this.sum(what) + count);
      this.#histories.set(what, (this.#histories.get(what) ?? 0) + 1);
    }
  }

  sum(what: string): number {
    return this.#sums.get(what) ?? 0;
  }

  toString(): string {
    const names = [...this.#sums.keys()];
    const grouped = [
      ...names.filter((name) => ROWS_OF_FAULTS.test(name)).sort(),
      ...names.filter((name) => !ROWS_OF_FAULTS.test(name)).sort(),
    ];
    const width = Math.max(0, ...grouped.map((name) => name.length));
    const rows = grouped.map(
      (name) =>
        `${name.padEnd(width)}  ${String(this.sum(name)).padStart(9)}  in ${String(this.#histories.get(name) ?? 0).padStart(7)} histories`,
    );
    return rows.join('\n');
  }
}
