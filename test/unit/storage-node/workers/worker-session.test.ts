/**
 * A worker's end of a session: what it has said when it says that the session is gone, and what a device that fails does
 * to its sessions. The main thread is played by the test.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { BlockError } from '#daemon/block/block-error.js';
import {
  BLOCK_FLAG,
  flushRequest,
  readRequest,
  writeRequest,
} from '#daemon/block/block-request.js';
import { REQUEST_BYTES_MAX } from '#daemon/block/device-facts.js';
import { StorageError } from '#daemon/rpc/storage-error.js';
import type { VolumeMessage } from '#daemon/rpc/storage-messages.js';
import { TRUSTED_CALLER } from '#daemon/storage-node/access-caller.js';
import type { StorageBackend } from '#daemon/storage-node/backend/backend.js';
import type { StreamHost } from '#daemon/storage-node/session-entry.js';
import { SessionStream } from '#daemon/storage-node/session-stream.js';
import { DistantEntry } from '#daemon/storage-node/workers/distant-entry.js';
import { toldRequest } from '#daemon/threads/told-request.js';
import { WorkerDevices } from '#daemon/storage-node/workers/worker-devices.js';
import type { FromWorker } from '#daemon/storage-node/workers/worker-messages.js';
import { FakeClock, settle } from '#test/support/fake-clock.js';
import { MemoryDevice } from '#test/support/memory-catalog.js';
import { PretendCall } from '#test/support/pretend-call.js';

const SIZE_BYTES = 1024 * 1024;
const BLOCK = Buffer.alloc(512, 0xa5);
const DEVICE_ID = 9;
const IDENTITY = { volumeId: 'id-v1', sizeBytes: SIZE_BYTES, blockBytes: 512 };
const VOLUME: VolumeMessage = {
  ...IDENTITY,
  name: 'v1',
  backend: 'memory',
  allocatedBytes: 0,
  createdUnixMs: 1,
  generation: 1,
  holder: undefined,
  sessionCount: 0,
};

interface Session {
  readonly call: PretendCall;
  readonly entry: DistantEntry;
  readonly stream: SessionStream;
}

class PretendWorker {
  readonly device = new MemoryDevice(Buffer.alloc(SIZE_BYTES), SIZE_BYTES, 512);
  readonly said: FromWorker[] = [];
  readonly devices: WorkerDevices;
  #lastSessionId = 0;

  constructor() {
    const engine: Pick<StorageBackend, 'name' | 'open'> = {
      name: 'memory',
      open: () => Promise.resolve(this.device),
    };
    this.devices = new WorkerDevices([engine as StorageBackend], (message) => {
      this.said.push(structuredClone(message));
    });
  }

  async open(): Promise<void> {
    const { error } = await this.devices.call({
      act: 'open',
      backend: 'memory',
      volume: IDENTITY,
      folder: '',
      deviceId: DEVICE_ID,
    });
    assert.equal(error, undefined);
  }

  /** A stream that has said what it wants. */
  session(): Session {
    this.#lastSessionId += 1;
    const sessionId = this.#lastSessionId;
    const entries: DistantEntry[] = [];
    const host: StreamHost = {
      clock: new FakeClock(),
      sessionLimits: { requestsInFlightMax: 100, bytesInFlightMax: REQUEST_BYTES_MAX },
      defer: undefined,
      log: { info: () => undefined, warn: () => undefined },
      refusals: { warn: () => undefined },
      entryOf: (session) => {
        const post = (message: FromWorker): void => {
          this.said.push(message);
        };
        const entry = new DistantEntry(sessionId, session, this.devices, post, () => undefined);
        entries.push(entry);
        return entry;
      },
    };
    const call = new PretendCall();
    const stream = new SessionStream(call, host, TRUSTED_CALLER);
    const [entry] = entries;
    assert.ok(entry !== undefined);
    call.open();
    return { call, entry, stream };
  }

  admit({ entry }: Session): void {
    const { sessionId } = entry;
    entry.admitted({
      kind: 'admitted',
      sessionId,
      deviceId: DEVICE_ID,
      volume: VOLUME,
      writeVerifier: 77n,
    });
  }

  async admitted(): Promise<Session> {
    const session = this.session();
    this.admit(session);
    assert.equal(session.call.frames[0]?.kind, 'opened');
    return Promise.resolve(session);
  }

  get words(): string[] {
    return this.said.map(({ kind }) => kind);
  }
}

const FENCED = new StorageError('fenced', 'another writes');

