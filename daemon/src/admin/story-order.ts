/** Stories about one export name happen one after the other; those about different names side by side. */
export class StoryOrder {
  readonly #last = new Map<string, Promise<unknown>>();

  /** Names with a story under way. */
  names(): string[] {
    return [...this.#last.keys()];
  }

  async run<Value>(exportName: string, work: () => Promise<Value>): Promise<Value> {
    const before = this.#last.get(exportName) ?? Promise.resolve();
    const mine = before.then(work, work);
    this.#last.set(exportName, mine);
    try {
      return await mine;
    } finally {
      if (this.#last.get(exportName) === mine) this.#last.delete(exportName);
    }
  }
}
