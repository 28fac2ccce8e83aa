/** What clients may be owed is for all threads together, and enough in each. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { replyBytesOf } from '#daemon/config/nbd-settings.js';

const MIB = 1024 * 1024;

function shareMib(workers: number, allMib: number): number {
  return replyBytesOf({ workers, 'nbd.reply_bytes_max': allMib * MIB }) / MIB;
}

describe('replyBytesOf', () => {
  it('is all of it where one thread does everything', () => {
    assert.equal(shareMib(1, 512), 512);
  });

  it('is an equal part for each worker and for the main thread', () => {
    assert.equal(shareMib(3, 512), 128);
  });

  it('is never less than the longest answer needs beside short ones', () => {
    assert.equal(shareMib(64, 512), 64);
  });
});
