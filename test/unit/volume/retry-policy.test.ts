/** How long the volume waits between two tries. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { retryWaitMs } from '#daemon/volume/retry-policy.js';

describe('retryWaitMs', () => {
  it('begins between 25 and 50 ms', () => {
    assert.equal(retryWaitMs(0, 0), 25);
    assert.equal(retryWaitMs(0, 1), 50);
  });

  it('doubles with each failed try and ends at half a second', () => {
    assert.equal(retryWaitMs(1, 1), 100);
    assert.equal(retryWaitMs(3, 1), 400);
    assert.equal(retryWaitMs(50, 1), 500);
    assert.equal(retryWaitMs(5000, 0), 250);
  });
});
