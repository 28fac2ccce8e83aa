/** What the replay log keeps: a row that is added to behind and dropped from in front. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { ReplayRow } from '#daemon/volume/replay-row.js';

function rowOf(...sequences: number[]): ReplayRow<{ sequence: number }> {
  const row = new ReplayRow<{ sequence: number }>();
  for (const sequence of sequences) row.add({ sequence });
  return row;
}

function from(row: ReplayRow<{ sequence: number }>, sequence: number): number[] {
  return [...row.from(sequence)].map((one) => one.sequence);
}

describe('ReplayRow', () => {
  it('finds by sequence, also behind gaps, and nothing that is not there', () => {
    const row = rowOf(3, 4, 9);
    assert.equal(row.find(4)?.sequence, 4);
    for (const absent of [2, 5, 10]) assert.equal(row.find(absent), undefined);
    assert.deepEqual(from(row, 4), [4, 9]);
    assert.deepEqual(from(row, 5), [9]);
    assert.deepEqual(from(row, 10), []);
  });

  it('drops the first and takes one out of the middle', () => {
    const row = rowOf(1, 2, 3);
    row.dropFirst();
    assert.deepEqual([row.count, row.first?.sequence, row.find(1)], [2, 2, undefined]);
    assert.equal(row.take(3)?.sequence, 3);
    assert.equal(row.take(3), undefined);
    row.dropFirst();
    assert.deepEqual([row.count, row.first], [0, undefined]);
    row.add({ sequence: 7 });
    assert.deepEqual(from(row, 0), [7]);
  });

  it('is what a sorted map would be, over thousands of changes', () => {
    const change = fc.constantFrom('add', 'add', 'drop', 'take');
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 6000 }), (changes) => {
        const row = rowOf();
        const model: number[] = [];
        changes.forEach((kind, index) => {
          if (kind === 'add') {
            row.add({ sequence: index });
            model.push(index);
          } else if (kind === 'drop' && model.length > 0) {
            row.dropFirst();
            model.shift();
          } else if (kind === 'take') {
            const place = index % (model.length + 1);
            const sequence = model[place] ?? -1;
            assert.equal(row.take(sequence)?.sequence, model[place]);
            model.splice(place, 1);
          }
        });
        assert.equal(row.count, model.length);
        assert.deepEqual(from(row, 0), model);
      }),
      { numRuns: 30 },
    );
  });
});
