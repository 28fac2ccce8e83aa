/**
 * A worker's session in the tables of the main thread: what waits for the worker's word, and for what nobody waits. The
 * worker is played by the test.
 */
import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';
import { BlockError } from '#daemon/block/block-error.js';
import { failed } from '#daemon/block/block-request.js';
import { laneOf } from '#daemon/rpc/session-lane.js';
import { StorageError } from '#daemon/rpc/storage-error.js';
import type { LeaseMessage, OpenFrame } from '#daemon/rpc/storage-messages.js';
import { TRUSTED_CALLER } from '#daemon/storage-node/access-caller.js';
import type { BackendVolume } from '#daemon/storage-node/backend/backend.js';
import { StorageService } from '#daemon/storage-node/storage-service.js';
import { flushFailed } from '#daemon/storage-node/volume-failure.js';
import { DistantSession } from '#daemon/storage-node/workers/distant-session.js';
import { DistantVolume } from '#daemon/storage-node/workers/distant-volume.js';
import type { ToWorker } from '#daemon/storage-node/workers/worker-messages.js';
import { FakeClock, settle } from '#test/support/fake-clock.js';
import { MemoryCatalog } from '#test/support/memory-catalog.js';

const LANE = laneOf('id-v1');
const STOPPING = new StorageError('unavailable', 'the node is stopping');

/** Devices as if they were in a worker: deviceId 1, 2, ... */
class DistantCatalog extends MemoryCatalog {
  flushes = 0;
  #deviceId = 0;
  readonly #distant = new Map<BackendVolume, DistantVolume>();

  override async open(volumeId: string): Promise<DistantVolume> {
    const device = await super.open(volumeId);
    const known = this.#distant.get(device);
    if (known !== undefined) return known;
    this.#deviceId += 1;
    const thread = {
      call: () => Promise.resolve({}),
      submit: ((_deviceId, request, complete) => {
        if (request.kind === 'flush') this.flushes += 1;
        device.submit(request, complete);
      }) as DistantVolume['thread']['submit'],
    };
    const { facts } = device;
    const made = new DistantVolume(thread, this.#deviceId, volumeId, facts, () => undefined);
    this.#distant.set(device, made);
    return made;
  }
}

let catalog: DistantCatalog;
let service: StorageService;
let posted: ToWorker[];
let lastSessionId = 0;
beforeEach(() => {
  catalog = new DistantCatalog();
  catalog.add({ name: 'v1' });
  posted = [];
  service = new StorageService({
    catalog,
    clock: new FakeClock(),
    wallClock: () => 0,
    leaseTimeoutMs: 1000,
    software: 'test',
    writeVerifier: 77n,
    sessionsMax: 4,
    sessionLimits: { requestsInFlightMax: 10, bytesInFlightMax: 64 * 1024 * 1024 },
    workers: 2,
    log: { info: () => undefined, warn: () => undefined },
  });
});

function session(
  hasVolume = (volumeId: string): boolean => laneOf(volumeId) === LANE,
): DistantSession {
  assert.equal(service.takePlace(TRUSTED_CALLER), undefined);
  lastSessionId += 1;
  const post = (message: ToWorker): void => {
    posted.push(structuredClone(message));
  };
  return new DistantSession(lastSessionId, service, TRUSTED_CALLER, post, 1, hasVolume);
}

function acquire(attachmentId: string, takeOver = false): Promise<LeaseMessage> {
  return service.acquireLease({
    volumeId: 'id-v1',
    attachmentId,
    description: attachmentId,
    expectedGeneration: 0,
    takeOver,
  });
}

function frame(open: Partial<OpenFrame> = {}): OpenFrame {
  return {
    kind: 'open',
    volumeId: 'id-v1',
    attachmentId: 'a',
    generation: 0,
    streamIndex: 0,
    checksum: 'none',
    takesHoles: true,
    ...open,
  };
}

/** `admitted 1`, `end fenced`: kind, and device or reason. */
function words(): string[] {
  return posted.map((message) => {
    if (message.kind === 'admitted') return `admitted ${message.deviceId}`;
    if (message.kind !== 'end' && message.kind !== 'drain') return message.kind;
    return `${message.kind} ${message.reason.of === 'storage' ? message.reason.kind : ''}`;
  });
}

async function openWriter(attachmentId = 'a'): Promise<DistantSession> {
  const { generation } = await acquire(attachmentId);
  const writer = session();
  writer.open(frame({ attachmentId, generation }));
  await settle();
  assert.equal(words().at(-1), 'admitted 1');
  return writer;
}

async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  let settled = false;
  void promise.finally(() => (settled = true));
  await settle();
  return settled;
}

