/**
 * HPACK once more, as naively as possible, so that tests do not take their expected bytes from the code they test.
 * What comes first in an octet is written as the RFC draws it, in ones and zeros.
 *
 *     literal('01', plain('te'), huffman('trailers'))      a new name, remembered
 *     literal('0000', 4, plain('/a'))                      the name of index 4, not remembered
 */
import { HUFFMAN_BITS } from './hpack-appendices.js';

/** Section 5.1, with its own words. @param pattern what the first octet has before the prefix */
export function integer(pattern: string, value: number): Buffer {
  const first = Number.parseInt(pattern.padEnd(8, '0'), 2);
  const prefixMax = 2 ** (8 - pattern.length) - 1;
  if (value < prefixMax) return Buffer.from([first + value]);
  return Buffer.concat([Buffer.from([first + prefixMax]), continuation(value - prefixMax)]);
}

function continuation(value: number): Buffer {
  if (value < 128) return Buffer.from([value]);
  const rest = continuation(Math.floor(value / 128));
  return Buffer.concat([Buffer.from([(value % 128) + 128]), rest]);
}

/** Section 5.2, without Huffman code. */
export function plain(text: string): Buffer {
  const bytes = Buffer.from(text, 'latin1');
  return Buffer.concat([integer('0', bytes.length), bytes]);
}

export function huffman(text: string): Buffer {
  const bytes = huffmanBytes([...Buffer.from(text, 'latin1')]);
  return Buffer.concat([integer('1', bytes.length), bytes]);
}

/** @param symbols octets, or 256 for EOS @param padding what follows them */
export function huffmanBytes(symbols: readonly number[], padding?: string): Buffer {
  const bits = symbols.map((symbol) => HUFFMAN_BITS[symbol]).join('');
  const padded = bits + (padding ?? '1'.repeat((8 - (bits.length % 8)) % 8));
  return Buffer.from((padded.match(/.{8}/g) ?? []).map((octet) => Number.parseInt(octet, 2)));
}

/** Section 6.1. */
export function indexed(index: number): Buffer {
  return integer('1', index);
}

/** Section 6.2. @param pattern '01' remembered, '0000' not, '0001' never @param name an index, or a string */
export function literal(
  pattern: '01' | '0000' | '0001',
  name: number | Buffer,
  value: Buffer,
): Buffer {
  return typeof name === 'number'
    ? Buffer.concat([integer(pattern, name), value])
    : Buffer.concat([integer(pattern, 0), name, value]);
}

/** Section 6.3. */
export function sizeUpdate(bytes: number): Buffer {
  return integer('001', bytes);
}
