/** Errors that pass between threads: what code and people read of them arrives. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { BlockError } from '#daemon/block/block-error.js';
import { StorageError } from '#daemon/rpc/storage-error.js';
import { FlushFailure } from '#daemon/block/flush-failure.js';
import { heardError, heardStorageError, toldError } from '#daemon/threads/told-error.js';

function passed(error: unknown): Error {
  return heardError(structuredClone(toldError(error)));
}

describe('an error that is told to another thread', () => {
  it('keeps errno, class and sentence of a request that failed', () => {
    for (const error of [
      new BlockError('ENOSPC', 'no room'),
      new FlushFailure('EIO', 'the disk is gone'),
    ]) {
      const heard = passed(error);
      assert.ok(heard instanceof BlockError);
      assert.equal(heard instanceof FlushFailure, error instanceof FlushFailure);
      assert.deepEqual([heard.errno, heard.reason], [error.errno, error.reason]);
    }
  });

  it('keeps kind and sentence of a session that ended', () => {
    const heard = heardStorageError(toldError(new StorageError('fenced', 'another writes')));
    assert.deepEqual([heard.kind, heard.message], ['fenced', 'another writes']);
  });

  it("keeps the system's code, by which a missing file is known", () => {
    const missing = Object.assign(new Error('ENOENT: no such file'), { code: 'ENOENT' });
    const heard = passed(missing) as NodeJS.ErrnoException;
    assert.deepEqual([heard.code, heard.message], ['ENOENT', 'ENOENT: no such file']);
    assert.equal('code' in passed(new Error('a bug')), false);
    assert.equal(passed('a word').message, 'a word');
  });
});
