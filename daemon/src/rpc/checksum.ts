/** CRC-32C of payloads on the storage wire (storage.proto, `Checksum`). */
import { crc32c } from '@node-rs/crc32';
import { entries, invalid, type Span } from './batch-columns.js';

export function checksumOf(parts: readonly Buffer[]): number {
  let checksum = 0;
  for (const part of parts) checksum = crc32c(part, checksum);
  return checksum;
}

/** The checksums of a batch, taken in order; everything fits while the column is absent. */
export class ChecksumColumn {
  readonly #count: number;
  #taken = 0;

  constructor(
    readonly bytes: Buffer,
    readonly column: Span,
  ) {
    this.#count = entries(column, 4);
  }

  /** Takes the next checksum: true if the payload fits it. */
  fits(payload: readonly Buffer[]): boolean {
    if (this.#count === 0) return true;
    if (this.#taken === this.#count) invalid('a batch holds fewer checksums than payloads');
    const expected = this.bytes.readUInt32LE(this.column.start + 4 * this.#taken);
    this.#taken += 1;
    return checksumOf(payload) === expected;
  }

  assertUsedUp(): void {
    if (this.#taken !== this.#count) invalid('a batch holds more checksums than payloads');
  }
}
