/** A session on a stream that the test plays the node for. */
import assert from 'node:assert/strict';
import { Duplex } from 'node:stream';
import { describe, it } from 'node:test';
import { DONE, readRequest, writeRequest } from '#daemon/block/block-request.js';
import { StorageError } from '#daemon/rpc/storage-error.js';
import type { ClientFrame, NodeFrame } from '#daemon/rpc/storage-messages.js';
import { GrpcStorageSession } from '#daemon/transport/grpc-storage-session.js';
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

  answer(frame: NodeFrame | StorageError): void {
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
  frameSalt: 0,
  requestsInFlightMax: 10,
  bytesInFlightMax: 4096,
};

const SALT = 1000;
const OPENED_SEALED: NodeFrame = { ...OPENED, checksum: 'crc32c', frameSalt: SALT, seal: 0 };

function openSession(checksum: 'none' | 'crc32c' = 'none'): {
  stream: PretendStream;
  clock: FakeClock;
  session: GrpcStorageSession;
  log: string[];
  left: () => number;
} {
  let leftConnections = 0;
  const stream = new PretendStream();
  const clock = new FakeClock();
  const log: string[] = [];
  const session = new GrpcStorageSession(
    stream,
    { volumeId: 'v', attachmentId: 'a', generation: 1, streamIndex: 0, checksum, takesHoles: true },
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
    () => {
      leftConnections += 1;
    },
  );
  return { stream, clock, session, log, left: () => leftConnections };
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
      takesHoles: true,
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
    });
    await clock.advance(10_000);
    assert.deepEqual(log, ['opened 5']);
  });
});

describe('GrpcStorageSession with checksums', () => {
  const replies = (seal: number | undefined): NodeFrame => ({
    ...{ kind: 'replies', sequences: [1], results: [DONE], writeVerifier: 0n, seal },
  });

  it('counts the frames of each direction', async () => {
    const { stream, session, clock, log } = openSession('crc32c');
    stream.answer(OPENED_SEALED);
    await settle();
    session.send(1, readRequest(0, 512));
    await settle();
    session.send(2, readRequest(0, 512));
    await settle();
    await clock.advance(1000);
    assert.deepEqual(
      stream.sent.map(({ kind, seal }) => [kind, seal]),
      [
        ['open', 0],
        ['requests', SALT + 1],
        ['requests', SALT + 2],
        ['ping', SALT + 3],
      ],
    );
    stream.answer(replies(SALT + 1));
    stream.answer({ kind: 'pong', number: 1, seal: SALT + 2 });
    stream.answer({ kind: 'resized', sizeBytes: 4096, seal: SALT + 3 });
    await settle();
    assert.deepEqual(log, ['opened 5', 'completed 1', 'resized 4096']);
  });

  it('ends with a frame that does not fit, uses nothing of it, and leaves the connection', async () => {
    const cannotBeRead = new StorageError('invalid', 'a frame ends inside a field');
    for (const frame of [
      replies(SALT + 2),
      replies(undefined),
      { kind: 'resized', sizeBytes: 512, seal: 7 } as const,
      cannotBeRead,
    ]) {
      const { stream, log, left } = openSession('crc32c');
      stream.answer(OPENED_SEALED);
      stream.answer(frame);
      stream.answer(replies(SALT + 1));
      await settle();
      assert.equal(log.length, 2);
      assert.match(log[1] ?? '', /^ended data was damaged on its way between daemon and node/);
      assert.equal(stream.cancelled, true);
      assert.equal(left(), 1);
    }
  });

  it('does not open with facts that were damaged', async () => {
    const damagedFacts: readonly NodeFrame[] = [
      { ...OPENED_SEALED, seal: 1 },
      { ...OPENED_SEALED, seal: undefined },
      { ...OPENED, seal: 5 },
    ];
    for (const frame of damagedFacts) {
      const { stream, log } = openSession('crc32c');
      stream.answer(frame);
      await settle();
      assert.match(log.join(), /^ended data was damaged.*the first frame/);
    }
  });

  it('goes on without, if the node does not grant them', async () => {
    const { stream, session, log } = openSession('crc32c');
    stream.answer(OPENED);
    await settle();
    session.send(1, readRequest(0, 512));
    await settle();
    assert.equal(stream.sent[1]?.seal, undefined);
    stream.answer(replies(undefined));
    await settle();
    assert.deepEqual(log, ['opened 5', 'completed 1']);
  });

  it('that were not asked for are refused', async () => {
    const { stream, log } = await opened();
    stream.answer(replies(3));
    await settle();
    assert.deepEqual(log, [
      'opened 5',
      'ended a frame came with a checksum, and none was agreed on',
    ]);
  });
});
