/**
 * Header fields into a header block (RFC 7541, section 6) in the plainest way: what the static table has is named,
 * the rest is literal and not remembered. There is no dynamic table, so no state and nothing that the peer's
 * settings could change, and no Huffman code: our fields are few and short, and sent once per connection.
 */
import assert from 'node:assert/strict';
import type { HeaderField } from './header-field.js';
import { STATIC_HEADERS } from './static-headers.js';

/** First octets of 6.1 (indexed), 6.2.2 (literal without indexing) and 5.2 (string without Huffman code). */
const INDEXED = { pattern: 0x80, prefixBits: 7 };
const LITERAL = { pattern: 0x00, prefixBits: 4 };
const PLAIN_STRING = { pattern: 0x00, prefixBits: 7 };

/**
 * Encodes one block.
 *
 * @param fields latin1 only, checked by the caller to be what HTTP allows: names in small letters, no line ends.
 *   Pseudo-header fields come first.
 */
export function encodeHeaders(fields: readonly HeaderField[]): Buffer {
  return Buffer.concat(fields.flatMap(encodeField));
}

function encodeField([name, value]: HeaderField): Buffer[] {
  const index = staticIndex((field) => field[0] === name && field[1] === value);
  if (index > 0) return [encodeInteger(INDEXED, index)];
  const nameIndex = staticIndex((field) => field[0] === name);
  return [
    encodeInteger(LITERAL, nameIndex),
    ...(nameIndex > 0 ? [] : encodeString(name)),
    ...encodeString(value),
  ];
}

/** @returns the first one's index, or 0, which on the wire stands for none */
function staticIndex(fits: (field: HeaderField) => boolean): number {
  return STATIC_HEADERS.findIndex(fits) + 1;
}

function encodeString(text: string): Buffer[] {
  const bytes = Buffer.from(text, 'latin1');
  // A character above would lose its upper half, and could become the end of a line.
  assert(bytes.toString('latin1') === text, 'a header field is not latin1');
  return [encodeInteger(PLAIN_STRING, bytes.length), bytes];
}

/** RFC 7541, 5.1. */
function encodeInteger(first: { pattern: number; prefixBits: number }, value: number): Buffer {
  const prefixMax = 2 ** first.prefixBits - 1;
  if (value < prefixMax) return Buffer.from([first.pattern | value]);
  const bytes = [first.pattern | prefixMax];
  let rest = value - prefixMax;
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push(128 + (rest % 128));
  return Buffer.from([...bytes, rest]);
}
