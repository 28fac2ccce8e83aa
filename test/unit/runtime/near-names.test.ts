/** Which names are near enough to be meant. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { nearNames, nearNamesHint } from '#daemon/runtime/near-names.js';

describe('nearNames', () => {
  it('finds names with swapped, missing, superfluous and wrong letters', () => {
    for (const typo of ['dtaa', 'dat', 'dataa', 'dato']) {
      assert.deepEqual(nearNames(typo, ['data', 'other']), ['data'], typo);
    }
  });

  it('finds names that begin with what was typed', () => {
    assert.deepEqual(nearNames('mail', ['mail-2024', 'www']), ['mail-2024']);
  });

  it('finds nothing when nothing is near', () => {
    assert.deepEqual(nearNames('v1', ['database', 'www']), []);
    assert.equal(nearNamesHint('v1', ['database']), '');
  });

  it('gives three names at most, the nearest first', () => {
    const known = ['volume9', 'volume10', 'volume11', 'volume12'];
    assert.deepEqual(nearNames('volume1', known), ['volume10', 'volume11', 'volume12']);
    assert.equal(nearNamesHint('datb', ['data', 'date']), '; did you mean data or date?');
  });
});
