/**
 * What the decoder remembers and for how long (RFC 7541, 4), and the limits of one list (RFC 9113, 6.5.2). The table
 * is looked at from outside, index by index.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { HeaderDecoder } from '#daemon/http2/header-decoding.js';
import { broken, remembered } from '#test/support/header-refusal.js';
import { huffman, indexed, literal, plain, sizeUpdate } from '#test/support/hpack-bytes.js';

const LIST_BYTES_MAX = 16_384;

function decoder(tableBytesMax: number, listBytesMax = LIST_BYTES_MAX): HeaderDecoder {
  return new HeaderDecoder({ tableBytesMax, listBytesMax });
}

/** Counts 64 in every table and list: 32, its name and its value. */
function entry(name: string): [string, string] {
  return [name, 'v'.repeat(32 - name.length)];
}

function remember(name: string): Buffer {
  return literal('01', plain(name), plain(entry(name)[1]));
}

function all(...names: readonly string[]): [string, string][] {
  return names.map(entry);
}

describe('the dynamic table', () => {
  it('loses its oldest entries when one more does not fit', () => {
    const one = decoder(192);
    one.decode(Buffer.concat(['a', 'b', 'c'].map(remember)));
    assert.deepEqual(remembered(one), all('c', 'b', 'a'));
    one.decode(remember('d'));
    assert.deepEqual(remembered(one), all('d', 'c', 'b'));
    // 65 bytes need the place of two.
    one.decode(literal('01', plain('e'), plain('v'.repeat(32))));
    assert.deepEqual(remembered(one), [['e', 'v'.repeat(32)], entry('d')]);
  });

  it('may be filled by one entry, and is emptied by one that is larger', () => {
    const value = 'v'.repeat(192 - 32 - 1);
    const one = decoder(192);
    one.decode(remember('a'));
    one.decode(literal('01', plain('b'), plain(value)));
    assert.deepEqual(remembered(one), [['b', value]]);
    assert.deepEqual(one.decode(literal('01', plain('c'), plain(`${value}v`))), [
      ['c', `${value}v`],
    ]);
    assert.deepEqual(remembered(one), []);
  });

  it('counts octets, not those of the Huffman code', () => {
    const one = decoder(64);
    one.decode(literal('01', huffman('a'), huffman('0'.repeat(31))));
    assert.deepEqual(remembered(one), [['a', '0'.repeat(31)]]);
    one.decode(literal('01', huffman('a'), huffman('0'.repeat(32))));
    assert.deepEqual(remembered(one), []);
  });

  it('gives its name to the entry for which it is forgotten', () => {
    const one = decoder(64);
    one.decode(remember('a'));
    assert.deepEqual(one.decode(literal('01', 62, plain('x'))), [['a', 'x']]);
    assert.deepEqual(remembered(one), [['a', 'x']]);
  });

  it('may hold the same entry twice', () => {
    const one = decoder(192);
    one.decode(Buffer.concat([remember('a'), remember('a')]));
    assert.deepEqual(remembered(one), all('a', 'a'));
  });

  it('may be of no size', () => {
    const one = decoder(0);
    assert.deepEqual(one.decode(remember('a')), all('a'));
    assert.deepEqual(remembered(one), []);
    assert.deepEqual(one.decode(sizeUpdate(0)), []);
    assert.throws(() => one.decode(sizeUpdate(1)), broken(/more than 0 are not allowed/));
  });

  it('has 4096 bytes until the peer asks for more', () => {
    const many = Array.from({ length: 100 }, (_, index) => `n${index}`);
    const block = Buffer.concat(many.map(remember));
    const one = decoder(8192);
    one.decode(block);
    assert.equal(remembered(one).length, 4096 / 64);
    one.decode(Buffer.concat([sizeUpdate(6400), block]));
    assert.equal(remembered(one).length, 100);
    one.decode(remember('a'));
    assert.deepEqual(remembered(one), all('a', ...many.slice(1).reverse()));
  });
});

