/** Header blocks as we write them: without state, in the forms of RFC 7541 that need none. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { HeaderDecoder } from '#daemon/http2/header-decoding.js';
import { encodeHeaders } from '#daemon/http2/header-encoding.js';
import type { HeaderField } from '#daemon/http2/header-field.js';
import { remembered } from '#test/support/header-refusal.js';
import { indexed, literal, plain } from '#test/support/hpack-bytes.js';

describe('encodeHeaders', () => {
  it('names a field that the static table has whole', () => {
    assert.deepEqual(encodeHeaders([[':method', 'POST']]), indexed(3));
    assert.deepEqual(encodeHeaders([[':status', '200']]), indexed(8));
    assert.deepEqual(encodeHeaders([['accept-encoding', 'gzip, deflate']]), indexed(16));
  });

  it('names the first entry of a name that has another value', () => {
    const expected: readonly (readonly [HeaderField, number])[] = [
      [[':authority', 'node-1:7600'], 1],
      [[':method', 'PUT'], 2],
      [[':path', '/blkferry.storage.v1.Storage/Session'], 4],
      [[':status', '503'], 8],
      // From 15 on the index does not fit into the first octet.
      [['accept-charset', 'utf-8'], 15],
      [['content-type', 'application/grpc'], 31],
      [['www-authenticate', 'x'], 61],
    ];
    for (const [field, index] of expected)
      assert.deepEqual(encodeHeaders([field]), literal('0000', index, plain(field[1])));
  });

  it('writes out a name that the static table does not have', () => {
    const expected = literal('0000', plain('te'), plain('trailers'));
    assert.deepEqual(encodeHeaders([['te', 'trailers']]), expected);
    assert.deepEqual(encodeHeaders([['', '']]), literal('0000', plain(''), plain('')));
  });

  it('writes lengths of every form', () => {
    for (const length of [0, 1, 126, 127, 128, 254, 255, 256, 16_510, 16_511, 70_000]) {
      const text = 'x'.repeat(length);
      assert.deepEqual(encodeHeaders([['a', text]]), literal('0000', plain('a'), plain(text)));
      assert.deepEqual(encodeHeaders([[text, 'b']]), literal('0000', plain(text), plain('b')));
    }
  });

  it('keeps the order, and repeats what is there twice', () => {
    const cookie = literal('0000', 32, plain('a'));
    assert.deepEqual(
      encodeHeaders([
        ['cookie', 'a'],
        [':path', '/'],
        ['cookie', 'a'],
      ]),
      Buffer.concat([cookie, indexed(4), cookie]),
    );
    assert.deepEqual(encodeHeaders([]), Buffer.alloc(0));
  });

  it('takes every latin1 character, and no other', () => {
    const latin1 = Buffer.from(Array.from({ length: 256 }, (_, octet) => octet)).toString('latin1');
    const expected = literal('0000', plain(latin1), plain(latin1));
    assert.deepEqual(encodeHeaders([[latin1, latin1]]), expected);
    // U+010A would become a line end.
    assert.throws(() => encodeHeaders([['a', '\u010a']]), /not latin1/);
    assert.throws(() => encodeHeaders([['\u010a', 'a']]), /not latin1/);
  });

  it('is undone by the decoder, which remembers nothing of it', () => {
    const names = fc.constantFrom(':path', ':status', 'content-type', 'te', 'grpc-timeout', '');
    const text = fc.array(fc.nat(255), { maxLength: 300 }).map((octets) => {
      return Buffer.from(octets).toString('latin1');
    });
    const values = fc.oneof(fc.constantFrom('/', '200', '404', 'POST', ''), text);
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.oneof(names, text), values)), (fields) => {
        const decoder = new HeaderDecoder({ tableBytesMax: 4096, listBytesMax: 2 ** 20 });
        assert.deepEqual(decoder.decode(encodeHeaders(fields)), fields);
        assert.deepEqual(remembered(decoder), []);
      }),
      { numRuns: 500 },
    );
  });
});
