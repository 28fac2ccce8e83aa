/** Work on one volume happens one at a time, and not without limit. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { StorageError } from '#daemon/rpc/storage-error.js';
import { TURNS_WAITING_MAX, VolumeTurns } from '#daemon/storage-node/volume-turns.js';
import { settle } from '#test/support/fake-clock.js';

describe('VolumeTurns', () => {
  it('runs work of one volume one after the other, also after a failure, and of two at once', async () => {
    const turns = new VolumeTurns();
    const told: string[] = [];
    let finish: () => void = () => undefined;
    const first = turns.run('a', async () => {
      told.push('first begins');
      await new Promise<void>((resolve) => {
        finish = resolve;
      });
      throw new Error('first fails');
    });
    const second = turns.run('a', () => {
      told.push('second');
      return Promise.resolve(2);
    });
    await turns.run('b', () => {
      told.push('other volume');
      return Promise.resolve();
    });
    await settle();
    assert.deepEqual(told, ['first begins', 'other volume']);
    finish();
    await assert.rejects(first, /first fails/);
    assert.equal(await second, 2);
    assert.deepEqual(told, ['first begins', 'other volume', 'second']);
  });

  it('refuses one more than may wait, and has room again afterwards', async () => {
    const turns = new VolumeTurns();
    let finish: () => void = () => undefined;
    const hanging = new Promise<void>((resolve) => {
      finish = resolve;
    });
    const waiting = Array.from({ length: TURNS_WAITING_MAX }, () => turns.run('a', () => hanging));
    await assert.rejects(
      turns.run('a', () => Promise.resolve()),
      (error: unknown) =>
        error instanceof StorageError &&
        error.kind === 'exhausted' &&
        /100 calls wait for volume a: its storage does not answer/.test(error.message),
    );
    finish();
    await Promise.all(waiting);
    assert.equal(await turns.run('a', () => Promise.resolve('again')), 'again');
  });
});
