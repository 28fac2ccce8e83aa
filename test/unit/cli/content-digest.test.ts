/** Goal: two contents have equal digests exactly when they are equal, however their zeroes are given. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, it } from 'node:test';
import { ContentDigest, STRETCH_BYTES } from '#daemon/cli/transfer/content-digest.js';
import { GRANULE_BYTES, PIECE_BYTES } from '#daemon/cli/transfer/piece.js';

/** Feeds a buffer in pieces, from an offset on. */
function digestOf(content: Buffer, offsetBytes = 0): ContentDigest {
  const digest = new ContentDigest();
  for (let at = 0; at < content.length; at += PIECE_BYTES) {
    const data = content.subarray(at, at + PIECE_BYTES);
    digest.add({ offsetBytes: offsetBytes + at, lengthBytes: data.length, data });
  }
  return digest;
}

describe('ContentDigest', () => {
  const content = randomBytes(3 * PIECE_BYTES + 12_345);

  it('is equal for equal content', () => {
    assert.equal(digestOf(content).firstDifference(digestOf(Buffer.from(content))), undefined);
  });

  it('does not care where zeroes at the end stop, or how they are given', () => {
    const longer = Buffer.concat([content, Buffer.alloc(5 * PIECE_BYTES - content.length)]);
    assert.equal(digestOf(content).firstDifference(digestOf(longer)), undefined);
    const withHole = digestOf(content);
    withHole.add({ offsetBytes: 4 * PIECE_BYTES, lengthBytes: 1e12, data: undefined });
    assert.equal(withHole.firstDifference(digestOf(longer)), undefined);
  });

  it('does not care whether zeroes in the middle are bytes or a hole', () => {
    const sparse = Buffer.from(content);
    sparse.fill(0, PIECE_BYTES, 2 * PIECE_BYTES);
    const holed = new ContentDigest();
    holed.add({ offsetBytes: 0, lengthBytes: PIECE_BYTES, data: sparse.subarray(0, PIECE_BYTES) });
    holed.add({ offsetBytes: PIECE_BYTES, lengthBytes: PIECE_BYTES, data: undefined });
    for (const at of [2 * PIECE_BYTES, 3 * PIECE_BYTES]) {
      const data = sparse.subarray(at, at + PIECE_BYTES);
      holed.add({ offsetBytes: at, lengthBytes: data.length, data });
    }
    assert.equal(digestOf(sparse).firstDifference(holed), undefined);
  });

  it('differs when one bit differs, anywhere', () => {
    for (const at of [0, GRANULE_BYTES, PIECE_BYTES - 1, content.length - 1]) {
      const other = Buffer.from(content);
      other.writeUInt8((other.readUInt8(at) ^ 0x10) & 0xff, at);
      assert.deepEqual(digestOf(content).firstDifference(digestOf(other)), {
        offsetBytes: 0,
        lengthBytes: STRETCH_BYTES,
      });
    }
  });

  it('differs when the same data stands elsewhere', () => {
    const data = Buffer.alloc(GRANULE_BYTES, 7);
    const zero = Buffer.alloc(GRANULE_BYTES);
    const one = digestOf(Buffer.concat([data, zero]));
    const two = digestOf(Buffer.concat([zero, data]));
    assert.notEqual(one.firstDifference(two), undefined);
  });

  it('differs when zeroes became data and when data became zeroes', () => {
    const some = Buffer.alloc(PIECE_BYTES);
    some[GRANULE_BYTES] = 1;
    const none = Buffer.alloc(PIECE_BYTES);
    assert.notEqual(digestOf(none).firstDifference(digestOf(some)), undefined);
    assert.notEqual(digestOf(some).firstDifference(digestOf(none)), undefined);
  });

  it('names the first stretch that differs', () => {
    const digest = (firstByte: number, secondByte: number): ContentDigest => {
      const made = new ContentDigest();
      const lengthBytes = GRANULE_BYTES;
      made.add({ offsetBytes: 0, lengthBytes, data: Buffer.alloc(lengthBytes, 9) });
      made.add({
        offsetBytes: 2 * STRETCH_BYTES,
        lengthBytes,
        data: Buffer.alloc(lengthBytes, firstByte),
      });
      made.add({
        offsetBytes: 5 * STRETCH_BYTES,
        lengthBytes,
        data: Buffer.alloc(lengthBytes, secondByte),
      });
      return made;
    };
    assert.deepEqual(digest(1, 2).firstDifference(digest(1, 3)), {
      offsetBytes: 5 * STRETCH_BYTES,
      lengthBytes: STRETCH_BYTES,
    });
    assert.equal(digest(1, 2).firstDifference(digest(4, 3))?.offsetBytes, 2 * STRETCH_BYTES);
  });

  it('refuses pieces that go back', () => {
    const digest = digestOf(content);
    assert.throws(() => {
      digest.add({ offsetBytes: 0, lengthBytes: PIECE_BYTES, data: undefined });
    }, /piece at 0 after content up to/);
  });
});
