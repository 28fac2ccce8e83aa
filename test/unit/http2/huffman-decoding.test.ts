/** Strings in Huffman code (RFC 7541, 5.2), held against the bits of appendix B put one behind the other. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { decodeHuffman } from '#daemon/http2/huffman-decoding.js';
import { broken } from '#test/support/header-refusal.js';
import { HUFFMAN_BITS } from '#test/support/hpack-appendices.js';
import { huffmanBytes } from '#test/support/hpack-bytes.js';

const EOS = 256;
const PADDING = /padding that is too long or not all ones/;

function decoded(bytes: Buffer): string {
  return decodeHuffman(bytes, 0, bytes.length);
}

function codes(text: string): number[] {
  return [...Buffer.from(text, 'latin1')];
}

describe('a string in Huffman code', () => {
  it('is what its bits say, whatever its octets', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(255)), (octets) => {
        assert.equal(decoded(huffmanBytes(octets)), Buffer.from(octets).toString('latin1'));
      }),
      { numRuns: 2000 },
    );
  });

  it('may be empty', () => {
    assert.equal(decoded(Buffer.alloc(0)), '');
  });

  it('reaches from start to before end, whatever is around it', () => {
    const bytes = Buffer.concat([
      Buffer.from([0x00]),
      huffmanBytes(codes('no-cache')),
      Buffer.from([0xff]),
    ]);
    assert.equal(decodeHuffman(bytes, 1, bytes.length - 1), 'no-cache');
    assert.throws(() => decodeHuffman(bytes, 1, bytes.length), broken(PADDING));
  });

  // 'o' has 5 bits, ':' 7, '&' 8, and 13 times 'o' have 65: what is left of the octet is padding.
  for (const [text, padding] of [
    ['o', '111'],
    [':', '1'],
    ['&', ''],
    ['o'.repeat(13), '1111111'],
  ] as const) {
    it(`may end with ${padding.length} ones after ${text}, and no other bits`, () => {
      assert.equal(decoded(huffmanBytes(codes(text), padding)), text);
      for (let value = 0; value < 2 ** padding.length - 1; value += 1) {
        const bits = value.toString(2).padStart(padding.length, '0');
        // Long enough they can be one more symbol and its own padding.
        const symbol = HUFFMAN_BITS.findIndex((code) => bits.startsWith(code));
        const isSymbol = symbol >= 0 && !bits.slice(HUFFMAN_BITS[symbol]?.length).includes('0');
        const decode = (): string => decoded(huffmanBytes(codes(text), bits));
        if (isSymbol) assert.equal(decode(), text + String.fromCharCode(symbol));
        else assert.throws(decode, broken(PADDING), bits);
      }
    });

    it(`may not go on with eight ones more after ${text}`, () => {
      const longer = huffmanBytes(codes(text), `${padding}11111111`);
      assert.throws(() => decoded(longer), broken(PADDING));
    });
  }

  it('is no string if it is only padding', () => {
    for (const bytes of [1, 2, 3])
      assert.throws(() => decoded(Buffer.alloc(bytes, 0xff)), broken(PADDING));
  });

  it('may not contain EOS', () => {
    const sentence = /contains the symbol for its end/;
    for (const symbols of [[EOS], [0x61, EOS], [EOS, 0x61], [0x61, EOS, 0x61]])
      assert.throws(() => decoded(huffmanBytes(symbols)), broken(sentence), symbols.join());
    // The code next to it is an octet's.
    assert.equal(HUFFMAN_BITS[EOS], '1'.repeat(30));
    assert.equal(decoded(huffmanBytes([22])), '\x16');
  });

  it('cut at any byte is shorter, or ends in the middle of a symbol', () => {
    const whole = '{"\\":^}' + '\x00\x09\x80\xff' + 'www.example.com';
    const bytes = huffmanBytes(codes(whole));
    for (let end = 0; end < bytes.length; end += 1) {
      try {
        const text = decodeHuffman(bytes, 0, end);
        assert.ok(whole.startsWith(text) && text !== whole);
      } catch (error) {
        broken(PADDING)(error);
      }
    }
  });
});
