/** Replies of the server as bytes: simple, structured, extended. Expected bytes from the naive builder. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  ERROR_TEXT_BYTES_MAX,
  NBD_EXTENTS_MAX,
  READ_HEADER_BYTES_MAX,
  READ_PART_BYTES_MAX,
  SIMPLE_REPLY_BYTES,
  encodeBlockStatusReply,
  encodeErrorReply,
  writeDoneReply,
  writeReadHeader,
  writeReadPart,
  writeSimpleReply,
} from 'nbd-server-helpers';
import {
  bytes,
  chunk,
  extendedChunk,
  hex,
  simpleReply,
  u16,
  u32,
  u64,
} from '#test/support/nbd-bytes.js';

const HIGH = 0xfedcba98;
const LOW = 0x00000001;
const COOKIE = 0xfedcba9800000001n;
const OFFSET = 2 ** 40 + 4096;

/** What a writer put behind three bytes that must stay as they are. */
function written(write: (target: Buffer, at: number) => number): Buffer {
  const target = Buffer.alloc(3 + READ_PART_BYTES_MAX, 0xee);
  const end = write(target, 3);
  assert.deepEqual(target.subarray(0, 3), hex('eeeeee'));
  assert.ok(target.subarray(end).every((byte) => byte === 0xee));
  return target.subarray(3, end);
}

describe('writeSimpleReply', () => {
  it('writes magic, error and cookie, and returns the position behind them', () => {
    const reply = written((target, at) => writeSimpleReply(target, at, 28, HIGH, LOW));
    assert.deepEqual(reply, simpleReply(28, COOKIE));
    assert.equal(reply.length, SIMPLE_REPLY_BYTES);
  });
});

describe('writeDoneReply', () => {
  it('is a simple reply without an error', () => {
    const reply = written((target, at) => writeDoneReply('simple', target, at, HIGH, LOW, OFFSET));
    assert.deepEqual(reply, simpleReply(0, COOKIE));
  });

  it('is an empty last chunk in a structured reply', () => {
    const reply = written((target, at) =>
      writeDoneReply('structured', target, at, HIGH, LOW, OFFSET),
    );
    assert.deepEqual(reply, chunk(1, 0, COOKIE));
  });

  it('repeats the offset of the request in an extended reply', () => {
    const reply = written((target, at) =>
      writeDoneReply('extended', target, at, HIGH, LOW, OFFSET),
    );
    assert.deepEqual(reply, extendedChunk(1, 0, COOKIE, OFFSET));
  });

  it('repeats an offset of 2^64 - 1, which became 2^64 on its way', () => {
    const reply = written((target, at) =>
      writeDoneReply('extended', target, at, HIGH, LOW, 2 ** 64),
    );
    assert.deepEqual(reply, extendedChunk(1, 0, COOKIE, 2n ** 64n - 1n));
  });
});

describe('writeReadHeader', () => {
  const data = Buffer.alloc(512, 7);

  it('precedes the data in a simple reply', () => {
    const header = written((target, at) =>
      writeReadHeader('simple', target, at, HIGH, LOW, OFFSET, 512),
    );
    assert.deepEqual(bytes(header, data), simpleReply(0, COOKIE, data));
  });

  it('precedes the data in a structured reply with the offset of the data', () => {
    const header = written((target, at) =>
      writeReadHeader('structured', target, at, HIGH, LOW, OFFSET, 512),
    );
    assert.deepEqual(bytes(header, data), chunk(1, 1, COOKIE, u64(OFFSET), data));
  });

  it('precedes the data in an extended reply with both offsets, and is the longest', () => {
    const header = written((target, at) =>
      writeReadHeader('extended', target, at, HIGH, LOW, OFFSET, 512),
    );
    assert.deepEqual(bytes(header, data), extendedChunk(1, 1, COOKIE, OFFSET, u64(OFFSET), data));
    assert.equal(header.length, READ_HEADER_BYTES_MAX);
  });

  it('answers a read of nothing without a data chunk, which could not be empty', () => {
    const header = written((target, at) =>
      writeReadHeader('structured', target, at, HIGH, LOW, 0, 0),
    );
    assert.deepEqual(header, chunk(1, 0, COOKIE));
  });
});

describe('writeReadPart', () => {
  const whole = { isHole: true, offsetBytes: OFFSET, lengthBytes: 65536, isLast: true };
  const behind = { isHole: false, offsetBytes: OFFSET + 512, lengthBytes: 512, isLast: false };

  it('tells offset and length of a hole, and is the longest in an extended reply', () => {
    assert.deepEqual(
      written((target, at) => writeReadPart('structured', target, at, HIGH, LOW, OFFSET, whole)),
      chunk(1, 2, COOKIE, u64(OFFSET), u32(65536)),
    );
    const longest = written((target, at) =>
      writeReadPart('extended', target, at, HIGH, LOW, OFFSET, whole),
    );
    assert.deepEqual(longest, extendedChunk(1, 2, COOKIE, OFFSET, u64(OFFSET), u32(65536)));
    assert.equal(longest.length, READ_PART_BYTES_MAX);
  });

  it('precedes data with its own offset, and is not the last chunk where another follows', () => {
    const data = Buffer.alloc(512, 7);
    const narrow = written((target, at) =>
      writeReadPart('structured', target, at, HIGH, LOW, OFFSET, behind),
    );
    assert.deepEqual(bytes(narrow, data), chunk(0, 1, COOKIE, u64(OFFSET + 512), data));
    const wide = written((target, at) =>
      writeReadPart('extended', target, at, HIGH, LOW, OFFSET, behind),
    );
    assert.deepEqual(
      bytes(wide, data),
      extendedChunk(0, 1, COOKIE, OFFSET, u64(OFFSET + 512), data),
    );
  });
});

