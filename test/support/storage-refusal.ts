/** For assert.throws and assert.rejects: a StorageError of this kind whose sentence matches. */
import assert from 'node:assert/strict';
import { StorageError, type StorageErrorKind } from '#daemon/rpc/storage-error.js';

export function refusal(kind: StorageErrorKind, sentence: RegExp): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof StorageError, String(error));
    assert.equal(error.kind, kind);
    assert.match(error.message, sentence);
    return true;
  };
}
