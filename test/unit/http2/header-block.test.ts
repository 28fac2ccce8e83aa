/** Header blocks out of HEADERS and CONTINUATION (RFC 9113, sections 6.2 and 6.10). */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { HEADER_BLOCK_BYTES_MAX, HeaderBlock } from '#daemon/http2/header-block.js';
import { broken } from '#test/support/header-refusal.js';
import { FLAG } from '#test/support/http2-frames.js';
import { pattern } from '#test/support/nbd-bytes.js';

const { endHeaders, endStream, padded, priority } = FLAG;
const BLOCK = pattern(30);

describe('HeaderBlock', () => {
  it('is whole with one HEADERS frame that says so', () => {
    const block = new HeaderBlock();
    assert.deepEqual(block.add(false, endHeaders, BLOCK), { bytes: BLOCK, isLast: false });
    assert.equal(block.isOpen, false);
    const last = block.add(false, endHeaders | endStream, BLOCK);
    assert.deepEqual(last, { bytes: BLOCK, isLast: true });
  });

  it('is the same in any pieces, and whether it is the last is said with the first of them', () => {
    for (let at = 0; at <= BLOCK.length; at += 1) {
      const block = new HeaderBlock();
      assert.equal(block.add(false, endStream, BLOCK.subarray(0, at)), undefined);
      assert.equal(block.isOpen, true);
      const whole = block.add(true, endHeaders, BLOCK.subarray(at));
      assert.deepEqual(whole, { bytes: BLOCK, isLast: true });
      assert.equal(block.isOpen, false);
    }
    const block = new HeaderBlock();
    for (let at = 0; at < 10; at += 1)
      assert.equal(
        block.add(at > 0, endStream * Number(at > 0), BLOCK.subarray(at, at + 1)),
        undefined,
      );
    // END_STREAM is no flag of CONTINUATION: it means nothing there.
    assert.deepEqual(block.add(true, endHeaders, BLOCK.subarray(10)), {
      bytes: BLOCK,
      isLast: false,
    });
  });

  it('leaves out padding and priority', () => {
    const padding = Buffer.alloc(7);
    const five = Buffer.alloc(5, 0xff);
    const forms: [number, Buffer[]][] = [
      [padded, [Buffer.from([7]), BLOCK, padding]],
      [padded, [Buffer.from([0]), BLOCK]],
      [priority, [five, BLOCK]],
      [padded | priority, [Buffer.from([7]), five, BLOCK, padding]],
    ];
    for (const [flags, parts] of forms) {
      const whole = new HeaderBlock().add(false, endHeaders | flags, Buffer.concat(parts));
      assert.deepEqual(whole?.bytes, BLOCK);
    }
  });

  it('knows neither in CONTINUATION', () => {
    const block = new HeaderBlock();
    block.add(false, 0, Buffer.alloc(0));
    assert.deepEqual(block.add(true, endHeaders | padded | priority, BLOCK)?.bytes, BLOCK);
  });

  it('refuses padding or priority that is longer than the frame, and takes what just fits', () => {
    const just: [number, number[]][] = [
      [padded, [3, 0, 0, 0]],
      [priority, [0, 0, 0, 0, 0]],
      [padded | priority, [1, 0, 0, 0, 0, 0, 0]],
    ];
    for (const [flags, bytes] of just) {
      const whole = new HeaderBlock().add(false, endHeaders | flags, Buffer.from(bytes));
      assert.equal(whole?.bytes.length, 0);
      assert.throws(
        () => new HeaderBlock().add(false, endHeaders | flags, Buffer.from(bytes.slice(0, -1))),
        broken(/a HEADERS frame is shorter than its padding/, 'PROTOCOL_ERROR'),
      );
    }
    assert.throws(
      () => new HeaderBlock().add(false, endHeaders | padded, Buffer.alloc(0)),
      broken(/shorter than its padding/, 'PROTOCOL_ERROR'),
    );
  });

  it('takes 16 KiB in pieces, and no more', () => {
    assert.equal(HEADER_BLOCK_BYTES_MAX, 16_384);
    const block = new HeaderBlock();
    block.add(false, 0, pattern(16_000));
    assert.equal(block.add(true, endHeaders, pattern(384))?.bytes.length, 16_384);
    block.add(false, 0, pattern(16_000));
    assert.throws(
      () => block.add(true, endHeaders, pattern(385)),
      broken(/of 2 pieces has 16385 bytes and no end/, 'ENHANCE_YOUR_CALM'),
    );
  });

  it('takes 16 pieces, also empty ones, and no more', () => {
    for (const count of [16, 17]) {
      const block = new HeaderBlock();
      const pieces = (): unknown => {
        for (let piece = 1; piece < count; piece += 1) block.add(piece > 1, 0, Buffer.alloc(0));
        return block.add(true, endHeaders, BLOCK);
      };
      if (count === 16) assert.deepEqual(pieces(), { bytes: BLOCK, isLast: false });
      else assert.throws(pieces, broken(/of 17 pieces has 30 bytes/, 'ENHANCE_YOUR_CALM'));
    }
  });

  it('keeps its pieces, whatever becomes of the chunks they came in', () => {
    const block = new HeaderBlock();
    const first = Buffer.from('first');
    block.add(false, 0, first);
    first.fill(0);
    assert.equal(
      String(block.add(true, endHeaders, Buffer.from(' second'))?.bytes),
      'first second',
    );
  });
});