describe('encodeErrorReply', () => {
  it('gives the number alone in a simple reply', () => {
    assert.deepEqual(encodeErrorReply('simple', HIGH, LOW, 5, 'lost'), simpleReply(5, COOKIE));
  });

  it('gives number and text in chunks', () => {
    assert.deepEqual(
      encodeErrorReply('structured', HIGH, LOW, 5, 'größer'),
      chunk(1, 0x8001, COOKIE, u32(5), u16(8), 'größer'),
    );
    assert.deepEqual(
      encodeErrorReply('extended', HIGH, LOW, 5, 'lost', OFFSET),
      extendedChunk(1, 0x8001, COOKIE, OFFSET, u32(5), u16(4), 'lost'),
    );
  });

  it('cuts a long text at the limit, but not inside of a character', () => {
    const short = 'x'.repeat(ERROR_TEXT_BYTES_MAX - 1);
    assert.deepEqual(
      encodeErrorReply('structured', HIGH, LOW, 5, `${short}ü and more`),
      chunk(1, 0x8001, COOKIE, u32(5), u16(short.length), short),
    );
    assert.deepEqual(
      encodeErrorReply('structured', HIGH, LOW, 5, `${short}u and more`),
      chunk(1, 0x8001, COOKIE, u32(5), u16(short.length + 1), `${short}u`),
    );
  });

  it('sends no NUL', () => {
    assert.deepEqual(
      encodeErrorReply('structured', HIGH, LOW, 5, 'a\0b'),
      chunk(1, 0x8001, COOKIE, u32(5), u16(3), 'a?b'),
    );
  });

  it('does not tell success as an error', () => {
    assert.throws(
      () => encodeErrorReply('structured', HIGH, LOW, 0, 'fine'),
      assert.AssertionError,
    );
  });
});

describe('encodeBlockStatusReply', () => {
  const extents = [
    { lengthBytes: 4096, flags: 0 },
    { lengthBytes: 65536, flags: 3 },
  ];

  it('has 32-bit fields in a structured reply', () => {
    assert.deepEqual(
      encodeBlockStatusReply('structured', HIGH, LOW, 1, extents),
      chunk(1, 5, COOKIE, u32(1), u32(4096), u32(0), u32(65536), u32(3)),
    );
  });

  it('has a count and 64-bit fields in an extended reply', () => {
    assert.deepEqual(
      encodeBlockStatusReply('extended', HIGH, LOW, 1, extents, OFFSET),
      extendedChunk(1, 6, COOKIE, OFFSET, u32(1), u32(2), u64(4096), u64(0), u64(65536), u64(3)),
    );
  });

  it('cuts an extent that 32 bits cannot tell at a block border, and ends there', () => {
    const huge = [...extents, { lengthBytes: 2 ** 40, flags: 3 }, { lengthBytes: 512, flags: 0 }];
    const cut = [u32(2 ** 32 - 65536), u32(3)];
    assert.deepEqual(
      encodeBlockStatusReply('structured', HIGH, LOW, 1, huge),
      chunk(1, 5, COOKIE, u32(1), u32(4096), u32(0), u32(65536), u32(3), ...cut),
    );
  });

  it('tells the same extent whole in an extended reply', () => {
    assert.deepEqual(
      encodeBlockStatusReply('extended', HIGH, LOW, 1, [{ lengthBytes: 2 ** 40, flags: 3 }], 0),
      extendedChunk(1, 6, COOKIE, 0, u32(1), u32(1), u64(2 ** 40), u64(3)),
    );
  });

  it('sends no more extents than the specification wants', () => {
    const many = Array<(typeof extents)[number]>(NBD_EXTENTS_MAX + 1).fill({
      lengthBytes: 512,
      flags: 0,
    });
    assert.equal(
      encodeBlockStatusReply('structured', HIGH, LOW, 1, many).length,
      20 + 4 + 8 * NBD_EXTENTS_MAX,
    );
  });

  it('cannot be sent in a simple reply, nor empty', () => {
    assert.throws(
      () => encodeBlockStatusReply('simple', HIGH, LOW, 1, extents),
      assert.AssertionError,
    );
    assert.throws(
      () => encodeBlockStatusReply('structured', HIGH, LOW, 1, []),
      assert.AssertionError,
    );
  });
});

describe('reply writers and their buffers', () => {
  it('write nothing beyond the end of the buffer, and say so', () => {
    const short = Buffer.alloc(SIMPLE_REPLY_BYTES - 1);
    assert.throws(() => writeSimpleReply(short, 0, 0, HIGH, LOW), RangeError);
    assert.throws(() => writeDoneReply('extended', Buffer.alloc(31), 0, HIGH, LOW, 0), RangeError);
  });

  it('do not cut a number that does not fit its field', () => {
    for (const wrong of [{ lengthBytes: 2 ** 32 }, { offsetBytes: -1 }]) {
      const part = { isHole: true, offsetBytes: 0, lengthBytes: 512, isLast: true, ...wrong };
      const target = Buffer.alloc(READ_PART_BYTES_MAX);
      assert.throws(() => writeReadPart('structured', target, 0, HIGH, LOW, 0, part), RangeError);
    }
  });
});