describe("a worker's session in the tables of the node", () => {
  it('gives its lease away only when the worker has said that it is gone, and then makes it durable', async () => {
    const writer = await openWriter();
    const granted = acquire('b', true);
    assert.equal(await isSettled(granted), false, 'nothing was heard of the worker');
    assert.deepEqual(words().slice(1), ['end fenced']);
    assert.equal(catalog.flushes, 0);
    await writer.gone();
    assert.equal((await granted).generation, 2);
    assert.equal(catalog.flushes, 1);
  });

  it('is waited for by the one that replaces it', async () => {
    const before = await openWriter();
    const newer = session();
    newer.open(frame({ generation: 1 }));
    await settle();
    assert.deepEqual(words(), ['admitted 1', 'end unavailable']);
    await before.gone();
    await settle();
    assert.deepEqual(words(), ['admitted 1', 'end unavailable', 'admitted 2']);
  });

  it('that is gone before it is in is not admitted, and leaves nothing', async () => {
    const reader = session();
    reader.open(frame());
    const gone = reader.gone();
    await gone;
    assert.deepEqual(words(), []);
    assert.equal(service.sessions.count, 0);
    assert.ok(!catalog.isOpen('v1'));
  });

  it('has its place until it is gone', async () => {
    const four = [session(), session(), session(), session()];
    const refused = service.takePlace(TRUSTED_CALLER);
    assert.match(refused?.message ?? '', /4 sessions, which is its limit/);
    await four[0]?.gone();
    session();
  });

  it('is refused with the sentence that any other would hear', async () => {
    for (const [open, word] of [
      [{ volumeId: 'id-none' }, 'end not-found'],
      [{ generation: 3 }, 'end fenced'],
      [{ streamIndex: 64 }, 'end invalid'],
    ] as const) {
      posted.length = 0;
      session(() => true).open(frame(open));
      await settle();
      assert.deepEqual(words(), [word]);
    }
    assert.deepEqual(service.refusals.counts, [{ event: 'session_broken', count: 1 }]);
  });

  it('is refused in a worker that has not its volume', async () => {
    catalog.add({ name: 'v2' });
    const lost = session();
    lost.open(frame({ volumeId: 'id-v2' }));
    await settle();
    assert.deepEqual(words(), ['end invalid']);
  });

  it('ends, with all of its volume, when the worker tells that a flush failed', async () => {
    const writer = await openWriter();
    const reader = session();
    reader.open(frame({ attachmentId: 'r' }));
    await settle();
    const device = await catalog.open('id-v1');
    flushFailed(service, 'id-v1', device, new BlockError('EIO', 'lost'));
    await catalog.release('id-v1');
    assert.deepEqual(words().slice(2), ['end unavailable', 'end unavailable']);
    const next = session();
    next.open(frame({ generation: 1 }));
    await settle();
    assert.equal(words().length, 4, 'the device is open as long as one of them has it');
    await writer.gone();
    await reader.gone();
    await settle();
    const admitted = posted.at(-1);
    assert.ok(admitted?.kind === 'admitted');
    assert.notEqual(admitted.writeVerifier, 77n);
  });

  it('is drained where it is, and told of sizes once it is in', async () => {
    const early = session();
    early.resized(1024);
    early.drain(STOPPING);
    const writer = await openWriter();
    writer.resized(2048);
    writer.drain(STOPPING);
    assert.deepEqual(words(), ['end unavailable', 'admitted 1', 'resized', 'drain unavailable']);
    assert.deepEqual((await service.getNode()).workerSessions, [0, 1]);
  });
});

describe('a volume in a worker', () => {
  it('is asked nothing more once it was closed', async () => {
    const device = await catalog.open('id-v1');
    await device.close();
    await device.close();
    const results: unknown[] = [];
    const request = {
      kind: 'flush',
      offsetBytes: 0,
      lengthBytes: 0,
      flags: 0,
      payload: [],
    } as const;
    device.submit(request, (_request, result) => results.push(result));
    const closed = new BlockError('ESHUTDOWN', 'the volume is closed');
    assert.deepEqual(results, [failed(closed)]);
    await assert.rejects(device.resize(512), closed);
    assert.equal(catalog.flushes, 0);
  });
});
