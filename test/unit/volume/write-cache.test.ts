/** `write_cache = on`: a write is answered when the replay log has it, and nothing else changes. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { BlockError } from '#daemon/block/block-error.js';
import {
  BLOCK_FLAG,
  flushRequest,
  readRequest,
  writeRequest,
} from '#daemon/block/block-request.js';
import { StorageError } from '#daemon/rpc/storage-error.js';
import { GATHER_MS } from '#daemon/volume/write-cache.js';
import { PretendNode } from '#test/support/pretend-node.js';
import { HOLD_MS, block, openVolume, started, type Bench } from './volume-bench.js';

/** Of the event loop: everything that was deferred has happened. */
function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

async function cachedVolume(): Promise<Bench> {
  const bench = await openVolume({ writeCache: true });
  bench.node.hold();
  return bench;
}

describe('a volume with a write cache', () => {
  it('answers a write before the node has, and counts it as in flight until then', async () => {
    const { volume, node, clock } = await cachedVolume();
    const write = started(volume, writeRequest(0, block(1)));
    assert.equal(write.done, false);
    await turn();
    assert.deepEqual([write.done, node.waitingCount, volume.requestsInFlight], [true, 0, 1]);
    await clock.advance(GATHER_MS);
    assert.deepEqual([node.waitingCount, volume.requestsInFlight], [1, 1]);
    node.answer();
    assert.equal(volume.requestsInFlight, 0);
    assert.equal(volume.counters.writeRequests, 1);
  });

  it('sends changes in their order, reads behind them', async () => {
    const { volume, node } = await cachedVolume();
    started(volume, writeRequest(0, block(1)));
    await turn();
    started(volume, writeRequest(0, block(2)));
    await turn();
    started(volume, readRequest(0, 512));
    await turn();
    assert.deepEqual(
      node.received.map(({ request }) => [request.kind, request.payload[0]?.[0]]),
      [
        ['write', 1],
        ['write', 2],
        ['read', undefined],
      ],
    );
  });

  it('answers what promises durability when the node has', async () => {
    const { volume, node } = await cachedVolume();
    const durable = started(volume, writeRequest(0, block(1), BLOCK_FLAG.FUA));
    const flush = started(volume, flushRequest());
    await turn();
    assert.deepEqual([durable.done, flush.done], [false, false]);
    node.answer();
    assert.deepEqual([durable.done, flush.done], [true, true]);
  });

  it('lets clients wait when so many are on their way as may be in flight', async () => {
    const { volume, node } = await cachedVolume();
    for (let index = 0; index < 16; index += 1)
      started(volume, writeRequest(index * 512, block(1)));
    await turn();
    assert.equal(volume.hasRoom(), false);
    node.answer(1);
    assert.equal(volume.hasRoom(), true);
  });

  it('answers as without one while the node is away', async () => {
    const { volume, node } = await cachedVolume();
    node.away = new StorageError('unavailable', 'away');
    node.disconnect(new StorageError('unavailable', 'away'));
    const write = started(volume, writeRequest(0, block(1)));
    await turn();
    assert.equal(write.done, false);
  });

  it('answers when the node has while the node lags behind: what waits is not on its way', async () => {
    const node = new PretendNode();
    node.requestsInFlightMax = 1;
    const { volume } = await openVolume({ writeCache: true, node });
    node.hold();
    const first = started(volume, flushRequest());
    const second = started(volume, flushRequest());
    const write = started(volume, writeRequest(0, block(1)));
    await turn();
    assert.equal(write.done, false);
    node.unhold();
    await turn();
    assert.deepEqual([first.done, second.done, write.done], [true, true, true]);
  });

  it('gathers what it has answered for a moment, and no longer, whatever comes meanwhile', async () => {
    const { volume, node, clock } = await cachedVolume();
    started(volume, writeRequest(0, block(1)));
    await turn();
    const second = started(volume, writeRequest(512, block(2)));
    await turn();
    const third = started(volume, writeRequest(1024, block(3)));
    await turn();
    assert.deepEqual([second.done, third.done, node.waitingCount], [true, true, 0]);
    assert.equal(volume.requestsInFlight, 3);
    await clock.advance(GATHER_MS);
    assert.equal(node.waitingCount, 3);
    started(volume, writeRequest(1536, block(4)));
    await turn();
    node.answer();
    assert.deepEqual([node.waitingCount, volume.requestsInFlight], [0, 1]);
    await clock.advance(GATHER_MS);
    node.answer();
    assert.equal(volume.requestsInFlight, 0);
  });

  it('takes what it has gathered along when something else is sent, which may depend on it', async () => {
    const { volume, node, clock } = await cachedVolume();
    started(volume, writeRequest(0, block(1)));
    await turn();
    started(volume, flushRequest());
    assert.deepEqual(
      node.received.map(({ request }) => request.kind),
      ['write', 'flush'],
    );
    await clock.advance(GATHER_MS);
    assert.equal(node.received.length, 2);
  });

  it('gathers no more than a frame', async () => {
    const { volume, node } = await cachedVolume();
    for (let index = 0; index < 6; index += 1) {
      started(volume, writeRequest(index * 65_536, block(index, 65_536)));
      await turn();
    }
    // Four are a frame, two wait for their time.
    assert.deepEqual([node.waitingCount, volume.requestsInFlight], [4, 6]);
  });

  it('gathers no more than what may be in flight', async () => {
    const { volume, node } = await cachedVolume();
    for (let index = 0; index < 16; index += 1) {
      started(volume, writeRequest(index * 512, block(index)));
      await turn();
    }
    assert.deepEqual([node.waitingCount, volume.hasRoom()], [16, false]);
  });

  it('sends what is gathered again over the next session', async () => {
    const { volume, node, clock } = await cachedVolume();
    started(volume, writeRequest(0, block(1)));
    await turn();
    started(volume, writeRequest(512, block(2)));
    await turn();
    node.disconnect();
    await clock.advance(60_000);
    node.unhold();
    await turn();
    assert.deepEqual([node.content[0], node.content[512], volume.requestsInFlight], [1, 2, 0]);
  });

  it('sends again what it had answered', async () => {
    const { volume, node, clock } = await cachedVolume();
    started(volume, writeRequest(0, block(1)));
    await turn();
    node.crash();
    await clock.advance(60_000);
    await turn();
    node.answer();
    assert.equal(node.content[0], 1);
    assert.equal(volume.requestsInFlight, 0);
  });

  it('keeps what it had answered when it gives up waiting, and sends it when the node is back', async () => {
    const { volume, node, clock } = await cachedVolume();
    started(volume, writeRequest(0, block(1)));
    await turn();
    node.away = new StorageError('unavailable', 'away');
    node.disconnect(new StorageError('unavailable', 'away'));
    const waiting = started(volume, writeRequest(512, block(2)));
    await clock.advance(HOLD_MS + 1);
    assert.equal(volume.state.name, 'failing');
    assert.deepEqual(waiting, { done: true, error: 'EIO' });
    node.away = undefined;
    await volume.retryNow();
    node.answer();
    assert.deepEqual([node.content[0], node.content[512]], [1, 0]);
  });

  it('refuses everything once the node has refused what was answered, and keeps its data', async () => {
    const { volume, node } = await cachedVolume();
    const write = started(volume, writeRequest(0, block(1)));
    const flush = started(volume, flushRequest());
    await turn();
    node.writeError = new BlockError('ENOSPC', 'the disk is full');
    node.answer();
    assert.deepEqual(write, { done: true });
    assert.deepEqual(flush, { done: true, error: 'EIO' });
    assert.equal(volume.state.name, 'fenced');
    assert.match(
      'detail' in volume.state ? volume.state.detail : '',
      /could not carry out a write that was answered already: .*full; .* restart blkferryd/,
    );
    assert.deepEqual(started(volume, writeRequest(0, block(3))), { done: true, error: 'EIO' });
    assert.equal(volume.unflushedBytes, 512);
  });
});
