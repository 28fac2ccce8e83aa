/** Events for somebody who may not want any for now: they wait in order, and nothing overtakes them. */
export class KeptEvents {
  #isPaused = false;
  readonly #kept: (() => void)[] = [];
  /** So many of those were told; whoever is told of one may pause and resume meanwhile. */
  #told = 0;

  get isPaused(): boolean {
    return this.#isPaused;
  }

  pause(): void {
    this.#isPaused = true;
  }

  /** While paused. */
  keep(event: () => void): void {
    this.#kept.push(event);
  }

  /**
   * @param isOver nothing more is told
   * @returns whether all was told, and it is not paused again
   */
  resume(isOver: () => boolean): boolean {
    this.#isPaused = false;
    while (this.#told < this.#kept.length && !isOver()) {
      this.#kept[this.#told++]?.();
      // By whoever was told.
      if (this.isPaused) return false;
    }
    this.#kept.length = 0;
    this.#told = 0;
    return true;
  }
}
