/** Header blocks of every form, each beside its refused neighbour: RFC 7541, sections 2 to 6, and our limits. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { HeaderBlockReader } from '#daemon/http2/header-block-reader.js';
import { HeaderDecoder } from '#daemon/http2/header-decoding.js';
import { Http2Error } from '#daemon/http2/http2-error.js';
import { broken, remembered } from '#test/support/header-refusal.js';
import {
  huffman,
  huffmanBytes,
  indexed,
  integer,
  literal,
  plain,
  sizeUpdate,
} from '#test/support/hpack-bytes.js';

const LIMITS = { tableBytesMax: 4096, listBytesMax: 16_384 };

function decoder(limits: Partial<typeof LIMITS> = {}): HeaderDecoder {
  return new HeaderDecoder({ ...LIMITS, ...limits });
}

/** Counts 64 in every table and list: 32, its name and its value. */
function remember(name: string): Buffer {
  return literal('01', plain(name), plain('v'.repeat(32 - name.length)));
}

function entry(name: string): [string, string] {
  return [name, 'v'.repeat(32 - name.length)];
}

describe('a field', () => {
  it('is remembered only with the pattern 01', () => {
    for (const [pattern, count] of [
      ['01', 1],
      ['0000', 0],
      ['0001', 0],
    ] as const) {
      for (const block of [
        literal(pattern, plain('te'), plain('trailers')),
        literal(pattern, plain('te'), huffman('trailers')),
        literal(pattern, huffman('te'), plain('trailers')),
        literal(pattern, huffman('te'), huffman('trailers')),
      ]) {
        const one = decoder();
        assert.deepEqual(one.decode(block), [['te', 'trailers']]);
        assert.deepEqual(remembered(one), new Array(count).fill(['te', 'trailers']));
      }
      const named = decoder();
      assert.deepEqual(named.decode(literal(pattern, 58, plain('x'))), [['user-agent', 'x']]);
      assert.equal(remembered(named).length, count);
    }
  });

  it('takes its name from the dynamic table too', () => {
    const one = decoder();
    one.decode(remember('a'));
    for (const pattern of ['0000', '0001', '01'] as const)
      assert.deepEqual(one.decode(literal(pattern, 62, plain('x'))), [['a', 'x']]);
    assert.deepEqual(remembered(one), [['a', 'x'], entry('a')]);
  });

  it('has the index of an entry that is there', () => {
    const one = decoder();
    one.decode(Buffer.concat([remember('a'), remember('b')]));
    assert.deepEqual(one.decode(Buffer.concat([indexed(61), indexed(62), indexed(63)])), [
      ['www-authenticate', ''],
      entry('b'),
      entry('a'),
    ]);
    for (const index of [64, 65, 125, 126, 127, 128, 2 ** 31, 2 ** 32 - 1]) {
      const sentence = new RegExp(`names field ${index} of its tables, which is not there`);
      assert.throws(() => one.decode(indexed(index)), broken(sentence));
      assert.throws(() => one.decode(literal('01', index, plain('x'))), broken(sentence));
      assert.throws(() => one.decode(literal('0000', index, plain('x'))), broken(sentence));
    }
    assert.throws(() => decoder().decode(indexed(62)), broken(/names field 62/));
  });

  it('has never the index 0', () => {
    assert.deepEqual(decoder().decode(indexed(1)), [[':authority', '']]);
    assert.throws(() => decoder().decode(indexed(0)), broken(/names field 0/));
  });

  it('is latin1, with whatever octets', () => {
    const octets = Buffer.from(Array.from({ length: 256 }, (_, octet) => octet)).toString('latin1');
    assert.deepEqual(decoder().decode(literal('0000', plain(octets), huffman(octets))), [
      [octets, octets],
    ]);
    assert.deepEqual(decoder().decode(literal('0000', plain(''), huffman(''))), [['', '']]);
  });
});

