/** Windows in both directions (RFC 9113, sections 5.2 and 6.9). */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ReceiveAllowance, SendAllowance } from '#daemon/http2/flow-control.js';
import { broken } from '#test/support/header-refusal.js';
import { settings } from '#test/support/http2-frames.js';

const MAX = 2 ** 31 - 1;

/** Without the frame's header. */
function said(...pairs: readonly (readonly [number, number])[]): Buffer {
  return settings(...pairs).subarray(9);
}

describe('SendAllowance', () => {
  it('begins with 65,535 bytes and frames of 16 KiB', () => {
    const allowance = new SendAllowance();
    assert.equal(allowance.bytes, 65_535);
    assert.equal(allowance.frameBytesMax, 16_384);
    assert.deepEqual(allowance.windows, { streamBytes: 65_535, connectionBytes: 65_535 });
  });

  it('is the smaller of the two windows', () => {
    const allowance = new SendAllowance();
    allowance.grow(0, 1000);
    assert.equal(allowance.bytes, 65_535);
    allowance.grow(1, 400);
    assert.equal(allowance.bytes, 65_935);
    allowance.use(60_000);
    assert.deepEqual(allowance.windows, { streamBytes: 5935, connectionBytes: 6535 });
    assert.equal(allowance.bytes, 5935);
    allowance.grow(1, 5000);
    assert.equal(allowance.bytes, 6535);
  });

  it('grows up to 2^31 - 1, and not beyond (section 6.9.1)', () => {
    for (const streamId of [0, 1]) {
      const allowance = new SendAllowance();
      allowance.grow(streamId, MAX - 65_535);
      assert.throws(
        () => {
          allowance.grow(streamId, 1);
        },
        broken(/a window grew beyond 2147483647 bytes/, 'FLOW_CONTROL_ERROR'),
      );
    }
  });

  it('does not grow by nothing (section 6.9)', () => {
    for (const streamId of [0, 1])
      assert.throws(
        () => {
          new SendAllowance().grow(streamId, 0);
        },
        broken(/a window was to grow by nothing/, 'PROTOCOL_ERROR'),
      );
  });

  it('changes the stream’s window by what INITIAL_WINDOW_SIZE changes, not the connection’s (6.9.2)', () => {
    const allowance = new SendAllowance();
    allowance.use(60_000);
    allowance.learn(said([4, 100_000]));
    assert.deepEqual(allowance.windows, { streamBytes: 40_000, connectionBytes: 5535 });
    allowance.learn(said([4, 10_000]));
    assert.deepEqual(allowance.windows, { streamBytes: -50_000, connectionBytes: 5535 });
    assert.equal(allowance.bytes, -50_000);
    allowance.grow(1, 50_000);
    assert.equal(allowance.bytes, 0);
    allowance.learn(said([4, 10_007]));
    assert.equal(allowance.bytes, 7);
    allowance.learn(said([4, 0]));
    assert.equal(allowance.bytes, -10_000);
  });

  it('takes an INITIAL_WINDOW_SIZE of 2^31 - 1, and none above', () => {
    new SendAllowance().learn(said([4, MAX]));
    const tooLarge = broken(/a window of 2147483648 bytes is not allowed/, 'FLOW_CONTROL_ERROR');
    assert.throws(() => {
      new SendAllowance().learn(said([4, MAX + 1]));
    }, tooLarge);
    const grown = new SendAllowance();
    grown.grow(1, 1);
    assert.throws(
      () => {
        grown.learn(said([4, MAX]));
      },
      broken(/a window grew beyond/, 'FLOW_CONTROL_ERROR'),
    );
  });

  it('takes frames of 16 KiB to 2^24 - 1 bytes, and no others (section 6.5.2)', () => {
    const allowance = new SendAllowance();
    for (const bytes of [16_384, 2 ** 24 - 1, 16_384]) {
      allowance.learn(said([5, bytes]));
      assert.equal(allowance.frameBytesMax, bytes);
    }
    for (const bytes of [0, 16_383, 2 ** 24, 2 ** 32 - 1])
      assert.throws(
        () => {
          allowance.learn(said([5, bytes]));
        },
        broken(new RegExp(`frames of ${bytes} bytes are not allowed`), 'PROTOCOL_ERROR'),
      );
  });

  it('takes 0 and 1 for ENABLE_PUSH, and nothing else', () => {
    new SendAllowance().learn(said([2, 0], [2, 1]));
    assert.throws(
      () => {
        new SendAllowance().learn(said([2, 2]));
      },
      broken(/ENABLE_PUSH is 2, not 0 or 1/, 'PROTOCOL_ERROR'),
    );
  });

  it('takes the last of settings that come twice, and none that it does not know', () => {
    const allowance = new SendAllowance();
    allowance.learn(
      said([4, 1], [1, 0], [3, 0], [6, 5], [0xfb1f, 1], [0x7777, 2 ** 32 - 1], [4, 9]),
    );
    assert.equal(allowance.bytes, 9);
    allowance.learn(said());
    assert.equal(allowance.bytes, 9);
  });
});

describe('ReceiveAllowance', () => {
  it('lets the peer send the whole window, and not a byte more', () => {
    const allowance = new ReceiveAllowance(1000);
    allowance.use(1000);
    assert.throws(
      () => {
        allowance.use(1);
      },
      broken(/more than the window of 1000 bytes was sent/, 'FLOW_CONTROL_ERROR'),
    );
  });

  it('gives back what was taken in when it is half the window', () => {
    const allowance = new ReceiveAllowance(1000);
    allowance.use(700);
    assert.equal(allowance.took(499), 0);
    assert.equal(allowance.took(1), 500);
    assert.equal(allowance.took(200), 0);
    // 300 are left and 500 came back.
    allowance.use(800);
    assert.throws(
      () => {
        allowance.use(1);
      },
      broken(/more than the window/, 'FLOW_CONTROL_ERROR'),
    );
  });

  it('gives nothing back while it is held, and then all at once', () => {
    const allowance = new ReceiveAllowance(1000);
    assert.equal(allowance.hold(true), 0);
    allowance.use(1000);
    assert.equal(allowance.took(600), 0);
    assert.equal(allowance.took(400), 0);
    assert.throws(
      () => {
        allowance.use(1);
      },
      broken(/more than the window/, 'FLOW_CONTROL_ERROR'),
    );
    const other = new ReceiveAllowance(1000);
    other.hold(true);
    other.use(1000);
    other.took(1000);
    assert.equal(other.hold(false), 1000);
    other.use(1000);
  });

  it('gives nothing back at the end of a hold if it is less than half', () => {
    const allowance = new ReceiveAllowance(1000);
    allowance.hold(true);
    allowance.use(600);
    allowance.took(499);
    assert.equal(allowance.hold(false), 0);
    assert.equal(allowance.took(1), 500);
  });
});
