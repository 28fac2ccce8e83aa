/**
 * Walks a header block from front to back: the integers and strings of RFC 7541, section 5. Everything is checked
 * against the block's end. What they mean is header-decoding.ts.
 */
import { Http2Error } from './http2-error.js';
import { decodeHuffman } from './huffman-decoding.js';

/** Our limit, which 5.1 asks for: above every length and index that there can be, and exact as a number. */
const INTEGER_MAX = 2 ** 32 - 1;
/** Octets behind the prefix: 5 times 7 bits hold 32. */
const CONTINUATION_BITS_MAX = 35;

const STRING_LENGTH_BITS = 7;
const IS_HUFFMAN = 0x80;

export class HeaderBlockReader {
  #at = 0;

  /** @param block is not changed while it is read; strings are copies */
  constructor(readonly block: Buffer) {}

  get isAtEnd(): boolean {
    return this.#at >= this.block.length;
  }

  /** The next octet, which stays where it is. @throws Http2Error COMPRESSION_ERROR at the end */
  peek(): number {
    const byte = this.block[this.#at];
    if (byte === undefined) throw broken('ends inside a field');
    return byte;
  }

  /**
   * @param prefixBits 1 to 8: so many bits of the next octet begin it, those before mean something else
   * @throws Http2Error COMPRESSION_ERROR above 32 bits, also if only its form is so long, and at the end
   */
  integer(prefixBits: number): number {
    const prefixMax = 2 ** prefixBits - 1;
    let value = this.#byte() & prefixMax;
    if (value < prefixMax) return value;
    for (let shift = 0; shift < CONTINUATION_BITS_MAX; shift += 7) {
      const byte = this.#byte();
      value += (byte & 0x7f) * 2 ** shift;
      if (byte >= 0x80) continue;
      if (value <= INTEGER_MAX) return value;
      break;
    }
    throw broken('holds a number above 32 bits');
  }

  /** As latin1. @throws Http2Error COMPRESSION_ERROR */
  string(): string {
    const isHuffman = (this.peek() & IS_HUFFMAN) !== 0;
    const lengthBytes = this.integer(STRING_LENGTH_BITS);
    const start = this.#at;
    if (lengthBytes > this.block.length - start) throw broken('ends inside a string');
    this.#at = start + lengthBytes;
    return isHuffman
      ? decodeHuffman(this.block, start, this.#at)
      : this.block.toString('latin1', start, this.#at);
  }

  #byte(): number {
    const byte = this.peek();
    this.#at += 1;
    return byte;
  }
}

function broken(how: string): Http2Error {
  return new Http2Error('COMPRESSION_ERROR', `a header block ${how}`);
}
