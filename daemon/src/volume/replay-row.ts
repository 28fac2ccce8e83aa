/**
 * What the replay log keeps, in the order of its sequences: added behind, dropped from the front, thousands of both
 * between two looks at anything in the middle.
 */
export interface Numbered {
  readonly sequence: number;
}

/** So many dropped ones are kept in place before the rest moves up. */
const DROPPED_MAX = 1024;

export class ReplayRow<Entry extends Numbered> {
  #entries: (Entry | undefined)[] = [];
  /** Of the first that is not dropped. */
  #first = 0;

  get count(): number {
    return this.#entries.length - this.#first;
  }

  /** @param entry with a higher sequence than all before */
  add(entry: Entry): void {
    this.#entries.push(entry);
  }

  get first(): Entry | undefined {
    return this.#entries[this.#first];
  }

  dropFirst(): void {
    this.#entries[this.#first] = undefined;
    this.#first += 1;
    if (this.#first === this.#entries.length) {
      this.#entries = [];
      this.#first = 0;
    } else if (this.#first >= DROPPED_MAX && this.#first * 2 > this.#entries.length) {
      this.#entries = this.#entries.slice(this.#first);
      this.#first = 0;
    }
  }

  find(sequence: number): Entry | undefined {
    const entry = this.#entries[this.#placeFrom(sequence)];
    return entry?.sequence === sequence ? entry : undefined;
  }

  /** @returns what was taken out */
  take(sequence: number): Entry | undefined {
    const place = this.#placeFrom(sequence);
    const entry = this.#entries[place];
    if (entry?.sequence !== sequence) return undefined;
    this.#entries.splice(place, 1);
    return entry;
  }

  /** Rising. */
  *from(sequence: number): Generator<Entry> {
    for (let place = this.#placeFrom(sequence); place < this.#entries.length; place += 1) {
      const entry = this.#entries[place];
      if (entry !== undefined) yield entry;
    }
  }

  /** Where the first one of at least this sequence is. */
  #placeFrom(sequence: number): number {
    let low = this.#first;
    let high = this.#entries.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#entries[middle]?.sequence ?? 0) < sequence) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
