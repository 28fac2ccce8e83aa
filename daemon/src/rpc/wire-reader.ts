/**
 * Walks the fields of one protobuf message without copying: the caller asks for tags and reads or skips
 * the values. Everything is checked against the message's end.
 */
import { StorageError } from './storage-error.js';
import { TWO_32 } from './uint64.js';

export const WIRE_TYPE = { VARINT: 0, FIXED64: 1, BYTES: 2, FIXED32: 5 } as const;

export class WireReader {
  constructor(
    readonly bytes: Buffer,
    /** Where the next field begins. */
    public at: number,
    readonly end: number,
  ) {}

  /** The next field's number and wire type as one number (number * 8 + type), or 0 at the end. */
  tag(): number {
    if (this.at === this.end) return 0;
    const tag = this.varint();
    return tag >>> 3 === 0 ? this.#fail('holds field number 0') : tag;
  }

  /** A varint of at most 32 bits: tags and lengths. */
  varint(): number {
    let value = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      const byte =
        this.at < this.end ? (this.bytes[this.at] ?? 0) : this.#fail('ends inside a number');
      this.at += 1;
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80)
        return value < TWO_32 ? value : this.#fail('holds a tag or length above 32 bits');
    }
    return this.#fail('holds a tag or length above 32 bits');
  }

  /** The length of a BYTES field; afterwards `at` is at its first byte, and its last is inside. */
  length(): number {
    const lengthBytes = this.varint();
    if (lengthBytes > this.end - this.at) this.#fail('ends inside a field');
    return lengthBytes;
  }

  skip(wireType: number): void {
    switch (wireType) {
      case WIRE_TYPE.VARINT:
        // Up to ten bytes, whatever they say.
        for (let count = 0; count < 10; count += 1) {
          const byte =
            this.at < this.end ? (this.bytes[this.at] ?? 0) : this.#fail('ends inside a number');
          this.at += 1;
          if (byte < 0x80) return;
        }
        return this.#fail('holds a number of more than ten bytes');
      case WIRE_TYPE.FIXED64:
        return this.#advance(8);
      case WIRE_TYPE.FIXED32:
        return this.#advance(4);
      case WIRE_TYPE.BYTES:
        return this.#advance(this.length());
      default:
        return this.#fail(`holds wire type ${wireType}`);
    }
  }

  #advance(bytes: number): void {
    if (bytes > this.end - this.at) this.#fail('ends inside a field');
    this.at += bytes;
  }

  #fail(what: string): never {
    throw new StorageError('invalid', `a frame ${what}`);
  }
}

/** A fixed64 of the wire as a number. @throws StorageError 'invalid' above 2^53 - 1 */
export function readFixed64(bytes: Buffer, at: number): number {
  const high = bytes.readUInt32LE(at + 4);
  const value = high * TWO_32 + bytes.readUInt32LE(at);
  if (high >= 0x20_0000)
    throw new StorageError('invalid', `a frame holds ${value}, beyond 2^53 - 1`);
  return value;
}

export function writeFixed64(target: Buffer, value: number, at: number): number {
  if (value < TWO_32) {
    target.writeUInt32LE(value, at);
    return target.writeUInt32LE(0, at + 4);
  }
  target.writeUInt32LE(value % TWO_32, at);
  return target.writeUInt32LE(Math.floor(value / TWO_32), at + 4);
}

export function varintBytes(value: number): number {
  let bytes = 1;
  for (let rest = value; rest >= 128; rest = Math.floor(rest / 128)) bytes += 1;
  return bytes;
}

/** @returns the position behind it */
export function writeVarint(target: Buffer, value: number, at: number): number {
  let rest = value;
  let end = at;
  while (rest >= 128) {
    target[end] = (rest % 128) + 128;
    rest = Math.floor(rest / 128);
    end += 1;
  }
  target[end] = rest;
  return end + 1;
}