describe('a block', () => {
  /** Every form, with integers of more than one octet. */
  const parts = [
    sizeUpdate(0),
    sizeUpdate(2000),
    indexed(2),
    remember('a'),
    literal('01', huffman('custom-key'), huffman('custom-value')),
    indexed(63),
    literal('0000', 63, plain('x'.repeat(200))),
    literal('0001', huffman('b'.repeat(300)), plain('secret')),
    indexed(62),
  ];
  const block = Buffer.concat(parts);
  const fields = [
    [':method', 'GET'],
    entry('a'),
    ['custom-key', 'custom-value'],
    entry('a'),
    ['a', 'x'.repeat(200)],
    ['b'.repeat(300), 'secret'],
    ['custom-key', 'custom-value'],
  ];

  it('may have every form of field', () => {
    assert.deepEqual(decoder().decode(block), fields);
  });

  it('cut at any byte that is not between two fields is refused', () => {
    const ends = new Map<number, number>();
    parts.reduce((end, part, index) => {
      ends.set(end, index);
      return end + part.length;
    }, 0);
    for (let bytes = 0; bytes < block.length; bytes += 1) {
      const count = ends.get(bytes);
      const cut = block.subarray(0, bytes);
      if (count === undefined)
        assert.throws(() => decoder().decode(cut), broken(/ends inside a (field|string)/));
      else assert.deepEqual(decoder().decode(cut), fields.slice(0, Math.max(0, count - 2)));
    }
  });

  it('may be empty', () => {
    assert.deepEqual(decoder().decode(Buffer.alloc(0)), []);
  });

  it('is copied: its bytes may be used for something else afterwards', () => {
    const bytes = Buffer.from(remember('a'));
    const one = decoder();
    const decoded = one.decode(bytes);
    bytes.fill(0xff);
    assert.deepEqual(decoded, [entry('a')]);
    assert.deepEqual(remembered(one), [entry('a')]);
  });

  it('is refused for a Huffman string that is none', () => {
    const coded = (bytes: Buffer): Buffer =>
      literal('0000', plain('a'), Buffer.concat([integer('1', bytes.length), bytes]));
    assert.deepEqual(decoder().decode(coded(huffmanBytes([0x62]))), [['a', 'b']]);
    assert.throws(() => decoder().decode(coded(huffmanBytes([256]))), broken(/its end/));
    assert.throws(() => decoder().decode(coded(Buffer.from([0xff]))), broken(/padding/));
  });

  it('never does anything but that, whatever its bytes', () => {
    const onlyHttp2Errors = (one: HeaderDecoder, bytes: Buffer): void => {
      try {
        one.decode(bytes);
      } catch (error) {
        assert.ok(error instanceof Http2Error, String(error));
      }
    };
    for (let at = 0; at < block.length; at += 1) {
      for (const value of [0, 0x1f, 0x3f, 0x7f, 0x80, 0xff]) {
        const changed = Buffer.from(block);
        changed[at] = value;
        onlyHttp2Errors(decoder(), changed);
      }
    }
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 100 }), { maxLength: 5 }), (blocks) => {
        const one = decoder({ listBytesMax: 300 });
        for (const bytes of blocks) onlyHttp2Errors(one, Buffer.from(bytes));
      }),
      { numRuns: 2000 },
    );
  });
});

describe('an integer', () => {
  function read(prefixBits: number, ...bytes: number[]): number {
    return new HeaderBlockReader(Buffer.from(bytes)).integer(prefixBits);
  }

  it('has up to 32 bits, with every prefix', () => {
    for (let prefixBits = 1; prefixBits <= 8; prefixBits += 1) {
      const pattern = '0'.repeat(8 - prefixBits);
      const prefixMax = 2 ** prefixBits - 1;
      for (const value of [0, 1, prefixMax - 1, prefixMax, prefixMax + 127, prefixMax + 128])
        assert.equal(read(prefixBits, ...integer(pattern, value)), value);
      assert.equal(read(prefixBits, ...integer(pattern, 2 ** 32 - 1)), 2 ** 32 - 1);
      for (const value of [2 ** 32, 2 ** 35 - 1, 2 ** 35 + prefixMax, 2 ** 52])
        assert.throws(() => read(prefixBits, ...integer(pattern, value)), broken(/above 32 bits/));
    }
  });

  it('may be longer than it needs, up to five octets behind the prefix', () => {
    assert.equal(read(5, 31, 0x80, 0), 31);
    assert.equal(read(5, 31, 0x81, 0x80, 0x80, 0x80, 0), 32);
    const longer = [31, 0x81, 0x80, 0x80, 0x80, 0x80, 0];
    assert.throws(() => read(5, ...longer), broken(/above 32 bits/));
  });

  it('ends inside the block', () => {
    for (const bytes of [[], [31], [31, 0x80], [31, 0x80, 0x80, 0x80, 0x80]])
      assert.throws(() => read(5, ...bytes), broken(/ends inside a field/));
  });
});

describe('the length of a string', () => {
  it('may reach to the end of the block, and not one octet further', () => {
    for (const lengthBytes of [0, 1, 126, 127, 300]) {
      for (const pattern of ['0', '1']) {
        const text = pattern === '0' ? Buffer.alloc(lengthBytes) : zeros(lengthBytes);
        const bytes = (stated: number): Buffer =>
          literal('0000', plain('a'), Buffer.concat([integer(pattern, stated), text]));
        assert.equal(decoder().decode(bytes(lengthBytes)).length, 1);
        assert.throws(
          () => decoder().decode(bytes(lengthBytes + 1)),
          broken(/ends inside a string/),
        );
      }
    }
    const huge = Buffer.concat([integer('0', 2 ** 32 - 1), Buffer.alloc(10)]);
    assert.throws(
      () => decoder().decode(literal('0000', plain('a'), huge)),
      broken(/ends inside a string/),
    );
  });

  /** As many '0' in Huffman code, whose bits are zeros, as fit, then padding. */
  function zeros(lengthBytes: number): Buffer {
    return huffmanBytes(new Array<number>(Math.floor((lengthBytes * 8) / 5)).fill(0x30));
  }
});
