/** How system errors become errors that a guest can see. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { BlockError } from '#daemon/block/block-error.js';

describe('BlockError.from', () => {
  it('returns a BlockError as it is', () => {
    const error = new BlockError('ENOSPC', 'full');
    assert.equal(BlockError.from(error), error);
  });

  it('keeps the system errors that mean something to a guest, and the original as cause', () => {
    const cause = Object.assign(new Error('write failed'), { code: 'EDQUOT' });
    const error = BlockError.from(cause);
    assert.equal(error.errno, 'ENOSPC');
    assert.equal(error.cause, cause);
    assert.equal(error.message, '[ENOSPC] write failed');
  });

  it('makes EIO of everything else', () => {
    assert.equal(BlockError.from(Object.assign(new Error('x'), { code: 'ENXIO' })).errno, 'EIO');
    assert.equal(BlockError.from('text').reason, 'text');
  });
});
