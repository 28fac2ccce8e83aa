/** What an operator may do to a volume whose node is away: end the waiting, or try at once. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { submitAsync } from '#daemon/block/block-device.js';
import { flushRequest, readRequest, writeRequest } from '#daemon/block/block-request.js';
import { StorageError } from '#daemon/rpc/storage-error.js';
import { block, HOLD_MS, openVolume, started, type Bench } from './volume-bench.js';

/** A volume whose node went away, after one answered write that no flush covers. */
async function awayBench(): Promise<Bench> {
  const bench = await openVolume();
  await submitAsync(bench.volume, writeRequest(512, block(9)));
  bench.node.away = new StorageError('unavailable', 'connection refused');
  bench.node.crash();
  return bench;
}

describe('failNow', () => {
  it('fails what waits and everything after it, and says how many', async () => {
    const { volume } = await awayBench();
    const write = started(volume, writeRequest(0, block(1)));
    const read = started(volume, readRequest(0, 512));
    assert.equal(volume.failNow(), 2);
    assert.deepEqual(
      [write, read],
      [
        { done: true, error: 'EIO' },
        { done: true, error: 'EIO' },
      ],
    );
    assert.deepEqual(volume.state.name, 'failing');
    assert.match(
      'detail' in volume.state ? volume.state.detail : '',
      /lost; waiting was ended by fail-now/,
    );
    assert.deepEqual(started(volume, readRequest(0, 512)), { done: true, error: 'EIO' });
  });

  it('loses no answered write, and sends none that failed, when the node is back', async () => {
    const { volume, node, clock } = await awayBench();
    started(volume, writeRequest(0, block(1)));
    volume.failNow();
    node.away = undefined;
    await clock.advance(3000);
    assert.equal(volume.state.name, 'active');
    await submitAsync(volume, flushRequest());
    assert.deepEqual(node.content.subarray(0, 512), block(0));
    assert.deepEqual(node.content.subarray(512, 1024), block(9));
  });

  it('changes nothing while the node answers, and nothing more the second time', async () => {
    const { volume } = await openVolume();
    assert.equal(volume.failNow(), 0);
    assert.equal(volume.state.name, 'active');
    const away = await awayBench();
    started(away.volume, readRequest(0, 512));
    assert.equal(away.volume.failNow(), 1);
    assert.equal(away.volume.failNow(), 0);
  });

  it('does not shorten the next outage', async () => {
    const { volume, node, clock } = await awayBench();
    await clock.advance(HOLD_MS / 2);
    volume.failNow();
    node.away = undefined;
    await clock.advance(3000);
    node.away = new StorageError('unavailable', 'connection refused');
    node.disconnect();
    const read = started(volume, readRequest(0, 512));
    await clock.advance(HOLD_MS / 2 + 1000);
    assert.deepEqual(read, { done: false });
    assert.equal(volume.state.name, 'holding');
  });
});

describe('retryNow', () => {
  it('tries at once, and resolves with the node back', async () => {
    const { volume, node } = await awayBench();
    node.away = undefined;
    await volume.retryNow();
    assert.equal(volume.state.name, 'active');
  });

  it('resolves also when the node is still away, and the tries go on by themselves', async () => {
    const { volume, node, clock } = await awayBench();
    await volume.retryNow();
    assert.equal(volume.state.name, 'holding');
    node.away = undefined;
    await clock.advance(3000);
    assert.equal(volume.state.name, 'active');
  });

  it('has nothing to wait for while the node answers, and after the end', async () => {
    const { volume } = await openVolume();
    await volume.retryNow();
    await volume.close();
    await volume.retryNow();
  });

  it('is not left waiting by a close', async () => {
    const { volume } = await awayBench();
    const retried = volume.retryNow();
    await volume.close();
    await retried;
  });
});
