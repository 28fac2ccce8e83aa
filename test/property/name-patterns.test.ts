/** Patterns of names against a naive reading of the same sentence, for patterns and names nobody thought of. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { matches } from '#daemon/config/name-pattern.js';

/** The meaning, written down without any thought of time: a star is nothing, or one character and a star. */
function naive(pattern: string, name: string): boolean {
  if (pattern === '') return name === '';
  const [first, rest] = [pattern[0], pattern.slice(1)];
  if (first === '*') return naive(rest, name) || (name !== '' && naive(pattern, name.slice(1)));
  return name !== '' && name[0] === first && naive(rest, name.slice(1));
}

const letters = (maxLength: number): fc.Arbitrary<string> =>
  fc.array(fc.constantFrom('a', 'b', '.', '*'), { maxLength }).map((parts) => parts.join(''));

describe('patterns of names', () => {
  it('match what a naive reading matches', () => {
    fc.assert(
      fc.property(letters(8), letters(10), (pattern, name) => {
        assert.equal(matches(pattern, name), naive(pattern, name));
      }),
      { numRuns: 5000 },
    );
  });

  it('made of a name by replacing parts of it with stars match the name', () => {
    const parts = fc.array(fc.tuple(fc.string(), fc.boolean()), { maxLength: 6 });
    fc.assert(
      fc.property(parts, (given) => {
        const name = given.map(([part]) => part).join('');
        const pattern = given.map(([part, hidden]) => (hidden ? '*' : part)).join('');
        assert.ok(matches(pattern, name));
      }),
    );
  });
});