describe('a change of the size of the table', () => {
  it('leaves the newest entries that still fit', () => {
    const one = decoder(192);
    one.decode(Buffer.concat(['a', 'b', 'c'].map(remember)));
    assert.deepEqual(one.decode(sizeUpdate(128)), []);
    assert.deepEqual(remembered(one), all('c', 'b'));
    one.decode(sizeUpdate(127));
    assert.deepEqual(remembered(one), all('c'));
    one.decode(Buffer.concat([sizeUpdate(192), remember('d'), remember('e')]));
    assert.deepEqual(remembered(one), all('e', 'd', 'c'));
  });

  it('to nothing and back forgets everything', () => {
    const one = decoder(192);
    one.decode(remember('a'));
    const changed = Buffer.concat([sizeUpdate(0), sizeUpdate(192)]);
    assert.throws(
      () => one.decode(Buffer.concat([changed, indexed(62)])),
      broken(/names field 62/),
    );
    assert.deepEqual(one.decode(Buffer.concat([changed, remember('b'), indexed(62)])), [
      ...all('b', 'b'),
    ]);
  });

  it('goes up to what was announced', () => {
    for (const bytesMax of [30, 31, 4096, 65_536]) {
      assert.deepEqual(decoder(bytesMax).decode(sizeUpdate(bytesMax)), []);
      assert.throws(
        () => decoder(bytesMax).decode(sizeUpdate(bytesMax + 1)),
        broken(new RegExp(`${bytesMax + 1} bytes, more than ${bytesMax} are not allowed`)),
      );
    }
    assert.throws(() => decoder(4096).decode(sizeUpdate(2 ** 32 - 1)), broken(/not allowed/));
    assert.throws(() => decoder(4096).decode(sizeUpdate(2 ** 32)), broken(/above 32 bits/));
  });

  it('comes at most twice, and only before the first field', () => {
    const update = sizeUpdate(100);
    assert.deepEqual(decoder(192).decode(Buffer.concat([update, update, indexed(2)])), [
      [':method', 'GET'],
    ]);
    assert.throws(
      () => decoder(192).decode(Buffer.concat([update, update, update])),
      broken(/more than 2 times/),
    );
    for (const before of [[indexed(2)], [update, indexed(2)], [remember('a')]])
      assert.throws(
        () => decoder(192).decode(Buffer.concat([...before, update])),
        broken(/behind a field/),
      );
  });
});

describe('the list of a block', () => {
  const refused = broken(/header list is longer than \d+ bytes/, 'ENHANCE_YOUR_CALM');

  it('may be as long as announced, and not one byte longer', () => {
    for (const block of [
      Buffer.concat([remember('a'), remember('b')]),
      Buffer.concat([remember('a'), indexed(62)]),
      Buffer.concat([indexed(2), indexed(1), literal('0000', plain('c'), plain('12345'))]),
    ]) {
      const fields = decoder(4096).decode(block);
      const listBytes = fields.reduce((sum, field) => sum + field.join('').length + 32, 0);
      assert.equal(decoder(4096, listBytes).decode(block).length, fields.length);
      assert.throws(() => decoder(4096, listBytes - 1).decode(block), refused);
    }
  });

  it('is counted anew for each block', () => {
    const one = decoder(4096, 64);
    for (const name of ['a', 'b', 'c']) assert.deepEqual(one.decode(remember(name)), all(name));
    assert.deepEqual(remembered(one), all('c', 'b', 'a'));
  });

  it('does not grow when a small block names a large entry again and again', () => {
    const one = decoder(4096);
    one.decode(literal('01', plain('a'), plain('x'.repeat(4000))));
    assert.equal(one.decode(Buffer.concat(new Array<Buffer>(4).fill(indexed(62)))).length, 4);
    // A million of them would be 4 GB; the first five end it.
    const bomb = Buffer.alloc(1_000_000, indexed(62));
    assert.throws(() => one.decode(bomb), refused);
  });

  it('counts empty fields too', () => {
    const empty = literal('0000', plain(''), plain(''));
    assert.equal(decoder(0, 320).decode(Buffer.alloc(30, empty)).length, 10);
    assert.throws(() => decoder(0, 320).decode(Buffer.alloc(33, empty)), refused);
  });
});
