/**
 * The volume core against a pretend node. Goal: each sentence of the durability contract that the
 * daemon's half is responsible for, and each limit. Method: the node is held, crashed and cut at the
 * moment that matters; the clock stands still.
 *
 * Pictures: W write answered, w write unanswered, F flush answered, | the moment of the fault.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { BlockError } from '#daemon/block/block-error.js';
import { submitAsync } from '#daemon/block/block-device.js';
import {
  BLOCK_FLAG,
  flushRequest,
  joined,
  rangeRequest,
  readRequest,
  writeRequest,
} from '#daemon/block/block-request.js';
import { settle } from '#test/support/fake-clock.js';
import { NODE_BYTES, PretendNode } from '#test/support/pretend-node.js';

import { HOLD_MS, block, openVolume, started } from './volume-bench.js';

function offsets(node: PretendNode): number[] {
  return node.received.map(({ request }) => request.offsetBytes);
}

describe('Volume with its node there', () => {
  it('reads back what it wrote', async () => {
    const { volume } = await openVolume();
    await submitAsync(volume, writeRequest(512, block(7)));
    const { payload } = await submitAsync(volume, readRequest(0, 1536));
    assert.deepEqual(joined(payload), Buffer.concat([block(0), block(7), block(0)]));
  });

  it('refuses at its door what cannot fit, and the node never sees it', async () => {
    const { volume, node } = await openVolume();
    const beyond = submitAsync(volume, writeRequest(NODE_BYTES - 512, block(1, 1024)));
    await assert.rejects(beyond, (error: BlockError) => error.errno === 'ENOSPC');
    assert.equal(node.received.length, 0);
    assert.equal(volume.counters.failedRequests, 1);
  });

  it('knows its new size as soon as the node tells', async () => {
    const { volume, node } = await openVolume();
    node.resize(NODE_BYTES / 2);
    assert.equal(volume.facts.sizeBytes, NODE_BYTES / 2);
    await assert.rejects(
      submitAsync(volume, readRequest(NODE_BYTES / 2, 512)),
      (error: BlockError) => error.errno === 'EINVAL',
    );
  });

  it('ends a session in which a read comes back with another length, and asks again', async () => {
    const { volume, node, clock, states } = await openVolume();
    node.readBytesMissing = 1;
    const read = started(volume, readRequest(0, 512));
    await clock.advance(1);
    assert.deepEqual([read.done, states.at(-1)?.name], [false, 'holding']);
    assert.match(
      JSON.stringify(states.at(-1)),
      /answered a read of 512 bytes with 511 bytes of data/,
    );
    node.readBytesMissing = 0;
    await clock.advance(60_000);
    assert.deepEqual(read, { done: true });
  });

  it('passes a failed write on with its errno', async () => {
    const { volume, node } = await openVolume();
    node.writeError = new BlockError('ENOSPC', 'disk full');
    await assert.rejects(
      submitAsync(volume, writeRequest(0, block(1))),
      (error: BlockError) => error.errno === 'ENOSPC',
    );
    assert.equal(volume.unflushedBytes, 0, 'a failed write is not kept for a replay');
  });

  it('has no room at its queue depth, and says when there is room again', async () => {
    const { volume, node } = await openVolume();
    node.hold();
    for (let index = 0; index < 16; index += 1) started(volume, readRequest(0, 512));
    assert.equal(volume.hasRoom(), false);
    let told = 0;
    volume.whenRoom(() => (told += 1));
    assert.equal(told, 0);
    node.answer(1);
    assert.equal(told, 1);
    assert.equal(volume.hasRoom(), true);
  });

  it('keeps within what the node takes at a time, in order', async () => {
    const node = new PretendNode();
    node.requestsInFlightMax = 2;
    const { volume } = await openVolume({ node });
    node.hold();
    for (let index = 0; index < 5; index += 1)
      started(volume, writeRequest(index * 512, block(index)));
    assert.deepEqual(
      node.received.map(({ request }) => request.offsetBytes),
      [0, 512],
    );
    node.answer(1);
    assert.deepEqual(
      node.received.map(({ request }) => request.offsetBytes),
      [0, 512, 1024],
    );
  });

  it('empties its replay log with a flush of its own before the limit is reached', async () => {
    const { volume, node } = await openVolume({ replayBytesMax: 4096 });
    for (let index = 0; index < 6; index += 1) {
      await submitAsync(volume, writeRequest(index * 512, block(index)));
      await settle();
    }
    assert.equal(
      node.received.some(({ request }) => request.kind === 'flush'),
      true,
    );
    assert.ok(volume.unflushedBytes < 4096);
  });
});

describe('Volume when its node crashes', () => {
  //  W1 W2 | both again
  it('sends answered but unflushed writes again, in order', async () => {
    const { volume, node, clock } = await openVolume();
    await submitAsync(volume, writeRequest(0, block(1)));
    await submitAsync(volume, writeRequest(512, block(2)));
    node.crash();
    await clock.advance(100);
    assert.equal(volume.state.name, 'active');
    assert.deepEqual(offsets(node).slice(2), [0, 512]);
    assert.deepEqual(node.content.subarray(0, 1024), Buffer.concat([block(1), block(2)]));
    assert.equal(volume.counters.requestsReplayed, 2);
  });

  //  W1 W2 | of 1 only what 2 does not cover, so that no moment of it is older than what was durable
  it('sends each block again once, as it was answered last', async () => {
    const { volume, node, clock } = await openVolume();
    await submitAsync(volume, writeRequest(0, block(1, 2048)));
    await submitAsync(volume, writeRequest(512, block(2), BLOCK_FLAG.FUA));
    node.hold();
    node.crash();
    await clock.advance(100);
    assert.deepEqual(offsets(node).slice(2), [0, 1024, 512]);
    node.unhold();
    await settle();
    const expected = Buffer.concat([block(1), block(2), block(1, 1024)]);
    assert.deepEqual(node.content.subarray(0, 2048), expected);
  });

  //  W1 F2 | nothing to replay
  it('does not send again what a flush has covered', async () => {
    const { volume, node, clock } = await openVolume();
    await submitAsync(volume, writeRequest(0, block(1)));
    await submitAsync(volume, flushRequest());
    node.crash();
    await clock.advance(100);
    assert.equal(node.received.length, 2);
    assert.deepEqual(node.content.subarray(0, 512), block(1));
  });

  //  W1 W2(FUA) |  1 is older than 2 and must not win
  it('keeps a write with FUA in the log while an older write of the same block is there', async () => {
    const { volume, node, clock } = await openVolume();
    await submitAsync(volume, writeRequest(0, block(1)));
    await submitAsync(volume, writeRequest(0, block(2), BLOCK_FLAG.FUA));
    node.crash();
    await clock.advance(100);
    assert.deepEqual(node.content.subarray(0, 512), block(2));
  });

  //  w1 W2 | the reply to 1 was lost
  it('sends an answered write again after an unanswered older one, although the node kept both', async () => {
    const { volume, node, clock } = await openVolume();
    node.hold();
    const first = started(volume, writeRequest(0, block(1)));
    const second = started(volume, writeRequest(0, block(2)));
    node.answerOnly(1);
    assert.equal(second.done, true);
    node.disconnect();
    node.unhold();
    await clock.advance(100);
    assert.equal(first.done, true);
    assert.deepEqual(node.content.subarray(0, 512), block(2));
  });

  //  w1 W2 F3 |  the flush was answered before the write that is older
  it('keeps what follows an unanswered write in the log, also after a flush', async () => {
    const { volume, node, clock } = await openVolume();
    node.hold();
    started(volume, writeRequest(0, block(1)));
    started(volume, writeRequest(0, block(2)));
    started(volume, flushRequest());
    node.answerOnly(1);
    node.answerOnly(1);
    node.disconnect();
    node.unhold();
    await clock.advance(100);
    assert.deepEqual(node.content.subarray(0, 512), block(2));
  });

  it('answers a flush only after the replay, when the node crashed while it waited', async () => {
    const { volume, node, clock } = await openVolume();
    await submitAsync(volume, writeRequest(0, block(5)));
    node.hold();
    const flush = started(volume, flushRequest());
    node.crash();
    await clock.advance(100);
    assert.equal(flush.done, false);
    node.unhold();
    await settle();
    assert.equal(flush.done, true);
    assert.deepEqual(node.durableContent.subarray(0, 512), block(5));
  });

  it('does not believe a flush whose verifier shows that writes were lost, and sends them again first', async () => {
    const { volume, node, clock } = await openVolume();
    await submitAsync(volume, writeRequest(0, block(6)));
    node.loseUnflushedSilently();
    const flush = started(volume, flushRequest());
    await settle();
    await clock.advance(100);
    assert.deepEqual(flush, { done: true });
    assert.deepEqual(node.durableContent.subarray(0, 512), block(6));
  });

  it('replays trims and write-zeroes at their place among the writes', async () => {
    const { volume, node, clock } = await openVolume();
    await submitAsync(volume, writeRequest(0, block(1, 1024)));
    await submitAsync(volume, rangeRequest('write-zeroes', 0, 512));
    node.crash();
    await clock.advance(100);
    assert.deepEqual(node.content.subarray(0, 1024), Buffer.concat([block(0), block(1)]));
  });

  it('tries again what cannot be sent again, then fails like one whose node is away, and loses nothing', async () => {
    const { volume, node, clock } = await openVolume();
    await submitAsync(volume, writeRequest(0, block(1)));
    node.writeError = new BlockError('EIO', 'medium error');
    node.crash();
    await clock.advance(HOLD_MS / 2);
    const read = started(volume, readRequest(0, 512));
    assert.deepEqual([volume.state.name, read.done], ['holding', false]);
    await clock.advance(HOLD_MS);
    assert.deepEqual(read, { done: true, error: 'EIO' });
    assert.match(
      'detail' in volume.state ? volume.state.detail : '',
      /an answered write at byte 0 could not be sent again.*medium error/,
    );
    assert.equal(volume.unflushedBytes, 512);
    node.writeError = undefined;
    await clock.advance(1000);
    assert.equal(volume.state.name, 'active');
    assert.deepEqual(node.content.subarray(0, 512), block(1));
  });

  //  W1 W2 W3 | crash, 1 sent again | connection lost: the verifier is the new one by then
  it('begins a replay again that was interrupted, although the node kept what it had of it', async () => {
    const { volume, node, clock } = await openVolume();
    for (let index = 0; index < 3; index += 1)
      await submitAsync(volume, writeRequest(index * 512, block(index + 1)));
    node.requestsInFlightMax = 1;
    node.hold();
    node.crash();
    await clock.advance(100);
    node.answer(1);
    node.disconnect();
    node.unhold();
    await clock.advance(1000);
    assert.deepEqual(node.content.subarray(0, 1536), Buffer.concat([block(1), block(2), block(3)]));
    await submitAsync(volume, flushRequest());
    assert.equal(volume.unflushedBytes, 0);
  });

  //  w1 W2 | all of 1 is covered: it is answered by a flush, and 2 stays
  it('does not send an unanswered write over an answered newer one, and yet answers it', async () => {
    const { volume, node, clock } = await openVolume();
    node.hold();
    const first = started(volume, writeRequest(0, block(1), BLOCK_FLAG.FUA));
    started(volume, writeRequest(0, block(2)));
    node.answerOnly(1);
    node.disconnect();
    await clock.advance(100);
    assert.deepEqual(
      node.received.slice(2).map(({ request }) => request.kind),
      ['flush'],
    );
    assert.equal(first.done, false);
    node.unhold();
    await settle();
    assert.deepEqual(first, { done: true });
    assert.deepEqual(node.durableContent.subarray(0, 512), block(2));
  });

  //  w1 W2 | 1 goes in two parts, the second of which fails
  it('fails an unanswered write when a part of it fails, and keeps it out of later replays', async () => {
    const { volume, node, clock } = await openVolume();
    node.hold();
    const first = started(volume, writeRequest(0, block(1, 1536)));
    started(volume, writeRequest(512, block(2)));
    node.answerOnly(1);
    node.disconnect();
    await clock.advance(100);
    assert.deepEqual(offsets(node).slice(2), [0, 1024, 0]);
    node.answer(1);
    node.writeError = new BlockError('ENOSPC', 'disk full');
    node.unhold();
    await settle();
    assert.deepEqual(first, { done: true, error: 'ENOSPC' });
    assert.equal(volume.unflushedBytes, 512);
  });

  //  W1 r W2 | the read goes behind both: in its old place it would see neither
  it('lets an unanswered read see what was answered before it, although that goes out once only', async () => {
    const { volume, node, clock } = await openVolume();
    await submitAsync(volume, writeRequest(0, block(1)));
    node.hold();
    let seen: Buffer | undefined;
    volume.submit(readRequest(0, 512), (_request, { payload }) => {
      seen = joined(payload);
    });
    started(volume, writeRequest(0, block(2)));
    node.answerOnly(1);
    node.crash();
    node.unhold();
    await clock.advance(100);
    assert.deepEqual(seen, block(2));
  });

  it('paces a replay by what the node takes at a time', async () => {
    const { volume, node, clock } = await openVolume();
    for (let index = 0; index < 6; index += 1)
      await submitAsync(volume, writeRequest(index * 512, block(index)));
    node.requestsInFlightMax = 2;
    node.hold();
    node.crash();
    await clock.advance(100);
    assert.equal(node.waitingCount, 2);
    const read = started(volume, readRequest(5 * 512, 512));
    for (let index = 0; index < 8; index += 1) node.answer(1);
    assert.equal(read.done, true);
    assert.deepEqual(
      offsets(node).slice(6),
      [0, 1, 2, 3, 4, 5, 5].map((index) => index * 512),
    );
  });
});

describe('Volume when its node cannot make writes durable', () => {
  it('fails the flush, and sends again what was not covered before anything else', async () => {
    const { volume, node, clock } = await openVolume();
    await submitAsync(volume, writeRequest(0, block(1)));
    node.flushError = new BlockError('ENOSPC', 'disk full');
    await assert.rejects(submitAsync(volume, flushRequest()), /disk full/);
    // As Linux does with the pages of a failed write-back.
    node.content.fill(0, 0, 512);
    const read = submitAsync(volume, readRequest(0, 512));
    node.flushError = undefined;
    await clock.advance(100);
    assert.deepEqual(joined((await read).payload), block(1));
    await submitAsync(volume, flushRequest());
    assert.deepEqual(node.durableContent.subarray(0, 512), block(1));
    assert.equal(volume.unflushedBytes, 0);
  });

  it('tries its own flushes again, and fails like one whose node is away while they fail', async () => {
    const { volume, node, clock } = await openVolume({ replayBytesMax: 1024 });
    node.flushError = new BlockError('EIO', 'bad disk');
    started(volume, writeRequest(0, block(1)));
    await clock.advance(HOLD_MS / 2);
    assert.notEqual(volume.state.name, 'failing');
    await clock.advance(HOLD_MS);
    assert.equal(volume.state.name, 'failing');
    assert.equal(volume.unflushedBytes, 512, 'what is not durable stays logged');
    const tries = node.received.filter(({ request }) => request.kind === 'flush').length;
    assert(tries < 150, `${tries} tries in 45 s: they have waits between them`);
    node.flushError = undefined;
    await clock.advance(1000);
    assert.deepEqual([volume.state.name, volume.unflushedBytes], ['active', 0]);
  });
});