describe("a worker's session", () => {
  it('asks before it opens, and executes nothing before', async () => {
    const worker = new PretendWorker();
    await worker.open();
    const session = worker.session();
    assert.deepEqual(worker.words, ['stream', 'open']);
    assert.deepEqual(session.call.frames, []);
    session.call.request(writeRequest(0, BLOCK));
    assert.deepEqual(worker.device.submitted, []);
    assert.match(session.call.ends[0] ?? '', /requests came before the session was open/);
  });

  it('that is ended is gone when its device has done what it was given, and gives it nothing more', async () => {
    const worker = new PretendWorker();
    await worker.open();
    const { call, stream } = await worker.admitted();
    worker.device.hold();
    call.request(writeRequest(0, BLOCK), writeRequest(512, BLOCK));
    stream.end(FENCED);
    call.request(writeRequest(1024, BLOCK));
    await settle();
    assert.ok(!worker.words.includes('gone'), 'two writes are under way');
    worker.device.completeNext();
    await settle();
    assert.ok(!worker.words.includes('gone'), 'one write is under way');
    worker.device.completeNext();
    await settle();
    assert.deepEqual(worker.words, ['stream', 'open', 'gone']);
    assert.equal(worker.device.submitted.length, 2);
    assert.deepEqual([call.answers, call.ends], [[], ['another writes']]);
  });

  it('that has ended before it was admitted does not open', async () => {
    const worker = new PretendWorker();
    await worker.open();
    const session = worker.session();
    session.call.emit('cancelled');
    await settle();
    worker.admit(session);
    assert.deepEqual(session.call.frames, []);
    assert.deepEqual(worker.words, ['stream', 'open', 'gone']);
  });
});

describe('a device in a worker that cannot be made durable', () => {
  for (const [what, requests] of [
    ['a flush', [flushRequest()]],
    ['a write with FUA', [writeRequest(0, BLOCK, BLOCK_FLAG.FUA)]],
  ] as const) {
    it(`ends its sessions in the turn in which ${what} fails, and then tells of it`, async () => {
      const worker = new PretendWorker();
      await worker.open();
      const [one, other] = [await worker.admitted(), await worker.admitted()];
      worker.device.flushError = new BlockError('EIO', 'lost');
      one.call.request(...requests, readRequest(0, 512));
      assert.deepEqual(one.call.answers, ['1 EIO']);
      const sentence = /^the node could not make volume v1 durable: lost; look at the kernel log/;
      for (const { call } of [one, other]) assert.match(call.ends[0] ?? '', sentence);
      assert.deepEqual(
        worker.said.find(({ kind }) => kind === 'flush-failed'),
        {
          kind: 'flush-failed',
          deviceId: DEVICE_ID,
          error: { of: what === 'a flush' ? 'block' : 'flush', errno: 'EIO', reason: 'lost' },
        },
      );
      other.call.request(flushRequest());
      await settle();
      assert.deepEqual(other.call.answers, [], 'no success under a verifier that is over');
    });
  }

  it('takes no session that was admitted before the main thread heard of it', async () => {
    const worker = new PretendWorker();
    await worker.open();
    const [one, late] = [await worker.admitted(), worker.session()];
    worker.device.flushError = new BlockError('EIO', 'lost');
    one.call.request(flushRequest());
    worker.device.flushError = undefined;
    worker.admit(late);
    assert.deepEqual(late.call.frames, []);
    assert.match(late.call.ends[0] ?? '', /could not make volume v1 durable/);
  });

  it('ends them too when it was the main thread that flushed, behind its answer', async () => {
    const worker = new PretendWorker();
    await worker.open();
    const { call } = await worker.admitted();
    worker.device.flushError = new BlockError('ENOSPC', 'full');
    worker.devices.submit(DEVICE_ID, toldRequest(5, flushRequest()));
    assert.deepEqual(worker.words, ['stream', 'open', 'completed', 'flush-failed']);
    assert.match(call.ends[0] ?? '', /durable: full; free space where/);
  });

  it('ends them when a resize failed that may have swallowed the error, not for want of room', async () => {
    const resize = { act: 'resize', deviceId: DEVICE_ID, sizeBytes: 2 * SIZE_BYTES } as const;
    for (const [errno, ends] of [
      ['ENOSPC', []],
      ['EIO', ['volume v1 cannot have 2097152 bytes: lost']],
    ] as const) {
      const worker = new PretendWorker();
      await worker.open();
      const { call } = await worker.admitted();
      worker.device.resize = () => Promise.reject(new BlockError(errno, 'lost'));
      const { facts, error } = await worker.devices.call(resize);
      assert.equal(facts?.sizeBytes, SIZE_BYTES);
      assert.deepEqual(error, { of: 'block', errno, reason: 'lost' });
      assert.deepEqual(call.ends, ends);
    }
  });

  it('checks what the main thread asks against the size that it has now', async () => {
    const worker = new PretendWorker();
    await worker.open();
    await worker.device.resize(4096);
    worker.devices.submit(DEVICE_ID, toldRequest(5, writeRequest(4096, BLOCK)));
    const [answer] = worker.said;
    assert.ok(answer?.kind === 'completed');
    const { error } = answer.result;
    assert.equal(error?.of === 'block' && error.errno, 'ENOSPC');
    assert.deepEqual(worker.device.submitted, []);
  });
});
