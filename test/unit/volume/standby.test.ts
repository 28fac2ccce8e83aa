/** A volume that is read without the lease until something is to be written: the destination of a migration. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { submitAsync } from '#daemon/block/block-device.js';
import {
  flushRequest,
  rangeRequest,
  readRequest,
  writeRequest,
} from '#daemon/block/block-request.js';
import { StorageError } from '#daemon/rpc/storage-error.js';
import { settle } from '#test/support/fake-clock.js';
import { block, openVolume, started, type Bench } from './volume-bench.js';

const FENCED = new StorageError('fenced', 'blkferryd on host b has taken the volume over');

interface StandbyBench extends Bench {
  /** How often the lease was about to be taken over. */
  readonly claims: () => number;
}

async function standby(): Promise<StandbyBench> {
  let claims = 0;
  const bench = await openVolume({
    claiming: () => {
      claims += 1;
    },
  });
  return { ...bench, claims: () => claims };
}

describe('Volume on standby', () => {
  it('is read, and its extents asked for, without a lease, and says that it can be written to', async () => {
    const { volume, node, claims } = await standby();
    await submitAsync(volume, readRequest(0, 512));
    await submitAsync(volume, rangeRequest('block-status', 0, 512));
    await submitAsync(volume, rangeRequest('cache', 0, 512));
    assert.equal(volume.facts.capabilities.canWrite, true);
    assert.deepEqual(
      [
        node.generation,
        volume.generation,
        node.opens.map(({ generation }) => generation),
        claims(),
      ],
      [0, 0, [0], 0],
    );
  });

  for (const request of [
    writeRequest(512, block(7)),
    flushRequest(),
    rangeRequest('trim', 0, 512),
    rangeRequest('write-zeroes', 0, 512),
  ]) {
    it(`takes the lease over with the first ${request.kind}, which waits for it`, async () => {
      const { volume, node, claims } = await standby();
      const asked = started(volume, request);
      assert.deepEqual(asked, { done: false });
      await settle();
      assert.deepEqual(asked, { done: true });
      assert.deepEqual([node.takeOvers, claims(), volume.generation], [[true], 1, 1]);
      assert.deepEqual(
        node.opens.map(({ generation }) => generation),
        [0, 1],
      );
    });
  }

  it('sends nothing that changes the volume on a session without a lease', async () => {
    const { volume, node } = await standby();
    node.hold();
    const read = started(volume, readRequest(0, 512));
    const writes = [1, 2].map((fill) => started(volume, writeRequest(0, block(fill))));
    assert.deepEqual(
      node.received.map(({ request }) => request.kind),
      ['read'],
      'what was asked before is not lost with the session',
    );
    node.unhold();
    await settle();
    assert.deepEqual(
      [read, ...writes].map(({ done, error }) => [done, error]),
      [
        [true, undefined],
        [true, undefined],
        [true, undefined],
      ],
    );
    assert.deepEqual(node.content.subarray(0, 512), block(2));
  });

  it('takes the lease over once: when it is lost later, it is lost', async () => {
    const { volume, node, claims } = await standby();
    await submitAsync(volume, writeRequest(0, block(1)));
    node.leaseError = FENCED;
    node.disconnect(FENCED);
    await settle();
    assert.equal(volume.state.name, 'fenced');
    assert.deepEqual(node.takeOvers, [true, false]);
    assert.equal(claims(), 2);
  });

  it('does not take the lease when that could not be written down, and tries again', async () => {
    let problem: Error | undefined = new StorageError('exhausted', 'disk full');
    const { volume, node, clock } = await openVolume({
      claiming: () => {
        if (problem !== undefined) throw problem;
      },
    });
    const write = started(volume, writeRequest(0, block(1)));
    await settle();
    assert.deepEqual([write.done, node.takeOvers], [false, []]);
    problem = undefined;
    await clock.advance(1000);
    assert.deepEqual([write.done, node.takeOvers], [true, [true]]);
  });

  it('does not take the lease before it has been written down, however long that takes', async () => {
    let written: () => void = () => undefined;
    const { volume, node } = await openVolume({
      claiming: () =>
        new Promise<void>((resolve) => {
          written = resolve;
        }),
    });
    const write = started(volume, writeRequest(0, block(1)));
    await settle();
    assert.deepEqual([write.done, node.takeOvers], [false, []]);
    written();
    await settle();
    assert.deepEqual([write.done, node.takeOvers], [true, [true]]);
  });

  it('takes no lease that nobody would give up: closed while that is being written down', async () => {
    let written: () => void = () => undefined;
    const { volume, node } = await openVolume({
      claiming: () =>
        new Promise<void>((resolve) => {
          written = resolve;
        }),
    });
    started(volume, writeRequest(0, block(1)));
    await settle();
    await volume.close();
    written();
    await settle();
    assert.deepEqual(node.takeOvers, []);
  });

  it('waits for a node that is away, and takes the lease over when it is back', async () => {
    const { volume, node, clock } = await standby();
    node.away = new StorageError('unavailable', 'connection refused');
    node.disconnect();
    const write = started(volume, writeRequest(0, block(3)));
    await clock.advance(1000);
    assert.equal(volume.state.name, 'holding');
    node.away = undefined;
    await clock.advance(1000);
    assert.deepEqual(write, { done: true });
    assert.deepEqual(node.content.subarray(0, 512), block(3));
  });
});

describe('Volume that was taken over', () => {
  it('can be detached although its log is not empty: nobody may send that again', async () => {
    const { volume, node } = await openVolume();
    await submitAsync(volume, writeRequest(0, block(1)));
    node.leaseError = FENCED;
    node.disconnect(FENCED);
    await settle();
    assert.equal(volume.state.name, 'fenced');
    assert.equal(volume.unflushedBytes, 512);
    await volume.drain(1000);
  });

  it('cannot, if it never had the lease in this run: its data may be put back', async () => {
    const { volume } = await openVolume();
    await submitAsync(volume, writeRequest(0, block(1)));
    volume.refuse('the replay log is damaged');
    await assert.rejects(volume.drain(1000), /512 bytes of answered writes wait in the replay log/);
  });
});
