/**
 * Who may write. The rules first, as a function of the record; then the table: durable before told, one
 * at a time, and silent writers before a new one.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { StorageError } from '#daemon/rpc/storage-error.js';
import { LeaseTable, decideLease } from '#daemon/storage-node/lease-table.js';
import type { VolumeRecord } from '#daemon/storage-node/volume-record.js';
import { VolumeTurns } from '#daemon/storage-node/volume-turns.js';
import { FakeClock, settle } from '#test/support/fake-clock.js';
import { MemoryCatalog } from '#test/support/memory-catalog.js';
import { refusal } from '#test/support/storage-refusal.js';

const LEASE_TIMEOUT_MS = 30_000;
const HELD_BY_A = {
  attachmentId: 'a',
  description: 'daemon on host-a',
  sinceUnixMs: Date.UTC(2026, 0, 2, 3, 4, 5),
  firstGeneration: 4,
};

function request(
  attachmentId: string,
  more: { expectedGeneration?: number; takeOver?: boolean } = {},
) {
  return {
    volumeId: 'id-v1',
    attachmentId,
    description: `daemon of ${attachmentId}`,
    expectedGeneration: 0,
    takeOver: false,
    ...more,
  };
}

describe('decideLease', () => {
  const free = new MemoryCatalog().add({ name: 'v1', generation: 5 });
  const held: VolumeRecord = { ...free, generation: 6, holder: HELD_BY_A };
  const live = { holderIsLive: true, nowUnixMs: 1000 };
  const expired = { holderIsLive: false, nowUnixMs: 1000 };

  it('grants a free volume with the next generation', () => {
    assert.deepEqual(decideLease(free, request('b'), live), {
      generation: 6,
      holder: {
        attachmentId: 'b',
        description: 'daemon of b',
        sinceUnixMs: 1000,
        firstGeneration: 6,
      },
    });
  });

  it('refuses a volume that another holds, and says who, since when and what to do', () => {
    assert.throws(
      () => decideLease(held, request('b'), live),
      refusal(
        'refused',
        /volume v1 is held by daemon on host-a since 2026-01-02T03:04:05\.000Z; detach it there or use --take-over/,
      ),
    );
  });

  it('grants it when the holder is away for too long, or with take-over', () => {
    assert.equal(decideLease(held, request('b'), expired).generation, 7);
    const taken = decideLease(held, request('b', { takeOver: true }), live);
    assert.deepEqual([taken.generation, taken.holder.firstGeneration], [7, 7]);
  });

  it('gives the same attachment a new generation and keeps since when it holds the volume', () => {
    assert.deepEqual(decideLease(held, request('a'), live), {
      generation: 7,
      holder: { ...HELD_BY_A, description: 'daemon of a' },
    });
  });

  it('lets a writer replay that expects the generation there is', () => {
    const lease = decideLease(free, request('a', { expectedGeneration: 5 }), live);
    assert.deepEqual([lease.generation, lease.holder.firstGeneration], [6, 5]);
  });

  it('fences a writer that expects an older one, also with take-over', () => {
    for (const takeOver of [false, true]) {
      assert.throws(
        () => decideLease(free, request('a', { expectedGeneration: 4, takeOver }), live),
        refusal('fenced', /another writer since generation 4 \(now 5\).*must not be sent again/),
      );
    }
  });

  it('fences rather than refuses when both would be right, because being fenced is final', () => {
    assert.throws(
      () => decideLease(held, request('b', { expectedGeneration: 3 }), live),
      refusal('fenced', /since generation 3/),
    );
  });

  it('fences a writer that claims a generation which another holds', () => {
    assert.throws(
      () => decideLease(held, request('b', { expectedGeneration: 6 }), expired),
      refusal('fenced', /since generation 6/),
    );
  });

  it('fences a writer from the future: the data is of an older date', () => {
    assert.throws(
      () => decideLease(held, request('a', { expectedGeneration: 7 }), live),
      refusal('fenced', /at generation 6, before 7: the node's data is of an older date/),
    );
  });

  // The node made generation 6 durable and crashed before it could say so: the writer still knows 5.
  it('knows a writer again whose last grant was never told to it', () => {
    const told = decideLease(free, request('a', { expectedGeneration: 5 }), live);
    const again = decideLease({ ...free, ...told }, request('a', { expectedGeneration: 5 }), live);
    assert.equal(again.generation, 7);
    const twice = { ...free, ...again };
    assert.equal(decideLease(twice, request('a', { expectedGeneration: 5 }), live).generation, 8);
    assert.throws(() => decideLease(twice, request('a', { expectedGeneration: 4 }), live));
  });
});

interface Fixture {
  readonly catalog: MemoryCatalog;
  readonly clock: FakeClock;
  readonly leases: LeaseTable;
  readonly connected: Set<string>;
  /** Volume and reason of each eviction. */
  readonly evicted: string[];
  /** Volumes that were made durable. */
  readonly durable: string[];
  /** What an eviction waits for. */
  eviction: Promise<void>;
}

