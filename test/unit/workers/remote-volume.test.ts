/** A volume in another thread, from here: what is said in which order, and what is known when. The thread is played. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { submitAsync } from '#daemon/block/block-device.js';
import { BlockError } from '#daemon/block/block-error.js';
import { DONE, failed, readRequest, writeRequest } from '#daemon/block/block-request.js';
import { StorageError } from '#daemon/rpc/storage-error.js';
import { newCounters } from '#daemon/volume/volume-counters.js';
import { UNKNOWN_FACTS } from '#daemon/volume/volume-facts.js';
import { toldError } from '#daemon/threads/told-error.js';
import { toldResult } from '#daemon/threads/told-request.js';
import { RemoteVolume } from '#daemon/workers/remote-volume.js';
import type { Answer } from '#daemon/workers/worker-messages.js';

const LIMITS = { requestsMax: 3, bytesMax: 64 * 1024 };
const FACTS = { ...UNKNOWN_FACTS, sizeBytes: 4096 };
const AMOUNTS = {
  counters: { ...newCounters(), readRequests: 7 },
  requestsInFlight: 1,
  bytesInFlight: 2,
  unflushedBytes: 3,
};

class Bench {
  /** As in `submit 1 2`, `ask drain`. */
  readonly said: string[] = [];
  changes = 0;
  answer: Answer = {};
  readonly volume = new RemoteVolume(
    {
      ask: ({ act }) => {
        this.said.push(`ask ${act}`);
        return Promise.resolve(this.answer);
      },
      resume: () => this.said.push('resume'),
      submit: (requests) => {
        this.said.push(`submit ${requests.map(({ requestId }) => requestId).join(' ')}`);
      },
    },
    LIMITS,
    () => {
      this.changes += 1;
    },
  );

  read(count: number): Promise<unknown>[] {
    return Array.from({ length: count }, () => submitAsync(this.volume, readRequest(0, 512)));
  }
}

describe('a volume in another thread', () => {
  it('says the requests of one turn together', async () => {
    const bench = new Bench();
    void bench.read(2);
    assert.deepEqual(bench.said, []);
    await Promise.resolve();
    assert.deepEqual(bench.said, ['submit 1 2']);
  });

  it('says what was submitted before a question before it', () => {
    const bench = new Bench();
    void bench.read(1);
    void bench.volume.drain(1000);
    assert.deepEqual(bench.said, ['submit 1', 'ask drain']);
    assert.equal(bench.volume.draining, true);
    bench.volume.resume();
    assert.equal(bench.volume.draining, false);
  });

  it('completes each request with what came for it, in any order', async () => {
    const bench = new Bench();
    const [first, second] = [
      submitAsync(bench.volume, readRequest(0, 512)),
      submitAsync(bench.volume, writeRequest(512, Buffer.alloc(512))),
    ];
    const full = new BlockError('ENOSPC', 'the disk is full');
    const payload = [Buffer.alloc(512, 5)];
    bench.volume.completed([toldResult(2, failed(full)), toldResult(1, { ...DONE, payload })]);
    assert.deepEqual((await first).payload, payload);
    await assert.rejects(second, (error: BlockError) => {
      assert.deepEqual([error.errno, error.reason], ['ENOSPC', 'the disk is full']);
      return true;
    });
  });

  it('has no room for more than its limits, and calls back when there is some', () => {
    const bench = new Bench();
    let calls = 0;
    void bench.read(2);
    assert.equal(bench.volume.hasRoom(), true);
    void bench.read(1);
    assert.equal(bench.volume.hasRoom(), false);
    bench.volume.whenRoom(() => {
      calls += 1;
    });
    assert.equal(calls, 0);
    bench.volume.completed([toldResult(1, DONE)]);
    assert.equal(calls, 1);
    const large = new Bench();
    void submitAsync(large.volume, writeRequest(0, Buffer.alloc(64 * 1024)));
    assert.equal(large.volume.hasRoom(), false);
  });

  it('is what it was told last; without a size until then', () => {
    const { volume, changed } = withChanges();
    assert.equal(volume.facts, UNKNOWN_FACTS, 'the very object: exports ask for that');
    volume.changed({
      state: { name: 'fenced', detail: 'x', takenOver: false },
      facts: undefined,
      generation: 0,
    });
    assert.equal(volume.facts, UNKNOWN_FACTS);
    volume.changed({ state: { name: 'active' }, facts: FACTS, generation: 4 });
    assert.deepEqual([volume.state.name, volume.facts, volume.generation], ['active', FACTS, 4]);
    assert.equal(changed(), 2);
  });

  it('knows the amounts of the last answer, also of one that says no', async () => {
    const bench = new Bench();
    const error = toldError(new StorageError('unavailable', 'not flushed'));
    bench.answer = { amounts: AMOUNTS, error };
    await assert.rejects(bench.volume.drain(1), (thrown: StorageError) => {
      assert.deepEqual([thrown.kind, thrown.message], ['unavailable', 'not flushed']);
      return true;
    });
    assert.equal(bench.volume.unflushedBytes, 3);
    assert.equal(bench.volume.counters.readRequests, 7);
  });

  it('takes nothing once it is closed, and asks nothing', async () => {
    const bench = new Bench();
    await bench.volume.end(true);
    const [refused] = bench.read(1);
    await assert.rejects(refused!, (error: BlockError) => error.errno === 'ESHUTDOWN');
    await bench.volume.refresh();
    assert.deepEqual(bench.said, ['ask end']);
  });
});

function withChanges(): { volume: RemoteVolume; changed: () => number } {
  const bench = new Bench();
  return { volume: bench.volume, changed: () => bench.changes };
}
