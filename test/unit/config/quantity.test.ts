/** Amounts as people write them, and their refused neighbours. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  exactBytes,
  formatBytes,
  formatDuration,
  parseBytes,
  parseDuration,
} from '#daemon/config/quantity.js';

describe('parseBytes', () => {
  it('reads units of 1024, with or without iB, in any case', () => {
    for (const text of ['65536', '64K', '64k', '64KiB', '64kb', '64 KiB', '65536B']) {
      assert.equal(parseBytes(text), 65_536, text);
    }
    assert.equal(parseBytes('1.5T'), 1.5 * 1024 ** 4);
    assert.equal(parseBytes('20G'), 20 * 1024 ** 3);
    assert.equal(parseBytes('9007199254740991'), Number.MAX_SAFE_INTEGER);
  });

  it('refuses what is not a whole number of bytes, or too many', () => {
    for (const text of [
      '',
      '1.5',
      '0.3K',
      '-1',
      '1e6',
      '1X',
      'G',
      '9000P',
      '1 2',
      '9007199254740992',
    ]) {
      assert.throws(() => parseBytes(text), /is not a size such as 4096, 64KiB, 20G or 1.5T/, text);
    }
  });
});

describe('parseDuration', () => {
  it('wants a unit', () => {
    assert.equal(parseDuration('500ms'), 500);
    assert.equal(parseDuration('1.5s'), 1500);
    assert.equal(parseDuration('2min'), 120_000);
    assert.equal(parseDuration('1h'), 3_600_000);
    for (const text of ['5', '5 days', '0.5ms', '', 's'])
      assert.throws(() => parseDuration(text), /with its unit/, text);
  });
});

describe('a fraction', () => {
  it('is exact, also where floating point would round', () => {
    // In floating point: 3960000.0000000005, 1000.9999999999999 and 4096.
    assert.equal(parseDuration('1.1h'), 3_960_000);
    assert.equal(parseDuration('1.001s'), 1001);
    assert.throws(() => parseDuration('1.0001s'), /is not a time/);
    assert.equal(parseBytes('0.0000000000009094947017729282379150390625T'), 1);
    assert.throws(() => parseBytes('4.0000000000000001K'), /is not a size/);
  });
});

describe('formatBytes and the exact forms', () => {
  it('shows three digits at most', () => {
    assert.equal(formatBytes(0), '0 B');
    assert.equal(formatBytes(1023), '1023 B');
    assert.equal(formatBytes(1024 ** 3), '1 GiB');
    assert.equal(formatBytes(1.25 * 1024 ** 3), '1.3 GiB');
    assert.equal(formatBytes(812.4 * 1024 ** 2), '812 MiB');
  });

  it('writes what the parsers read back', () => {
    for (const bytes of [0, 1, 512, 65_536, 3 * 1024 ** 3, 1025])
      assert.equal(parseBytes(exactBytes(bytes)), bytes);
    for (const ms of [1, 500, 1000, 90_000, 7_200_000])
      assert.equal(parseDuration(formatDuration(ms)), ms);
  });
});
