/** The dynamic table of RFC 7541, 2.3.2 and 4: fields the peer wants remembered, the oldest leave first. */
import { fieldBytes, type HeaderField } from './header-field.js';

export class DynamicHeaders {
  /** The oldest first. Each counts at least 32 bytes, so 4096 bytes are 128 of them at most. */
  readonly #fields: HeaderField[] = [];
  #bytes = 0;
  #bytesMax: number;

  /** @param bytesMax the size of 4.1, which is not memory */
  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** @param age 0 is the field added last @returns undefined if there is none so old */
  at(age: number): HeaderField | undefined {
    return this.#fields[this.#fields.length - 1 - age];
  }

  /** One larger than the whole table empties it and is not kept, which is no error (4.4). */
  add(field: HeaderField): void {
    const bytes = fieldBytes(field);
    this.#evictDownTo(this.#bytesMax - bytes);
    if (bytes > this.#bytesMax) return;
    this.#fields.push(field);
    this.#bytes += bytes;
  }

  resize(bytesMax: number): void {
    this.#bytesMax = bytesMax;
    this.#evictDownTo(bytesMax);
  }

  #evictDownTo(bytes: number): void {
    while (this.#bytes > bytes) {
      const oldest = this.#fields.shift();
      if (oldest === undefined) return;
      this.#bytes -= fieldBytes(oldest);
    }
  }
}
