/** A volume tells when its clients ask and are answered, also by what was read ahead and by the write cache. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { BlockError } from '#daemon/block/block-error.js';
import { readRequest, writeRequest } from '#daemon/block/block-request.js';
import { StorageError } from '#daemon/rpc/storage-error.js';
import type { Expectation } from '#daemon/volume/client-waits.js';
import { HOLD_MS, block, openVolume, started } from './volume-bench.js';

function watched(): { told: string[]; expectation: Expectation } {
  const told: string[] = [];
  const expectation = {
    asked: (_volume: object, unanswered: number) => told.push(`asked ${unanswered}`),
    answered: (_volume: object, unanswered: number) => told.push(`answered ${unanswered}`),
  };
  return { told, expectation };
}

describe('what a volume tells of its clients', () => {
  it('is each request and each answer, with how many wait', async () => {
    const { told, expectation } = watched();
    const { volume, node } = await openVolume({ expectation });
    node.hold();
    started(volume, writeRequest(0, block(1)));
    started(volume, readRequest(0, 512));
    node.answer();
    assert.deepEqual(told, ['asked 1', 'asked 2', 'answered 1', 'answered 0']);
  });

  it('is an answer of the write cache when it is given, and once', async () => {
    const { told, expectation } = watched();
    const { volume, node, clock } = await openVolume({ expectation, writeCache: true });
    started(volume, writeRequest(0, block(1)));
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(told, ['asked 1', 'answered 0']);
    await clock.advance(10);
    assert.equal(node.received.length, 1);
    assert.equal(told.length, 2);
  });

  it('is a failure too, and nothing of requests that were refused at the door', async () => {
    const { told, expectation } = watched();
    const { volume, node, clock } = await openVolume({ expectation });
    started(volume, readRequest(1, 512));
    assert.deepEqual(told, []);
    node.away = new StorageError('unavailable', 'away');
    node.disconnect(new StorageError('unavailable', 'away'));
    const read = started(volume, readRequest(0, 512));
    await clock.advance(HOLD_MS);
    assert.equal(read.error, 'EIO' satisfies BlockError['errno']);
    assert.deepEqual(told, ['asked 1', 'answered 0']);
  });
});
