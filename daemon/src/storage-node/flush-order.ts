/**
 * Which flushes may start. A flush covers every earlier request of its session (storage.proto, contract 1),
 * but a device promises only to cover what has completed. So a flush waits for the changes that were
 * started before it and are still running; later ones need not wait for the flush. With a backend that
 * writes at once nothing ever waits here but a flush behind a FUA write.
 *
 *     write write FLUSH write FLUSH         running: [2, 1, 0]
 *     `---0-----'       `-1-'        2      waiting: two flushes, each behind its section
 */

const NONE: readonly never[] = [];

export class FlushOrder<Flush> {
  /** Changes under way by section: before the first waiting flush, before the second, ..., after the last. */
  readonly #running = [0];
  readonly #waiting: Flush[] = [];
  /** Number of the section that #running begins with. */
  #firstSection = 0;

  /** @returns the section that the change belongs to, for `changeEnded` */
  changeStarted(): number {
    const last = this.#running.length - 1;
    this.#running[last] = (this.#running[last] ?? 0) + 1;
    return this.#firstSection + last;
  }

  /** @returns the flushes that may start now, in order */
  changeEnded(section: number): readonly Flush[] {
    const index = section - this.#firstSection;
    this.#running[index] = (this.#running[index] ?? 0) - 1;
    if (this.#waiting.length === 0 || index > 0) return NONE;
    const ready: Flush[] = [];
    // The section after the last waiting flush has nobody to set free.
    while (this.#waiting.length > 0 && this.#running.at(0) === 0) {
      ready.push(...this.#waiting.splice(0, 1));
      this.#running.shift();
      this.#firstSection += 1;
    }
    return ready;
  }

  /** @returns true if the flush may start at once; otherwise `changeEnded` gives it back later */
  arrived(flush: Flush): boolean {
    if (this.#waiting.length === 0 && this.#running[0] === 0) return true;
    this.#waiting.push(flush);
    this.#running.push(0);
    return false;
  }
}
