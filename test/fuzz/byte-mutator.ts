/**
 * Changes bytes a little, as fuzzers do: bits, numbers that sit on borders, pieces left out, doubled, moved or
 * taken from other inputs, and operands of comparisons that have failed (coverage.ts). Repeatable from its seed.
 */
import type { SeededRandom } from '#test/simulation/seeded-random.js';

/** Most changes to one input at a time, as a power of two. */
const CHANGES_LOG2_MAX = 4;
/** Pieces that are doubled, left out or put in are short as a rule. */
const PIECE_BYTES_MAX = 64;

const BORDERS = [0, 1, 7, 8, 15, 16, 31, 32, 63, 64, 127, 128, 255, 256, 512, 1023, 4096].concat([
  0x7fff, 0x8000, 0xffff, 0x10000, 0x7fffffff, 0x80000000, 0xffffffff,
]);
const WIDE_BORDERS = [0n, 1n, 2n ** 32n, 2n ** 53n - 1n, 2n ** 53n, 2n ** 63n, 2n ** 64n - 1n];

export interface MutationSources {
  /** Texts and byte strings that the format knows. */
  readonly words: readonly Buffer[];
  /** Compared with something else lately. */
  readonly operands: readonly (number | string)[];
  /** Another input, to take pieces from. */
  readonly other: Buffer;
}

export class ByteMutator {
  constructor(
    readonly random: SeededRandom,
    readonly bytesMax: number,
  ) {}

  /** @returns a changed copy of at most `bytesMax` bytes */
  mutate(input: Buffer, sources: MutationSources): Buffer {
    let bytes: Buffer = Buffer.from(input);
    const changes = 2 ** this.random.between(0, CHANGES_LOG2_MAX);
    for (let change = 0; change < changes; change += 1) bytes = this.#change(bytes, sources);
    return bytes.subarray(0, this.bytesMax);
  }

  #change(bytes: Buffer, sources: MutationSources): Buffer {
    const { random } = this;
    const at = random.between(0, Math.max(0, bytes.length - 1));
    switch (random.between(0, 11)) {
      case 0:
        return set(bytes, at, (bytes[at] ?? 0) ^ (1 << random.between(0, 7)));
      case 1:
        return set(bytes, at, random.between(0, 255));
      case 2:
        return set(bytes, at, (bytes[at] ?? 0) + random.between(-16, 16));
      case 3:
        return this.#writeNumber(bytes, at, random.pick(BORDERS));
      case 4:
        return overwritten(bytes, at, wide(random.pick(WIDE_BORDERS), random.chance(0.5)));
      case 5:
        return spliced(bytes, at, this.#pieceBytes(), []);
      case 6:
        return spliced(bytes, at, 0, [this.#piece(bytes)]);
      case 7:
        return overwritten(bytes, at, this.#piece(bytes));
      case 8:
        return spliced(bytes, at, random.between(0, 8), [this.#piece(sources.other)]);
      case 9:
        return spliced(bytes, at, 0, [this.#randomBytes()]);
      case 10:
        return this.#withWord(bytes, at, sources.words);
      default:
        return this.#withOperand(bytes, at, sources.operands);
    }
  }

  #pieceBytes(): number {
    return this.random.chance(0.9)
      ? this.random.between(1, PIECE_BYTES_MAX)
      : this.random.between(1, this.bytesMax);
  }

  #piece(bytes: Buffer): Buffer {
    const from = this.random.between(0, Math.max(0, bytes.length - 1));
    return bytes.subarray(from, from + this.#pieceBytes());
  }

  #randomBytes(): Buffer {
    const length = this.random.between(1, 8);
    return Buffer.from(Array.from({ length }, () => this.random.between(0, 255)));
  }

  /** Over what is there, in one of the widths and byte orders that formats use. */
  #writeNumber(bytes: Buffer, at: number, value: number): Buffer {
    const big = this.random.chance(0.5);
    switch (this.random.between(0, 3)) {
      case 0:
        return set(bytes, at, value);
      case 1:
        return overwritten(bytes, at, narrow(value & 0xffff, 2, big));
      case 2:
        return overwritten(bytes, at, narrow(value, 4, big));
      default:
        return overwritten(bytes, at, wide(BigInt(Math.trunc(value)), big));
    }
  }

  #withWord(bytes: Buffer, at: number, words: readonly Buffer[]): Buffer {
    if (words.length === 0) return bytes;
    const word = this.random.pick(words);
    return this.random.chance(0.5)
      ? overwritten(bytes, at, word)
      : spliced(bytes, at, this.random.between(0, 8), [word]);
  }

  #withOperand(bytes: Buffer, at: number, operands: readonly (number | string)[]): Buffer {
    if (operands.length === 0) return bytes;
    const operand = this.random.pick(operands);
    if (typeof operand === 'string') return this.#withWord(bytes, at, [Buffer.from(operand)]);
    return Number.isSafeInteger(operand) ? this.#writeNumber(bytes, at, operand) : bytes;
  }
}

function set(bytes: Buffer, at: number, value: number): Buffer {
  if (at < bytes.length) bytes[at] = value;
  return bytes;
}

function narrow(value: number, widthBytes: 2 | 4, big: boolean): Buffer {
  const word = Buffer.alloc(widthBytes);
  if (big) word.writeUIntBE(value >>> 0, 0, widthBytes);
  else word.writeUIntLE(value >>> 0, 0, widthBytes);
  return word;
}

function wide(value: bigint, big: boolean): Buffer {
  const word = Buffer.alloc(8);
  if (big) word.writeBigUInt64BE(BigInt.asUintN(64, value));
  else word.writeBigUInt64LE(BigInt.asUintN(64, value));
  return word;
}

function overwritten(bytes: Buffer, at: number, piece: Buffer): Buffer {
  return Buffer.concat([bytes.subarray(0, at), piece, bytes.subarray(at + piece.length)]);
}

function spliced(bytes: Buffer, at: number, leftOut: number, pieces: readonly Buffer[]): Buffer {
  return Buffer.concat([bytes.subarray(0, at), ...pieces, bytes.subarray(at + leftOut)]);
}
