/** What waits for windows: in its order, in whatever portions the windows allow. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { OutgoingQueue } from '#daemon/rpc/outgoing-queue.js';
import { pattern } from '#test/support/nbd-bytes.js';

function taken(queue: OutgoingQueue, bytes: number): [Buffer, (() => void) | undefined] {
  const pieces: Buffer[] = [];
  const onSent = queue.take(bytes, (piece) => pieces.push(piece));
  return [Buffer.concat(pieces), onSent];
}

describe('OutgoingQueue', () => {
  it('is empty until something waits, and again when all is taken', () => {
    const queue = new OutgoingQueue();
    assert.equal(queue.isEmpty, true);
    assert.equal(queue.messageBytes, 0);
    assert.equal(queue.takeControl(), undefined);
    queue.addMessage([pattern(5)], 5, undefined);
    assert.equal(queue.isEmpty, false);
    taken(queue, 5);
    assert.equal(queue.isEmpty, true);
  });

  it('gives a message in portions of any length, and says with the last who wants to know', () => {
    for (let portion = 1; portion <= 31; portion += 1) {
      const queue = new OutgoingQueue();
      const onSent = (): void => {};
      const whole = pattern(30);
      const pieces = [whole.subarray(0, 5), whole.subarray(5, 5), whole.subarray(5, 20)];
      queue.addMessage([...pieces, whole.subarray(20)], 30, onSent);
      const parts: Buffer[] = [];
      while (!queue.isEmpty) {
        const left = queue.messageBytes;
        const [part, done] = taken(queue, Math.min(portion, left));
        parts.push(part);
        assert.equal(done, left <= portion ? onSent : undefined);
      }
      assert.deepEqual(Buffer.concat(parts), whole);
    }
  });

  it('lets nothing overtake: headers wait for the message in front of them', () => {
    const queue = new OutgoingQueue();
    const trailers = Buffer.from('trailers');
    queue.addControl(Buffer.from('headers'));
    queue.addMessage([pattern(3)], 3, undefined);
    queue.addControl(trailers);
    assert.equal(queue.messageBytes, 0);
    assert.equal(String(queue.takeControl()), 'headers');
    assert.equal(queue.messageBytes, 3);
    assert.equal(queue.takeControl(), undefined);
    taken(queue, 2);
    assert.equal(queue.takeControl(), undefined);
    taken(queue, 1);
    assert.equal(queue.takeControl(), trailers);
    assert.equal(queue.isEmpty, true);
  });

  it('gives views and leaves its callers’ bytes alone', () => {
    const queue = new OutgoingQueue();
    const whole = pattern(10);
    queue.addMessage([whole], 10, undefined);
    const pieces: Buffer[] = [];
    queue.take(4, (piece) => pieces.push(piece));
    queue.take(6, (piece) => pieces.push(piece));
    assert.deepEqual(
      pieces.map(({ buffer, byteOffset, length }) => [buffer, byteOffset, length]),
      [
        [whole.buffer, whole.byteOffset, 4],
        [whole.buffer, whole.byteOffset + 4, 6],
      ],
    );
    assert.deepEqual(whole, pattern(10));
  });

  it('throws if there is no message, or less of it than was said', () => {
    const queue = new OutgoingQueue();
    assert.throws(() => taken(queue, 1), /no message waits/);
    queue.addControl(Buffer.from('x'));
    assert.throws(() => taken(queue, 1), /no message waits/);
    const short = new OutgoingQueue();
    short.addMessage([pattern(3)], 4, undefined);
    assert.throws(() => taken(short, 4), /a message is shorter than it says/);
  });
});
