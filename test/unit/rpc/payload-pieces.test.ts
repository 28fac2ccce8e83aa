/** The payload of a batch, taken part by part. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { NO_PAYLOAD } from '#daemon/block/block-request.js';
import { PayloadPieces } from '#daemon/rpc/payload-pieces.js';
import { cut, cuts, pattern } from '#test/support/nbd-bytes.js';

describe('PayloadPieces', () => {
  it('gives parts one after the other, wherever the payload is cut', () => {
    for (const pieces of cuts(pattern(30))) {
      const payload = new PayloadPieces(pieces);
      const parts = [7, 0, 1, 22].map((bytes) => Buffer.concat(payload.take(bytes)));
      assert.deepEqual(Buffer.concat(parts), pattern(30));
      assert.deepEqual(
        parts.map(({ length }) => length),
        [7, 0, 1, 22],
      );
      assert.equal(payload.leftBytes, 0);
    }
  });

  it('gives views onto the pieces', () => {
    const pieces = cut(pattern(30), [10]);
    const payload = new PayloadPieces(pieces);
    const views = payload.take(25);
    assert.deepEqual(
      views.map(({ buffer, byteOffset, length }) => [buffer, byteOffset, length]),
      pieces.map(({ buffer, byteOffset }, index) => [buffer, byteOffset, index === 2 ? 5 : 10]),
    );
    assert.equal(payload.leftBytes, 5);
  });

  it('gives the payload of no bytes for none', () => {
    assert.equal(new PayloadPieces([pattern(3)]).take(0), NO_PAYLOAD);
    assert.equal(new PayloadPieces([]).leftBytes, 0);
  });

  it('throws if more is taken than there is', () => {
    assert.throws(() => new PayloadPieces([pattern(3)]).take(4), /more was taken than there is/);
  });
});
