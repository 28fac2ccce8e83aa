/**
 * A bounded row of things under way that are collected in the order in which they were started.
 */
export class InOrder<Value> {
  readonly #underWay: Promise<Value>[] = [];

  constructor(readonly countMax: number) {}

  get count(): number {
    return this.#underWay.length;
  }

  get full(): boolean {
    return this.#underWay.length >= this.countMax;
  }

  /** The caller has seen that the row is not full. */
  push(value: Promise<Value>): void {
    // A failure is reported when its turn comes; until then it must not count as unhandled.
    value.catch(() => undefined);
    this.#underWay.push(value);
  }

  /** Waits for the oldest. @returns undefined when nothing is under way */
  async shift(): Promise<Value | undefined> {
    return await this.#underWay.shift();
  }
}
