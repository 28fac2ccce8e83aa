/** The zeroes that stand for holes: known by where they came from, and never anything else than zeroes. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { slices } from '#daemon/block/block-request.js';
import { REQUEST_BYTES_MAX } from '#daemon/block/device-facts.js';
import { isZeroPiece, zeroPiece } from '#daemon/block/zeroes.js';

describe('zeroPiece', () => {
  it('reads as zeroes, at any length that a read may have', () => {
    for (const lengthBytes of [1, 4096, REQUEST_BYTES_MAX])
      assert.equal(zeroPiece(lengthBytes).compare(Buffer.alloc(lengthBytes)), 0);
    assert.throws(() => zeroPiece(REQUEST_BYTES_MAX + 1), /no read is longer/);
  });

  it('is known by where it came from, also a part of it', () => {
    const piece = zeroPiece(8192);
    assert.ok(isZeroPiece(piece));
    assert.ok(slices([piece], 512, 1024).every(isZeroPiece));
    assert.equal(isZeroPiece(Buffer.alloc(8192)), false);
    assert.equal(isZeroPiece(Buffer.from(piece)), false, 'a copy is somebody else’s');
  });
});