function newFixture(): Fixture {
  const catalog = new MemoryCatalog();
  catalog.add({ name: 'v1' });
  const clock = new FakeClock();
  const connected = new Set<string>();
  const evicted: string[] = [];
  const durable: string[] = [];
  const fixture: Fixture = {
    catalog,
    clock,
    connected,
    evicted,
    durable,
    eviction: Promise.resolve(),
    leases: new LeaseTable({
      catalog,
      clock,
      turns: new VolumeTurns(),
      wallClock: () => 1000,
      leaseTimeoutMs: LEASE_TIMEOUT_MS,
      isConnected: (_volumeId, attachmentId) => connected.has(attachmentId),
      evictWriters: (_volumeId, reason) => {
        evicted.push(`${reason.kind}: ${reason.message}`);
        return fixture.eviction;
      },
      makeDurable: (volumeId) => {
        durable.push(volumeId);
        return Promise.resolve();
      },
    }),
  };
  return fixture;
}

describe('LeaseTable', () => {
  it('makes a lease durable before it evicts the old writers, and waits for them before it answers', async () => {
    const fixture = newFixture();
    const { catalog, leases, evicted } = fixture;
    let makeDurable: () => void = () => undefined;
    catalog.beforeSetLease = () =>
      new Promise((resolve) => {
        makeDurable = resolve;
      });
    let finishEviction: () => void = () => undefined;
    fixture.eviction = new Promise((resolve) => {
      finishEviction = resolve;
    });
    let granted = 0;
    const acquired = leases.acquire(request('a')).then(({ generation }) => {
      granted = generation;
    });
    await settle();
    assert.deepEqual([evicted.length, granted], [0, 0]);
    makeDurable();
    await settle();
    assert.deepEqual([evicted.length, granted], [1, 0]);
    finishEviction();
    await acquired;
    assert.equal(granted, 1);
    assert.deepEqual(evicted, [
      'fenced: volume v1 was taken over by daemon of a since 1970-01-01T00:00:01.000Z (generation 1)',
    ]);
  });

  it('makes durable what the writer before was answered, who cannot send it again any more', async () => {
    const { leases, durable } = newFixture();
    await leases.acquire(request('a'));
    assert.deepEqual(durable, []);
    await leases.acquire(request('b', { takeOver: true }));
    assert.deepEqual(durable, ['id-v1']);
    await leases.acquire(request('c', { takeOver: true }));
    assert.deepEqual(durable, ['id-v1', 'id-v1']);
  });

  it('does not flush for a writer that comes back itself', async () => {
    const { leases, durable } = newFixture();
    await leases.acquire(request('a'));
    await leases.acquire(request('a'));
    assert.deepEqual(durable, []);
  });

  it('leaves everything as it was when the lease cannot be made durable', async () => {
    const { catalog, leases, evicted } = newFixture();
    await leases.acquire(request('a'));
    catalog.beforeSetLease = () => Promise.reject(new StorageError('exhausted', 'disk full'));
    await assert.rejects(leases.acquire(request('b', { takeOver: true })), /disk full/);
    assert.equal(evicted.length, 1);
    assert.ok(leases.isCurrent({ volumeId: 'id-v1', attachmentId: 'a', generation: 1 }));
    catalog.beforeSetLease = () => Promise.resolve();
    assert.equal((await leases.acquire(request('a'))).generation, 2);
  });

  it('holds a lease for its timeout after the holder was last connected', async () => {
    const { clock, leases, connected } = newFixture();
    await leases.acquire(request('a'));
    connected.add('a');
    await clock.advance(10 * LEASE_TIMEOUT_MS);
    await assert.rejects(leases.acquire(request('b')), refusal('refused', /held by daemon of a/));
    connected.delete('a');
    leases.noteSeen('id-v1', 'a');
    await clock.advance(LEASE_TIMEOUT_MS - 1);
    await assert.rejects(leases.acquire(request('b')), refusal('refused', /held by/));
    await clock.advance(1);
    assert.equal((await leases.acquire(request('b'))).generation, 2);
  });

  it('counts the start of the node as a sign of life of every holder', async () => {
    const { catalog, clock, leases } = newFixture();
    catalog.add({ name: 'v2', generation: 3, holder: HELD_BY_A });
    const forV2 = { ...request('b'), volumeId: 'id-v2' };
    await clock.advance(LEASE_TIMEOUT_MS - 1);
    await assert.rejects(leases.acquire(forV2), refusal('refused', /held by/));
    await clock.advance(1);
    assert.equal((await leases.acquire(forV2)).generation, 4);
  });

  it('does not take the end of an old session for a sign of life of the new holder', async () => {
    const { clock, leases } = newFixture();
    await leases.acquire(request('a'));
    await clock.advance(LEASE_TIMEOUT_MS);
    leases.noteSeen('id-v1', 'an older one');
    assert.equal((await leases.acquire(request('b'))).generation, 2);
  });

  it('grants one of two that ask at the same time', async () => {
    const { leases } = newFixture();
    const outcomes = await Promise.allSettled([
      leases.acquire(request('a')),
      leases.acquire(request('b')),
    ]);
    assert.deepEqual(
      outcomes.map(({ status }) => status),
      ['fulfilled', 'rejected'],
    );
  });

  it('knows only the holder and its newest generation as the writer', async () => {
    const { leases } = newFixture();
    await leases.acquire(request('a'));
    await leases.acquire(request('a'));
    const writer = { volumeId: 'id-v1', attachmentId: 'a', generation: 2 };
    assert.ok(leases.isCurrent(writer));
    leases.requireCurrent(writer);
    for (const other of [
      { ...writer, generation: 1 },
      { ...writer, generation: 3 },
      { ...writer, attachmentId: 'b' },
    ]) {
      assert.ok(!leases.isCurrent(other));
      assert.throws(
        () => {
          leases.requireCurrent(other);
        },
        refusal(
          'fenced',
          /of volume v1 is over: the current one is 2, held by daemon of a since 1970-01-01T00:00:01/,
        ),
      );
    }
    assert.throws(
      () => {
        leases.requireCurrent({ ...writer, volumeId: 'none' });
      },
      refusal('not-found', /no volume has the id none/),
    );
  });

  it('releases once, for the holder and its generation only', async () => {
    const { catalog, leases, evicted } = newFixture();
    await leases.acquire(request('a'));
    const mine = { volumeId: 'id-v1', attachmentId: 'a', generation: 1 };
    await leases.release({ ...mine, generation: 2 });
    await leases.release({ ...mine, attachmentId: 'b' });
    await leases.release({ ...mine, volumeId: 'none' });
    assert.ok(leases.isCurrent(mine));
    await leases.release(mine);
    assert.deepEqual(
      [catalog.byId('id-v1')?.generation, catalog.byId('id-v1')?.holder],
      [1, undefined],
    );
    assert.ok(!leases.isCurrent(mine));
    assert.equal(evicted.at(-1), 'fenced: the lease of volume v1 was released');
    await leases.release(mine);
    assert.equal(evicted.length, 2);
  });

  it('refuses an unknown volume', async () => {
    const { leases } = newFixture();
    await assert.rejects(
      leases.acquire({ ...request('a'), volumeId: 'none' }),
      refusal('not-found', /no volume has the id none/),
    );
  });
});
