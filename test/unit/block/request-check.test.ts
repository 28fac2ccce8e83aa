/** The door: for each accepted request, its refused neighbour. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  BLOCK_FLAG,
  flushRequest,
  rangeRequest,
  readRequest,
  writeRequest,
  type BlockRequest,
} from '#daemon/block/block-request.js';
import type { DeviceFacts } from '#daemon/block/device-facts.js';
import { checkRequest } from '#daemon/block/request-check.js';

const FACTS: DeviceFacts = {
  sizeBytes: 1024 * 1024,
  blockBytes: 512,
  preferredBytes: 4096,
  requestBytesMax: 64 * 1024,
  capabilities: {
    canWrite: true,
    fua: 'emulated',
    canTrim: true,
    canFastZero: true,
    canBlockStatus: true,
  },
};
const READ_ONLY: DeviceFacts = {
  ...FACTS,
  capabilities: { ...FACTS.capabilities, canWrite: false },
};

function errnoOf(request: BlockRequest, facts = FACTS): string | undefined {
  return checkRequest(request, facts)?.errno;
}

describe('checkRequest', () => {
  it('accepts a read that ends at the last byte and refuses the next one with EINVAL', () => {
    assert.equal(errnoOf(readRequest(FACTS.sizeBytes - 512, 512)), undefined);
    assert.equal(errnoOf(readRequest(FACTS.sizeBytes - 512, 1024)), 'EINVAL');
  });

  it('refuses a write or write-zeroes beyond the end with ENOSPC, a trim with EINVAL', () => {
    assert.equal(errnoOf(writeRequest(FACTS.sizeBytes, Buffer.alloc(512))), 'ENOSPC');
    assert.equal(errnoOf(rangeRequest('write-zeroes', FACTS.sizeBytes, 512)), 'ENOSPC');
    assert.equal(errnoOf(rangeRequest('trim', FACTS.sizeBytes, 512)), 'EINVAL');
  });

  it('refuses an offset that is beyond what a number can count exactly', () => {
    assert.equal(errnoOf(readRequest(2 ** 64 - 512, 512)), 'EINVAL');
    assert.equal(errnoOf(writeRequest(2 ** 63, Buffer.alloc(512))), 'ENOSPC');
  });

  it('refuses what is not aligned to the block size', () => {
    assert.equal(errnoOf(readRequest(1, 512)), 'EINVAL');
    assert.equal(errnoOf(readRequest(0, 513)), 'EINVAL');
    assert.equal(errnoOf(readRequest(512, 512)), undefined);
  });

  it('refuses an empty range', () => {
    assert.equal(errnoOf(readRequest(0, 0)), 'EINVAL');
    assert.equal(errnoOf(rangeRequest('trim', 0, 0)), 'EINVAL');
  });

  it('limits the length of reads and writes, but not of requests without data', () => {
    assert.equal(errnoOf(readRequest(0, FACTS.requestBytesMax)), undefined);
    assert.equal(errnoOf(readRequest(0, FACTS.requestBytesMax + 512)), 'EINVAL');
    assert.equal(errnoOf(rangeRequest('write-zeroes', 0, FACTS.sizeBytes)), undefined);
  });

  it('refuses every change on a read-only device with EPERM, and nothing else', () => {
    assert.equal(errnoOf(writeRequest(0, Buffer.alloc(512)), READ_ONLY), 'EPERM');
    assert.equal(errnoOf(rangeRequest('trim', 0, 512), READ_ONLY), 'EPERM');
    assert.equal(errnoOf(rangeRequest('write-zeroes', 0, 512), READ_ONLY), 'EPERM');
    assert.equal(errnoOf(readRequest(0, 512), READ_ONLY), undefined);
    assert.equal(errnoOf(flushRequest(), READ_ONLY), undefined);
  });

  it('allows each flag only where it means something', () => {
    assert.equal(
      errnoOf(rangeRequest('write-zeroes', 0, 512, BLOCK_FLAG.NO_HOLE | BLOCK_FLAG.FAST_ZERO)),
      undefined,
    );
    assert.equal(errnoOf(rangeRequest('trim', 0, 512, BLOCK_FLAG.NO_HOLE)), 'EINVAL');
    assert.equal(errnoOf(rangeRequest('block-status', 0, 512, BLOCK_FLAG.ONE_EXTENT)), undefined);
    assert.equal(errnoOf(writeRequest(0, Buffer.alloc(512), BLOCK_FLAG.ONE_EXTENT)), 'EINVAL');
    assert.equal(errnoOf(writeRequest(0, Buffer.alloc(512), BLOCK_FLAG.FUA)), undefined);
  });

  it('refuses a flush that names a range', () => {
    assert.equal(errnoOf(flushRequest()), undefined);
    assert.equal(errnoOf({ ...flushRequest(), offsetBytes: 512 }), 'EINVAL');
  });
});
