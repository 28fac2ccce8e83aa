/** Connections to a node are made a few at a time. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { DIALS_MAX, DialTurns } from '#daemon/rpc/dial-turns.js';
import { settle } from '#test/support/fake-clock.js';

/** Work that ends when it is told to. */
function held(): { work: () => Promise<number>; end: (outcome: number | Error) => void } {
  let end: (outcome: number | Error) => void = () => undefined;
  const ended = new Promise<number>((resolve, reject) => {
    end = (outcome) => {
      if (outcome instanceof Error) reject(outcome);
      else resolve(outcome);
    };
  });
  return { work: () => ended, end };
}

describe('DialTurns', () => {
  it('begins as many as may be at once, and one more when one has ended, well or not', async () => {
    const turns = new DialTurns();
    const begun: number[] = [];
    const all = Array.from({ length: DIALS_MAX + 3 }, held);
    const outcomes = all.map(({ work }, index) =>
      turns
        .run(() => {
          begun.push(index);
          return work();
        })
        .catch((error: unknown) => (error as Error).message),
    );
    await settle();
    assert.equal(begun.length, DIALS_MAX);
    all[0]?.end(7);
    await settle();
    assert.equal(begun.length, DIALS_MAX + 1);
    all[1]?.end(new Error('refused'));
    all[2]?.end(8);
    await settle();
    assert.deepEqual(begun.slice(DIALS_MAX), [DIALS_MAX, DIALS_MAX + 1, DIALS_MAX + 2]);
    for (const { end } of all) end(9);
    assert.deepEqual((await Promise.all(outcomes)).slice(0, 4), [7, 'refused', 8, 9]);
    assert.equal(await turns.run(() => Promise.resolve(1)), 1, 'there is room again');
  });

  it('goes on when work cannot even begin', async () => {
    const turns = new DialTurns(1);
    const broken = (): Promise<number> => {
      throw new Error('no');
    };
    await assert.rejects(turns.run(broken), /no/);
    assert.equal(await turns.run(() => Promise.resolve(2)), 2);
  });
});
