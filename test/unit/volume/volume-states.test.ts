/**
 * The volume core while its node is away, when its lease is lost, and at its end.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { BlockError } from '#daemon/block/block-error.js';
import { submitAsync } from '#daemon/block/block-device.js';
import { readRequest, writeRequest } from '#daemon/block/block-request.js';
import { StorageError } from '#daemon/rpc/storage-error.js';

import { settle } from '#test/support/fake-clock.js';
import { HOLD_MS, block, openVolume, started } from './volume-bench.js';

describe('Volume while its node is away', () => {
  it('holds requests and answers them when the node is back', async () => {
    const { volume, node, clock } = await openVolume();
    node.away = new StorageError('unavailable', 'connection refused');
    node.disconnect();
    const read = started(volume, readRequest(0, 512));
    await clock.advance(HOLD_MS / 2);
    assert.equal(volume.state.name, 'holding');
    assert.equal(read.done, false);
    node.away = undefined;
    await clock.advance(3000);
    assert.deepEqual(read, { done: true });
  });

  it('fails them with EIO after the hold time, and goes on when the node is back', async () => {
    const { volume, node, clock } = await openVolume();
    node.away = new StorageError('unavailable', 'connection refused');
    node.disconnect();
    const write = started(volume, writeRequest(0, block(1)));
    await clock.advance(HOLD_MS);
    assert.deepEqual(write, { done: true, error: 'EIO' });
    assert.equal(volume.state.name, 'failing');
    assert.equal(volume.hasRoom(), true, 'a client that is refused need not wait');
    node.away = undefined;
    await clock.advance(3000);
    assert.equal(volume.state.name, 'active');
    assert.deepEqual(
      node.content.subarray(0, 512),
      block(0),
      'a write answered with an error is not sent later',
    );
  });

  it('tries at once when the node is connected again, whatever is left of the wait', async () => {
    const { volume, node, clock } = await openVolume();
    node.away = new StorageError('unavailable', 'connection refused');
    node.disconnect();
    await clock.advance(5000);
    assert.equal(node.awaiting.size, 1);
    node.away = undefined;
    for (const connected of node.awaiting) connected();
    await settle();
    assert.equal(volume.state.name, 'active');
    assert.equal(node.awaiting.size, 0);
  });

  it('keeps answered writes over the hold time', async () => {
    const { volume, node, clock } = await openVolume();
    await submitAsync(volume, writeRequest(0, block(9)));
    node.away = new StorageError('unavailable', 'connection refused');
    node.crash();
    await clock.advance(HOLD_MS * 2);
    node.away = undefined;
    await clock.advance(3000);
    assert.deepEqual(node.content.subarray(0, 512), block(9));
  });

  it('opens the next session under the same generation', async () => {
    const { node, clock } = await openVolume();
    node.disconnect();
    await clock.advance(100);
    assert.deepEqual(
      node.opens.map(({ generation }) => generation),
      [1, 1],
    );
  });

  it('stops for good, with EIO and the reason, when another writer took over', async () => {
    const { volume, node, clock, states } = await openVolume({ takeOver: true });
    node.hold();
    const write = started(volume, writeRequest(0, block(1)));
    node.leaseError = new StorageError('fenced', 'volume v1 had another writer');
    node.disconnect(new StorageError('fenced', 'blkferryd on host b has taken the volume over'));
    await settle();
    assert.deepEqual(write, { done: true, error: 'EIO' });
    await clock.advance(HOLD_MS);
    assert.equal(node.opens.length, 1, 'it does not try again');
    assert.deepEqual(states.at(-1), {
      name: 'fenced',
      detail: 'blkferryd on host b has taken the volume over; volume v1 had another writer',
      takenOver: true,
    });
    assert.deepEqual(node.takeOvers, [true, false], 'it does not take back what it lost');
  });

  it('goes on when only its own late call had taken the lease from it', async () => {
    const { volume, node } = await openVolume();
    await submitAsync(volume, writeRequest(0, block(1)));
    node.hold();
    const write = started(volume, writeRequest(512, block(2)));
    node.disconnect(new StorageError('fenced', 'volume v1 was taken over by test (generation 2)'));
    node.unhold();
    await settle();
    assert.deepEqual(write, { done: true });
    assert.deepEqual(node.expectedGenerations, [0, 1], 'it asks whether anybody else wrote');
    assert.equal(volume.generation, 2);
  });

  it('gives way when it is evicted again and again: somebody uses its attachment id', async () => {
    const { volume, node } = await openVolume();
    const evicted = new StorageError('fenced', 'volume v1 was taken over by test');
    for (let times = 1; times <= 10 && volume.state.name !== 'fenced'; times += 1) {
      node.disconnect(evicted);
      await settle();
    }
    assert.equal(volume.state.name, 'fenced');
    assert.equal(node.opens.length, 3);
  });
});

describe('Volume at its end', () => {
  it('drains: waits for what is in flight, flushes, and refuses new requests', async () => {
    const { volume, node } = await openVolume();
    node.hold();
    const write = started(volume, writeRequest(0, block(3)));
    const drained = volume.drain(1000);
    await assert.rejects(
      submitAsync(volume, readRequest(0, 512)),
      (error: BlockError) => error.errno === 'ESHUTDOWN',
    );
    node.unhold();
    await drained;
    assert.deepEqual(write, { done: true });
    assert.deepEqual(node.durableContent.subarray(0, 512), block(3));
    assert.equal(volume.unflushedBytes, 0);
  });

  it('says what is left when the node is away until the deadline', async () => {
    const { volume, node, clock } = await openVolume();
    await submitAsync(volume, writeRequest(0, block(3)));
    node.away = new StorageError('unavailable', 'connection refused');
    node.disconnect();
    const drained = assert.rejects(volume.drain(1000), /512 bytes of answered writes/);
    await clock.advance(1001);
    await drained;
  });

  it('leaves no timer behind when it is closed', async () => {
    const { volume, node, clock } = await openVolume();
    node.away = new StorageError('unavailable', 'connection refused');
    node.disconnect();
    await clock.advance(10);
    const read = started(volume, readRequest(0, 512));
    await volume.close();
    assert.deepEqual(read, { done: true, error: 'ESHUTDOWN' });
    assert.equal(clock.timerCount, 0);
  });

  it('refuses writes and takes no lease when it is read-only', async () => {
    const { volume, node } = await openVolume({ readOnly: true });
    await assert.rejects(
      submitAsync(volume, writeRequest(0, block(1))),
      (error: BlockError) => error.errno === 'EPERM',
    );
    assert.equal(node.generation, 0);
    assert.equal(node.opens[0]?.generation, 0);
  });
});
