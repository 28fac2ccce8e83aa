/** The life of sessions over real gRPC: how they open, answer, break the rules, are replaced and cut off. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { BlockError } from '#daemon/block/block-error.js';
import { flushRequest, joined, readRequest, writeRequest } from '#daemon/block/block-request.js';
import { REQUEST_BYTES_MAX } from '#daemon/block/device-facts.js';
import { FrameSeals } from '#daemon/rpc/frame-seal.js';
import { encodeClientFrame } from '#daemon/rpc/storage-frame.js';
import type { ClientFrame, NodeMessage, OpenFrame } from '#daemon/rpc/storage-messages.js';
import { OPEN_TIMEOUT_MS } from '#daemon/storage-node/session-stream.js';
import type { SessionWire } from '#test/support/node-wire.js';
import { ServedNode, until } from '#test/support/served-node.js';

const BLOCK = Buffer.alloc(512, 0xa5);
const OPEN_AGAIN: OpenFrame = {
  kind: 'open',
  volumeId: 'id-v1',
  attachmentId: 'a',
  generation: 0,
  streamIndex: 0,
  checksum: 'none',
  takesHoles: true,
};

let served: ServedNode;
beforeEach(async () => {
  served = await ServedNode.start();
});
afterEach(() => served.stop());

describe('a session', () => {
  it('opens with what the client needs to know', async () => {
    const { generation } = await served.acquire('a');
    const [, opened] = await served.open({ generation, checksum: 'crc32c', seal: 0 });
    const { writeVerifier } = await served.wire.call<NodeMessage>('GetNode', {});
    assert.equal(opened.writeVerifier, writeVerifier);
    assert.equal(opened.checksum, 'crc32c');
    assert.equal(opened.volume.volumeId, 'id-v1');
    assert.equal(opened.capabilities.canWrite, true);
    assert.deepEqual(
      [opened.requestBytesMax, opened.requestsInFlightMax, opened.bytesInFlightMax],
      [REQUEST_BYTES_MAX, 100, REQUEST_BYTES_MAX],
    );
  });

  it('without a lease is read-only', async () => {
    const [session, opened] = await served.open({});
    assert.equal(opened.capabilities.canWrite, false);
    session.request(1, writeRequest(0, BLOCK), readRequest(0, 512));
    const answers = await session.answers(2);
    assert.equal(answers.get(1)?.error?.errno, 'EPERM');
    assert.deepEqual(answers.get(2)?.payload, [Buffer.alloc(512)]);
  });

  it('reads what it wrote, up to the longest request', async () => {
    const session = await served.openWriter();
    const data = Buffer.alloc(1024 * 1024, 0x5a);
    session.request(1, writeRequest(0, data), readRequest(0, data.length), flushRequest());
    const answers = await session.answers(3);
    assert.ok(joined(answers.get(2)?.payload ?? []).equals(data));
    assert.ok([...answers.values()].every(({ error }) => error === undefined));
  });

  it('answers a ping while requests wait', async () => {
    const session = await served.openWriter();
    served.catalog.device('v1').hold();
    session.request(1, readRequest(0, 512));
    session.send({ kind: 'ping', number: 42 });
    assert.deepEqual(await session.next(), { kind: 'pong', number: 42 });
  });

  it('that the client half-closes gets all its answers and then ends with OK', async () => {
    const session = await served.openWriter();
    served.catalog.device('v1').hold();
    session.request(1, writeRequest(0, BLOCK), readRequest(0, 512));
    session.halfClose();
    await until(() => served.catalog.device('v1').heldCount === 2);
    served.catalog.device('v1').completeAll();
    assert.equal((await session.answers(2)).get(2)?.error, undefined);
    assert.equal((await session.ended).code, 'OK');
    await until(() => !served.catalog.isOpen('v1'));
  });

  it('is refused with the reason', async () => {
    await served.acquire('a');
    for (const [open, end] of [
      [{ volumeId: 'none' }, /^NOT_FOUND: no volume has the id none$/],
      [{ generation: 2 }, /^ABORTED: generation 2 of volume v1 is over: the current one is 1/],
      [
        { generation: 1, attachmentId: 'b' },
        /^ABORTED: .* held by daemon of a since 2026-01-01T00:00:00.000Z$/,
      ],
      [{ attachmentId: '' }, /^INVALID_ARGUMENT: attachment_id must have 1 to 64/],
      [{ streamIndex: 64 }, /^INVALID_ARGUMENT: stream_index is 64, at most 63/],
    ] as const) {
      const { code, details } = await served.wire.open(open).ended;
      assert.match(`${code}: ${details}`, end);
    }
    assert.ok(!served.catalog.isOpen('v1'));
  });

  it('ends when the client breaks the rules, with INVALID_ARGUMENT and a sentence', async () => {
    const garbage = Buffer.from([0x12, 3, 0x0a, 1, 7]);
    for (const [breakIt, sentence] of [
      [
        (session: SessionWire) => {
          session.send(garbage);
        },
        /not a whole number of entries/,
      ],
      [
        (session: SessionWire) => {
          session.send({ ...OPEN_AGAIN });
        },
        /second open frame/,
      ],
      [
        (session: SessionWire) => {
          session.request(2, readRequest(0, 512));
          session.request(2, readRequest(0, 512));
        },
        /sequences must rise/,
      ],
    ] as const) {
      const [session] = await served.open({});
      breakIt(session);
      const { code, details } = await session.ended;
      assert.equal(code, 'INVALID_ARGUMENT');
      assert.match(details, sentence);
      await until(() => !served.catalog.isOpen('v1'));
    }
    const early = served.wire.stream();
    early.request(1, readRequest(0, 512));
    assert.match((await early.ended).details, /requests came before the session was open/);
    const silent = served.wire.stream();
    silent.halfClose();
    assert.match((await silent.ended).details, /ended without an open frame/);
    const { refusals } = await served.wire.call<NodeMessage>('GetNode', {});
    assert.deepEqual(refusals, [{ event: 'session_broken', count: 5 }]);
  });

  it('on which a frame was damaged or lost ends with DATA_LOSS, and nothing of the frame is done', async () => {
    const { generation } = await served.acquire('a');
    const write: ClientFrame = {
      kind: 'requests',
      sequences: [1],
      requests: [writeRequest(0, BLOCK)],
    };
    for (const breakIt of [
      // Another place for the same data, as a flipped bit in the column of offsets makes of it.
      (session: SessionWire, seals: FrameSeals) => {
        const sealed = Buffer.alloc(1000);
        const message = encodeClientFrame({ ...write, seal: seals.next() });
        const frameBytes = message.copy(sealed, 0);
        const place = sealed.indexOf(Buffer.from([0x1a, 8]));
        sealed[place + 3] = 2;
        session.send(sealed.subarray(0, frameBytes));
      },
      (session: SessionWire) => {
        session.send(write);
      },
      (session: SessionWire) => {
        session.send({ ...write, seal: new FrameSeals(1).next() });
      },
      (session: SessionWire, seals: FrameSeals) => {
        seals.next();
        session.send({ kind: 'ping', number: 1, seal: seals.next() });
      },
      (session: SessionWire, seals: FrameSeals) => {
        seals.next();
        session.send(Buffer.from([0x12, 3, 0x0a, 1, 7]));
      },
    ]) {
      const [session, opened] = await served.open({ generation, checksum: 'crc32c', seal: 0 });
      assert.equal(opened.seal, 0);
      const seals = new FrameSeals(opened.frameSalt);
      const replies = new FrameSeals(opened.frameSalt);
      session.send({ kind: 'ping', number: 1, seal: seals.next() });
      assert.deepEqual(await session.next(), { kind: 'pong', number: 1, seal: replies.next() });
      const device = served.catalog.device('v1');
      breakIt(session, seals);
      const { code, details } = await session.ended;
      assert.equal(code, 'DATA_LOSS');
      assert.match(details, /data was damaged on its way.*nothing of it was used/);
      assert.equal(device.submitted.length, 0);
      await until(() => !served.catalog.isOpen('v1'));
    }
    const { code } = await served.wire.open({ generation, checksum: 'crc32c', seal: 1 }).ended;
    assert.equal(code, 'DATA_LOSS');
  });

  it('has a salt of its own, so that a frame of another session does not fit', async () => {
    const salts = new Set<number>();
    for (let streamIndex = 0; streamIndex < 3; streamIndex += 1) {
      const [, opened] = await served.open({ streamIndex, checksum: 'crc32c', seal: 0 });
      salts.add(opened.frameSalt);
    }
    assert.equal(salts.size, 3);
  });

  it('ends when the client has more unanswered than was agreed', async () => {
    const session = await served.openWriter();
    served.catalog.device('v1').hold();
    session.request(1, ...Array.from({ length: 100 }, flushRequest));
    await until(() => served.catalog.device('v1').submitted.length === 100);
    session.request(101, flushRequest());
    const { code, details } = await session.ended;
    assert.equal(code, 'RESOURCE_EXHAUSTED');
    assert.match(details, /more than 100 requests/);
  });

  it('that says nothing is let go after a while', async () => {
    const silent = served.wire.stream();
    silent.send({ kind: 'ping', number: 1 });
    await silent.next();
    await served.clock.advance(OPEN_TIMEOUT_MS);
    assert.match((await silent.ended).details, /no open frame came within 10000 ms/);
  });

  it('is refused when the node has as many as it may', async () => {
    const sessions = await Promise.all(
      [0, 1, 2, 3].map((streamIndex) => served.open({ streamIndex })),
    );
    const { code, details } = await served.wire.open({ streamIndex: 4 }).ended;
    assert.equal(code, 'RESOURCE_EXHAUSTED');
    assert.match(details, /this node has 4 sessions, which is its limit \(sessions_max\)/);
    sessions[0]?.[0].cancel();
    await until(() => served.node.service.sessions.count === 3);
    await served.open({ streamIndex: 4 });
  });

  it('of a client that does not take its answers is not read further, and goes on when it does', async () => {
    const [session] = await served.open({});
    const device = served.catalog.device('v1');
    session.pause();
    const count = 300;
    for (let sequence = 1; sequence <= count; sequence += 1)
      session.request(sequence, readRequest(0, 1024 * 1024));
    await until(() => device.submitted.length > 16);
    let seen = 0;
    await until(() => {
      const stands = device.submitted.length === seen;
      seen = device.submitted.length;
      return stands;
    });
    assert.ok(seen < count / 2, `${seen} of ${count} MiB were read for a client that takes none`);
    session.resume();
    assert.equal((await session.answers(count)).size, count);
  });
});

describe('a session of the same attachment and stream', () => {
  it('replaces the old one, and opens only after everything of the old one has completed', async () => {
    const old = await served.openWriter('a');
    const device = served.catalog.device('v1');
    device.hold();
    old.request(1, writeRequest(0, BLOCK));
    await until(() => device.heldCount === 1);
    const fresh = served.wire.open({ generation: 1 });
    const { code, details } = await old.ended;
    assert.equal(code, 'UNAVAILABLE');
    assert.match(details, /a newer session of the same attachment replaces this one/);
    await served.wire.call('GetNode', {});
    assert.equal(fresh.frames.length, 0);
    device.completeNext();
    assert.equal((await fresh.next()).kind, 'opened');
    assert.equal(served.node.service.sessions.count, 1);
  });

  it('leaves sessions of other streams alone', async () => {
    const { generation } = await served.acquire('a');
    const [first] = await served.open({ generation });
    await served.open({ generation, streamIndex: 1 });
    first.request(1, readRequest(0, 512));
    assert.equal((await first.answers(1)).size, 1);
  });

  it('that gives up while it waits leaves nothing behind', async () => {
    const old = await served.openWriter('a');
    const device = served.catalog.device('v1');
    device.hold();
    old.request(1, writeRequest(0, BLOCK));
    await until(() => device.heldCount === 1);
    const impatient = served.wire.open({ generation: 1 });
    await old.ended;
    impatient.cancel();
    await impatient.ended;
    device.completeAll();
    await until(() => !served.catalog.isOpen('v1'));
    assert.equal(served.node.service.sessions.count, 0);
    await served.open({ generation: 1 });
  });
});

describe('a connection that breaks', () => {
  it('lets what was received finish, and then closes the volume', async () => {
    const session = await served.openWriter('a');
    const device = served.catalog.device('v1');
    device.hold();
    session.request(1, writeRequest(0, BLOCK), flushRequest());
    await until(() => device.heldCount === 1);
    session.cancel();
    await until(() => served.logged.some((line) => line.startsWith('session_ended: ')));
    assert.ok(served.catalog.isOpen('v1'));
    device.completeNext();
    await until(() => !served.catalog.isOpen('v1'));
    assert.deepEqual(device.content.subarray(0, 512), BLOCK);
    assert.equal(device.submitted.length, 1);
  });
});

describe('a flush that failed', () => {
  it('is answered, ends all sessions of the volume, and changes the write verifier for those after', async () => {
    const { generation } = await served.acquire('a');
    const [session, opened] = await served.open({ generation });
    const [reader] = await served.open({ attachmentId: 'b' });
    const device = served.catalog.device('v1');
    device.flushError = new BlockError('EIO', 'bad disk');
    session.request(1, flushRequest(), readRequest(0, 512));
    const answers = await session.answers(1);
    assert.equal(answers.get(1)?.error?.errno, 'EIO');
    assert.equal(answers.has(2), false, 'a read might see what is left in the cache');
    for (const one of [session, reader]) {
      const { code, details } = await one.ended;
      assert.equal(code, 'UNAVAILABLE');
      assert.match(details, /could not make volume v1 durable: bad disk; look at the kernel log/);
    }
    await until(() => !served.catalog.isOpen('v1'));
    const [again, reopened] = await served.open({ generation });
    assert.notEqual(reopened.writeVerifier, opened.writeVerifier);
    again.request(1, flushRequest());
    const frame = await again.next();
    assert.ok(frame.kind === 'replies');
    assert.equal(frame.writeVerifier, reopened.writeVerifier);
    assert.ok(served.logged.some((line) => line.startsWith('flush_failed: ')));
  });

  it('lets nobody have its device again, also when another session is slow to go', async () => {
    const { generation } = await served.acquire('a');
    const [session, opened] = await served.open({ generation });
    const [reader] = await served.open({ attachmentId: 'b' });
    const device = served.catalog.device('v1');
    device.flushError = new BlockError('ENOSPC', 'no space left');
    device.hold();
    reader.request(1, readRequest(0, 512));
    session.request(1, flushRequest());
    await until(() => device.heldCount === 2);
    device.completeAt(device.submitted.findIndex(({ kind }) => kind === 'flush'));
    await session.ended;
    const opening = served.open({ generation });
    await new Promise(setImmediate);
    assert.equal(device.closed, false);
    device.completeNext();
    const [, reopened] = await opening;
    assert.equal(device.closed, true);
    assert.notEqual(reopened.writeVerifier, opened.writeVerifier);
  });
});
