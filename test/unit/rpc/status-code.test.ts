/** Kinds of errors and numbers of the wire: nothing is lost on the way there and back. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { status } from '@grpc/grpc-js';
import { BLOCK_ERRNO, BlockError, type BlockErrno } from '#daemon/block/block-error.js';
import { status as ours } from '#daemon/rpc/grpc-status.js';
import { kindOfStatus, toBlockError, toServiceError } from '#daemon/rpc/status-code.js';
import { StorageError, type StorageErrorKind } from '#daemon/rpc/storage-error.js';

/** As the comments of storage.proto say. */
const BY_PROTOCOL: Readonly<Record<StorageErrorKind, status>> = {
  'not-found': status.NOT_FOUND,
  exists: status.ALREADY_EXISTS,
  refused: status.FAILED_PRECONDITION,
  fenced: status.ABORTED,
  invalid: status.INVALID_ARGUMENT,
  exhausted: status.RESOURCE_EXHAUSTED,
  damaged: status.DATA_LOSS,
  unavailable: status.UNAVAILABLE,
  denied: status.PERMISSION_DENIED,
  internal: status.INTERNAL,
};

describe('gRPC status codes', () => {
  it('are those of grpc-js, by their names', () => {
    const numbers = Object.entries(status).filter(([, code]) => typeof code === 'number');
    assert.deepEqual(Object.fromEntries(numbers), ours);
  });
});

describe('error kinds and gRPC status codes', () => {
  it('fit each other both ways, and the sentence is kept', () => {
    for (const [kind, code] of Object.entries(BY_PROTOCOL) as [StorageErrorKind, status][]) {
      const sent = toServiceError(new StorageError(kind, 'a sentence'));
      assert.deepEqual(sent, { code, details: 'a sentence' });
      assert.equal(kindOfStatus(code), kind);
    }
  });

  it('have a kind for every code, also for those that gRPC does not define', () => {
    for (const code of Object.values(status).filter((value) => typeof value === 'number'))
      assert.ok(kindOfStatus(code) in BY_PROTOCOL, status[code]);
    assert.equal(kindOfStatus(status.DEADLINE_EXCEEDED), 'unavailable');
    assert.equal(kindOfStatus(status.CANCELLED), 'unavailable');
    for (const code of [-1, 17, 1e9, Number.NaN]) assert.equal(kindOfStatus(code), 'internal');
  });

  it('make a full disk "exhausted" and anything unexpected "internal"', () => {
    const full = new BlockError('ENOSPC', 'no space left');
    assert.deepEqual(toServiceError(full), {
      code: status.RESOURCE_EXHAUSTED,
      details: 'no space left',
    });
    assert.deepEqual(toServiceError(new TypeError('x is not a function')), {
      code: status.INTERNAL,
      details: 'x is not a function',
    });
    assert.deepEqual(toServiceError('just so'), { code: status.INTERNAL, details: 'just so' });
  });
});

describe('a status message', () => {
  it('is cut and made well-formed, because names in it came over the wire', () => {
    const { details } = toServiceError(new StorageError('not-found', `\ud800${'x'.repeat(5000)}`));
    assert.equal(details, `\ufffd${'x'.repeat(999)}`);
    encodeURI(details);
    const cutInHalf = toServiceError(new StorageError('invalid', `${'x'.repeat(999)}\u{1f600}`));
    assert.equal(cutInHalf.details, `${'x'.repeat(999)}\ufffd`);
  });
});

describe('error numbers of the wire', () => {
  it('are those of storage.proto', () => {
    const byProtocol: Readonly<Record<BlockErrno, number>> = {
      EPERM: 1,
      EIO: 5,
      ENOMEM: 12,
      EINVAL: 22,
      ENOSPC: 28,
      EOVERFLOW: 75,
      ENOTSUP: 95,
      ESHUTDOWN: 108,
    };
    assert.deepEqual({ ...BLOCK_ERRNO }, byProtocol);
    for (const [errno, number] of Object.entries(byProtocol)) {
      const error = toBlockError(number, 'why');
      assert.deepEqual([error.errno, error.reason], [errno, 'why']);
    }
  });

  it('that are unknown become EIO with the number in the sentence', () => {
    assert.equal(toBlockError(999, 'odd disk').message, '[EIO] odd disk (error 999)');
    assert.equal(toBlockError(999, '').message, '[EIO] (error 999)');
    assert.equal(toBlockError(5, '').message, '[EIO] the node gave no reason');
  });
});
