/** Goal: spans and moments read as people say them. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { momentInWords, spanInWords } from '#daemon/cli/time-words.js';

describe('spanInWords', () => {
  it('names the two largest units', () => {
    assert.equal(spanInWords(0), '0 s');
    assert.equal(spanInWords(59_999), '59 s');
    assert.equal(spanInWords(61_000), '1 min 1 s');
    assert.equal(spanInWords(3_600_000), '1 h');
    assert.equal(spanInWords(93_784_000), '1 d 2 h');
    assert.equal(spanInWords(86_400_000 + 59_000), '1 d');
  });
});

describe('momentInWords', () => {
  it('is ISO 8601 in UTC to the second', () => {
    assert.equal(momentInWords(Date.UTC(2026, 10, 23, 1, 2, 3, 456)), '2026-11-23T01:02:03Z');
  });
});
