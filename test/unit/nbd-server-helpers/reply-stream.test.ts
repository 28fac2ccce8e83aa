/** Replies as the client reads them, cut at each byte; bytes from the naive builder. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { NbdProtocolError, ReplyStream, type NbdReply, type ReplyKind } from 'nbd-server-helpers';
import {
  bytes,
  chunk,
  cuts,
  extendedChunk,
  hex,
  pattern,
  simpleReply,
  u16,
  u32,
  u64,
} from '#test/support/nbd-bytes.js';

const DATA = pattern(100);
const NOTHING = { error: 0, text: '', offsetBytes: 0, lengthBytes: 0, contextId: 0, extents: [] };

/** Cookies 0x1_00000001 belong to a read of 100 bytes at 4096, all others to something else. */
function stream(replyKind: ReplyKind, payloadBytesMax = 8192): ReplyStream {
  return new ReplyStream({
    replyKind,
    payloadBytesMax,
    readRangeOf: (cookieHigh, cookieLow) =>
      cookieHigh === 1 && cookieLow === 1 ? { offsetBytes: 4096, lengthBytes: 100 } : undefined,
  });
}

function plain(reply: NbdReply): object {
  return { ...reply, payload: Buffer.concat(reply.payload).toString('hex') };
}

/** Pushes the bytes cut in every way; @returns the replies, the same each time */
function received(replyKind: ReplyKind, wire: Buffer): object[] {
  const expected = stream(replyKind).push(wire).map(plain);
  for (const chunks of cuts(wire)) {
    const cut = stream(replyKind);
    assert.deepEqual(chunks.flatMap((part) => cut.push(part)).map(plain), expected);
    assert.equal(cut.incompleteBytes, 0);
  }
  return expected;
}

function head(cookieLow: number, type: number, isDone = true): object {
  return { ...NOTHING, cookieHigh: 1, cookieLow, type, isDone, payload: '' };
}

describe('ReplyStream, simple replies', () => {
  it('knows from its caller which replies carry data', () => {
    const wire = bytes(
      simpleReply(0, 0x1_00000002n),
      simpleReply(0, 0x1_00000001n, DATA),
      simpleReply(28, 0x1_00000001n),
      simpleReply(0, 0x1_00000003n),
    );
    assert.deepEqual(received('simple', wire), [
      head(2, 0),
      { ...head(1, 1), offsetBytes: 4096, lengthBytes: 100, payload: DATA.toString('hex') },
      { ...head(1, 0x8001), error: 28 },
      head(3, 0),
    ]);
  });

  it('refuses chunks', () => {
    assert.throws(() => stream('simple').push(chunk(1, 0, 1n)), NbdProtocolError);
  });
});

