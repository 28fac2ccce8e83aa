/** What comes while nobody wants it: told later, in order, and not at all when it is over. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { KeptEvents } from '#daemon/rpc/kept-events.js';

const NEVER = (): boolean => false;

describe('KeptEvents', () => {
  it('are told in order when they are wanted again', () => {
    const kept = new KeptEvents();
    const told: number[] = [];
    kept.pause();
    assert.equal(kept.isPaused, true);
    for (const number of [1, 2, 3]) kept.keep(() => told.push(number));
    assert.deepEqual(told, []);
    assert.equal(kept.resume(NEVER), true);
    assert.deepEqual([told, kept.isPaused], [[1, 2, 3], false]);
    kept.pause();
    assert.equal(kept.resume(NEVER), true);
    assert.deepEqual(told, [1, 2, 3], 'each once');
  });

  it('wait on when whoever is told of one pauses, and the rest is told then', () => {
    const kept = new KeptEvents();
    const told: string[] = [];
    kept.pause();
    kept.keep(() => {
      told.push('pauses');
      kept.pause();
    });
    kept.keep(() => told.push('behind'));
    assert.equal(kept.resume(NEVER), false);
    kept.keep(() => told.push('last'));
    assert.deepEqual(told, ['pauses']);
    assert.equal(kept.resume(NEVER), true);
    assert.deepEqual(told, ['pauses', 'behind', 'last']);
  });

  it('are told in order when whoever is told pauses and resumes', () => {
    const kept = new KeptEvents();
    const told: string[] = [];
    kept.pause();
    kept.keep(() => {
      told.push('first');
      kept.pause();
      kept.resume(NEVER);
    });
    kept.keep(() => told.push('second'));
    assert.equal(kept.resume(NEVER), true);
    assert.deepEqual(told, ['first', 'second']);
  });

  it('are not told any more when it is over', () => {
    const kept = new KeptEvents();
    const told: string[] = [];
    kept.pause();
    kept.keep(() => told.push('last words'));
    kept.keep(() => told.push('unheard'));
    kept.resume(() => told.length > 0);
    assert.deepEqual(told, ['last words']);
  });
});
