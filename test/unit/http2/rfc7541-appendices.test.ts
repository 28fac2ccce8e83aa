/**
 * Everything that the appendices of RFC 7541 hold: the static table, the Huffman code, and the examples with the
 * dynamic table after each of them.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { HeaderBlockReader } from '#daemon/http2/header-block-reader.js';
import { HeaderDecoder } from '#daemon/http2/header-decoding.js';
import { encodeHeaders } from '#daemon/http2/header-encoding.js';
import { Http2Error } from '#daemon/http2/http2-error.js';
import { decodeHuffman } from '#daemon/http2/huffman-decoding.js';
import { remembered } from '#test/support/header-refusal.js';
import {
  EXAMPLES,
  HUFFMAN_BITS,
  STATIC_TABLE,
  type HpackExample,
} from '#test/support/hpack-appendices.js';
import { huffmanBytes, indexed, integer } from '#test/support/hpack-bytes.js';

describe('appendix A', () => {
  it('is what indices 1 to 61 name', () => {
    const decoder = new HeaderDecoder({ tableBytesMax: 4096, listBytesMax: 4096 });
    assert.equal(STATIC_TABLE.length, 61);
    const block = Buffer.concat(STATIC_TABLE.map((_, index) => indexed(index + 1)));
    assert.deepEqual(decoder.decode(block), STATIC_TABLE);
  });

  it('is used whole by the encoder', () => {
    STATIC_TABLE.forEach((field, index) => {
      assert.deepEqual(encodeHeaders([field]), indexed(index + 1));
    });
  });
});

describe('appendix B', () => {
  it('is the code of every octet, alone and twice', () => {
    assert.equal(HUFFMAN_BITS.length, 257);
    for (let octet = 0; octet < 256; octet += 1) {
      for (const symbols of [[octet], [octet, octet]]) {
        const bytes = huffmanBytes(symbols);
        const text = Buffer.from(symbols).toString('latin1');
        assert.equal(decodeHuffman(bytes, 0, bytes.length), text, `octet ${octet}`);
      }
    }
  });
});

describe('appendix C.1', () => {
  for (const [section, value, prefixBits, bytes] of [
    ['C.1.1', 10, 5, [0b01010]],
    ['C.1.2', 1337, 5, [0b11111, 0b10011010, 0b00001010]],
    ['C.1.3', 42, 8, [0b00101010]],
  ] as const) {
    it(`${section}: ${value} with a prefix of ${prefixBits} bits`, () => {
      assert.deepEqual(integer('0'.repeat(8 - prefixBits), value), Buffer.from(bytes));
      for (const before of prefixBits === 8 ? [0] : [0, 0b1110_0000]) {
        const reader = new HeaderBlockReader(Buffer.from([bytes[0] | before, ...bytes.slice(1)]));
        assert.equal(reader.integer(prefixBits), value);
        assert.ok(reader.isAtEnd);
      }
    });
  }
});

/** "The HTTP/2 setting parameter SETTINGS_HEADER_TABLE_SIZE is set to the value of 256 octets." */
const SMALL_TABLES = ['5', '6'];

for (const group of ['2', '3', '4', '5', '6']) {
  const examples = EXAMPLES.filter(({ section }) => section.startsWith(`${group}.`));
  const limits = { tableBytesMax: SMALL_TABLES.includes(group) ? 256 : 4096, listBytesMax: 400 };

  describe(`appendix C.${group}`, () => {
    // Those of C.2 are independent of each other.
    const common = new HeaderDecoder(limits);
    const decoderOf = (): HeaderDecoder => (group === '2' ? new HeaderDecoder(limits) : common);

    it('is there', () => {
      assert.equal(examples.length, group === '2' ? 4 : 3);
    });

    for (const example of examples) {
      it(`C.${example.section}`, () => {
        const decoder = decoderOf();
        assert.deepEqual(decoder.decode(example.block), example.fields);
        assert.deepEqual(remembered(decoder), example.entries);
        assert.equal(sizeOf(example.entries), example.tableBytes);
      });
    }

    it('cut at any byte is refused, or was cut between two fields', () => {
      for (const [index, example] of examples.entries()) {
        for (let bytes = 0; bytes < example.block.length; bytes += 1) {
          const decoder = new HeaderDecoder(limits);
          if (group !== '2')
            for (const earlier of examples.slice(0, index)) decoder.decode(earlier.block);
          assertBeginning(decoder, example, bytes);
        }
      }
    });
  });
}

function assertBeginning(decoder: HeaderDecoder, example: HpackExample, bytes: number): void {
  try {
    const fields = decoder.decode(example.block.subarray(0, bytes));
    assert.ok(fields.length < example.fields.length);
    assert.deepEqual(fields, example.fields.slice(0, fields.length));
  } catch (error) {
    assert.ok(error instanceof Http2Error, String(error));
    assert.equal(error.code, 'COMPRESSION_ERROR');
  }
}

/** RFC 7541, 4.1. */
function sizeOf(entries: readonly (readonly [string, string])[]): number {
  return entries.reduce((sum, [name, value]) => sum + name.length + value.length + 32, 0);
}
