/** A session on a stream that the test plays the node for. */
import assert from 'node:assert/strict';
import { Duplex } from 'node:stream';
import { describe, it } from 'node:test';
import { DONE, readRequest, writeRequest } from '#daemon/block/block-request.js';
import { StorageError } from '#daemon/rpc/storage-error.js';
import type { ClientFrame, NodeFrame } from '#daemon/rpc/storage-messages.js';
import { GrpcStorageSession, type FrameStream } from '#daemon/transport/grpc-storage-session.js';
import { FakeClock, settle } from '#test/support/fake-clock.js';

const TIMES = { openTimeoutMs: 5000, probeIntervalMs: 1000, probeTimeoutMs: 3000 };

class PretendStream extends Duplex {
  readonly sent: ClientFrame[] = [];
  cancelled = false;

  constructor() {
    super({ objectMode: true, read: () => undefined });
  }

  override _write(frame: ClientFrame, _encoding: string, done: () => void): void {
    this.sent.push(frame);
    done();
  }

  cancel(): void {
    this.cancelled = true;
  }

  answer(frame: NodeFrame): void {
    this.push(frame);
  }
}

const OPENED: NodeFrame = {
  kind: 'opened',
  writeVerifier: 5n,
  volume: {
    volumeId: 'v',
    name: 'v1',
    sizeBytes: 1024,
    blockBytes: 512,
    backend: 'memory',
    allocatedBytes: 0,
    createdUnixMs: 0,
    generation: 1,
    holder: undefined,
    sessionCount: 1,
  },
  capabilities: {
    canWrite: true,
    fua: 'emulated',
    canTrim: true,
    canFastZero: true,
    canBlockStatus: true,
  },
  preferredBytes: 4096,
  requestBytesMax: 1024,
  checksum: 'none',
  requestsInFlightMax: 10,
  bytesInFlightMax: 4096,
};

function openSession(): {
  stream: PretendStream;
  clock: FakeClock;
  session: GrpcStorageSession;
  log: string[];
} {
  const stream = new PretendStream();
  const clock = new FakeClock();
  const log: string[] = [];
  const session = new GrpcStorageSession(
    stream as unknown as FrameStream,
    { volumeId: 'v', attachmentId: 'a', generation: 1, streamIndex: 0, checksum: 'none' },
    {
      opened: ({ writeVerifier }) => log.push(`opened ${writeVerifier}`),
      completed: (sequence) => log.push(`completed ${sequence}`),
      verifierSeen: (verifier) => log.push(`verifier ${verifier}`),
      resized: (sizeBytes) => log.push(`resized ${sizeBytes}`),
      ended: (reason) => log.push(`ended ${reason.message}`),
    },
    clock,
    TIMES,
    (error) => new StorageError('unavailable', `explained: ${(error as Error).message}`),
  );
  return { stream, clock, session, log };
}

async function opened(): Promise<ReturnType<typeof openSession>> {
  const bench = openSession();
  bench.stream.answer(OPENED);
  await settle();
  return bench;
}

describe('GrpcStorageSession', () => {
  it('opens with who it is', async () => {
    const { stream, log } = await opened();
    assert.deepEqual(stream.sent[0], {
      kind: 'open',
      volumeId: 'v',
      attachmentId: 'a',
      generation: 1,
      streamIndex: 0,
      checksum: 'none',
    });
    assert.deepEqual(log, ['opened 5']);
  });

  it('sends the requests of one turn in one frame', async () => {
    const { stream, session } = await opened();
    session.send(1, readRequest(0, 512));
    session.send(2, readRequest(512, 512));
    await settle();
    session.send(3, readRequest(0, 512));
    await settle();
    assert.deepEqual(
      stream.sent
        .slice(1)
        .map((frame) => (frame.kind === 'requests' ? frame.sequences : frame.kind)),
      [[1, 2], [3]],
    );
  });

  it('closes a frame early when it is large, so that the node can begin', async () => {
    const { stream, session } = await opened();
    const payload = Buffer.alloc(200 * 1024);
    for (let sequence = 1; sequence <= 4; sequence += 1)
      session.send(sequence, writeRequest(0, payload));
    await settle();
    assert.deepEqual(
      stream.sent
        .slice(1)
        .map((frame) => (frame.kind === 'requests' ? frame.sequences : frame.kind)),
      [
        [1, 2],
        [3, 4],
      ],
    );
  });

  it('tells the write verifier before the completions that it belongs to', async () => {
    const { stream, log } = await opened();
    stream.answer({
      kind: 'replies',
      sequences: [1, 2],
      results: [DONE, DONE],
      writeVerifier: 5n,
      checksum: 'none',
    });
    await settle();
    assert.deepEqual(log, ['opened 5', 'verifier 5', 'completed 1', 'completed 2']);
  });

  it('tells that the volume was resized', async () => {
    const { stream, log } = await opened();
    stream.answer({ kind: 'resized', sizeBytes: 4096 });
    await settle();
    assert.deepEqual(log, ['opened 5', 'resized 4096']);
  });

  it('asks a silent node for a sign of life, and is content with a pong', async () => {
    const { stream, clock, log } = await opened();
    for (let second = 0; second < 10; second += 1) {
      await clock.advance(1000);
      stream.answer({ kind: 'pong', number: 1 });
      await settle();
    }
    assert.ok(stream.sent.some((frame) => frame.kind === 'ping'));
    assert.deepEqual(log, ['opened 5']);
  });

  it('ends when the node is silent for the probe timeout', async () => {
    const { stream, clock, log } = await opened();
    await clock.advance(2999);
    assert.deepEqual(log, ['opened 5']);
    await clock.advance(1);
    assert.deepEqual(log, [
      'opened 5',
      'ended the node has been silent for 3000 ms (probe_timeout)',
    ]);
    assert.equal(stream.cancelled, true);
    assert.equal(clock.timerCount, 0);
  });

  it('ends when the node does not open the session in time', async () => {
    const { clock, log } = openSession();
    await clock.advance(5000);
    assert.deepEqual(log, ['ended the node did not open the session within 5000 ms']);
  });

  it('ends once, with the reason, when the stream breaks', async () => {
    const { stream, log } = await opened();
    stream.destroy(new Error('reset'));
    await settle();
    assert.deepEqual(log, ['opened 5', 'ended explained: reset']);
  });

  it('ends when the node breaks the order of frames', async () => {
    const early = openSession();
    early.stream.answer({
      kind: 'replies',
      sequences: [1],
      results: [DONE],
      writeVerifier: 0n,
      checksum: 'none',
    });
    await settle();
    assert.deepEqual(early.log, ['ended the node answered requests before it opened the session']);
    const twice = await opened();
    twice.stream.answer(OPENED);
    await settle();
    assert.deepEqual(twice.log, ['opened 5', 'ended the node opened the session twice']);
  });

  it('says nothing more after it was closed', async () => {
    const { stream, session, log, clock } = await opened();
    session.close();
    stream.answer({
      kind: 'replies',
      sequences: [1],
      results: [DONE],
      writeVerifier: 0n,
      checksum: 'none',
    });
    await clock.advance(10_000);
    assert.deepEqual(log, ['opened 5']);
  });
});