describe('ReplyStream, structured replies', () => {
  it('gives data, holes, errors, extents and simple replies in order of arrival', () => {
    const wire = bytes(
      chunk(0, 1, 0x1_00000001n, u64(4096), DATA),
      chunk(1, 2, 0x1_00000001n, u64(4196), u32(512)),
      simpleReply(0, 0x1_00000002n),
      chunk(1, 5, 0x1_00000003n, u32(7), u32(512), u32(0), u32(1024), u32(3)),
      chunk(1, 0x8001, 0x1_00000004n, u32(5), u16(4), 'lost'),
      chunk(1, 0x8002, 0x1_00000005n, u32(28), u16(4), 'full', u64(8192)),
      chunk(1, 0, 0x1_00000006n),
    );
    assert.deepEqual(received('structured', wire), [
      { ...head(1, 1, false), offsetBytes: 4096, lengthBytes: 100, payload: DATA.toString('hex') },
      { ...head(1, 2), offsetBytes: 4196, lengthBytes: 512 },
      head(2, 0),
      {
        ...head(3, 5),
        contextId: 7,
        extents: [
          { lengthBytes: 512, flags: 0 },
          { lengthBytes: 1024, flags: 3 },
        ],
      },
      { ...head(4, 0x8001), error: 5, text: 'lost' },
      { ...head(5, 0x8002), error: 28, text: 'full', offsetBytes: 8192 },
      head(6, 0),
    ]);
  });

  it('takes an error of an unknown type as an error', () => {
    const [reply] = stream('structured').push(chunk(1, 0x8fff, 1n, u32(5), u16(2), 'no', u32(9)));
    assert.equal(reply?.error, 5);
    assert.equal(reply.text, 'no');
  });

  const broken: Record<string, Buffer> = {
    'an unknown type': chunk(1, 77, 1n),
    'the type of extended replies': chunk(1, 6, 1n, u32(1), u32(1), u64(1), u64(1)),
    'an empty data chunk': chunk(1, 1, 1n, u64(0)),
    'more data than the limit': chunk(1, 1, 1n, u64(0), pattern(8193)),
    'a hole without a length': chunk(1, 2, 1n, u64(0), u32(0)),
    'a hole chunk that is too short': chunk(1, 2, 1n, u64(0)),
    'an end that is not the last chunk': chunk(0, 0, 1n),
    'an end with a payload': chunk(1, 0, 1n, u32(0)),
    'an error without an error number': chunk(1, 0x8001, 1n, u32(0), u16(0)),
    'an error chunk that is too short': chunk(1, 0x8001, 1n, u32(5)),
    'an error text longer than its chunk': chunk(1, 0x8001, 1n, u32(5), u16(5), 'lost'),
    'block status without an extent': chunk(1, 5, 1n, u32(1)),
    'block status with half an extent': chunk(1, 5, 1n, u32(1), u32(512)),
    'block status with an empty extent': chunk(1, 5, 1n, u32(1), u32(0), u32(0)),
    'a simple reply to a read': simpleReply(0, 0x1_00000001n),
    'an extended reply': extendedChunk(1, 0, 1n, 0),
    'another magic': hex('12345678'),
  };
  for (const [what, wire] of Object.entries(broken)) {
    it(`refuses ${what}`, () => {
      assert.throws(() => stream('structured').push(wire), NbdProtocolError);
    });
  }

  it('refuses a length above the limit before any of its bytes arrived', () => {
    const header = bytes(hex('668e33ef'), u16(1), u16(1), u64(1), u32(0xffffffff));
    assert.throws(() => stream('structured').push(header), NbdProtocolError);
  });
});

describe('ReplyStream, extended replies', () => {
  it('gives data, extents, errors and ends', () => {
    const wire = bytes(
      extendedChunk(1, 1, 0x1_00000001n, 4096, u64(4096), DATA),
      extendedChunk(1, 6, 0x1_00000002n, 0, u32(7), u32(1), u64(2 ** 40), u64(3)),
      extendedChunk(1, 0x8001, 0x1_00000003n, 512, u32(95), u16(0)),
      extendedChunk(1, 0, 0x1_00000004n, 512),
    );
    assert.deepEqual(received('extended', wire), [
      { ...head(1, 1), offsetBytes: 4096, lengthBytes: 100, payload: DATA.toString('hex') },
      { ...head(2, 6), contextId: 7, extents: [{ lengthBytes: 2 ** 40, flags: 3 }] },
      { ...head(3, 0x8001), error: 95 },
      head(4, 0),
    ]);
  });

  it('refuses simple and structured replies', () => {
    assert.throws(() => stream('extended').push(simpleReply(0, 2n)), NbdProtocolError);
    assert.throws(() => stream('extended').push(chunk(1, 0, 2n)), NbdProtocolError);
  });

  it('refuses a count that differs from the number of extents, and 32-bit extents', () => {
    const miscounted = extendedChunk(1, 6, 2n, 0, u32(7), u32(2), u64(512), u64(3));
    assert.throws(() => stream('extended').push(miscounted), NbdProtocolError);
    const narrow = extendedChunk(1, 5, 2n, 0, u32(7), u32(512), u32(3));
    assert.throws(() => stream('extended').push(narrow), NbdProtocolError);
  });
});

describe('ReplyStream.incompleteBytes', () => {
  it('counts the bytes of an unfinished reply', () => {
    const wire = chunk(1, 1, 1n, u64(0), DATA);
    const cut = stream('structured');
    for (let at = 0; at < wire.length; at += 1) {
      assert.equal(cut.incompleteBytes, at);
      cut.push(wire.subarray(at, at + 1));
    }
    assert.equal(cut.incompleteBytes, 0);
  });
});
