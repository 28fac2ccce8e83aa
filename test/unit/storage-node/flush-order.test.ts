/** A flush starts after the changes before it, whatever order they end in. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { FlushOrder } from '#daemon/storage-node/flush-order.js';

describe('FlushOrder', () => {
  it('lets a flush start at once when no change is under way', () => {
    const order = new FlushOrder<string>();
    assert.ok(order.arrived('flush'));
    order.changeEnded(order.changeStarted());
    assert.ok(order.arrived('flush'));
  });

  //  change a   change b   FLUSH 1   change c   FLUSH 2
  it('holds a flush back until the changes before it have ended, and not for later ones', () => {
    const order = new FlushOrder<string>();
    const a = order.changeStarted();
    const b = order.changeStarted();
    assert.ok(!order.arrived('flush 1'));
    const c = order.changeStarted();
    assert.ok(!order.arrived('flush 2'));
    assert.deepEqual(order.changeEnded(b), []);
    assert.deepEqual(order.changeEnded(a), ['flush 1']);
    assert.deepEqual(order.changeEnded(c), ['flush 2']);
  });

  it('lets flushes go together when the last change before both ends', () => {
    const order = new FlushOrder<string>();
    const a = order.changeStarted();
    order.arrived('flush 1');
    const b = order.changeStarted();
    order.arrived('flush 2');
    order.arrived('flush 3');
    assert.deepEqual(order.changeEnded(b), []);
    assert.deepEqual(order.changeEnded(a), ['flush 1', 'flush 2', 'flush 3']);
  });

  it('for any order of endings: no flush before its changes, and all flushes in the end', () => {
    const steps = fc.array(fc.record({ isFlush: fc.boolean(), endAt: fc.nat() }), {
      maxLength: 60,
    });
    fc.assert(
      fc.property(steps, (moves) => {
        const order = new FlushOrder<number>();
        const running: { section: number; startedAt: number }[] = [];
        const started: number[] = [];
        const arrivedAt: number[] = [];
        const start = (flush: number): void => {
          started.push(flush);
          const before = running.filter(({ startedAt }) => startedAt < (arrivedAt[flush] ?? 0));
          assert.deepEqual(before, [], `flush ${flush} started before its changes had ended`);
        };
        moves.forEach(({ isFlush, endAt }, now) => {
          if (isFlush) {
            const flush = arrivedAt.push(now) - 1;
            if (order.arrived(flush)) start(flush);
          } else running.push({ section: order.changeStarted(), startedAt: now });
          if (endAt % 3 === 0 && running.length > 0) {
            const [ended] = running.splice(endAt % running.length, 1);
            order.changeEnded(ended?.section ?? 0).forEach(start);
          }
        });
        for (const ended of running.splice(0)) order.changeEnded(ended.section).forEach(start);
        assert.deepEqual(started, [...arrivedAt.keys()]);
      }),
    );
  });
});
