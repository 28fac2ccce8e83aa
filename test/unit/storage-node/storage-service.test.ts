/**
 * The node over real gRPC on a unix socket, with a catalog in memory: the calls, the life of sessions, and
 * what happens to requests when leases move, sessions are replaced, connections break, and the node stops.
 */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { BlockError } from '#daemon/block/block-error.js';
import { flushRequest, readRequest, writeRequest } from '#daemon/block/block-request.js';
import { REQUEST_BYTES_MAX } from '#daemon/block/device-facts.js';
import type {
  CreateVolumeReplyMessage,
  LeaseMessage,
  NodeMessage,
  OpenedFrame,
  OpenFrame,
  VolumeMessage,
} from '#daemon/rpc/storage-messages.js';
import { startNode, type RunningNode } from '#daemon/storage-node/node-server.js';
import { OPEN_TIMEOUT_MS } from '#daemon/storage-node/session-stream.js';
import { FakeClock } from '#test/support/fake-clock.js';
import { MemoryCatalog } from '#test/support/memory-catalog.js';
import { NodeWire, type SessionWire } from '#test/support/node-wire.js';

const BLOCK = Buffer.alloc(512, 0xa5);
const LEASE_TIMEOUT_MS = 30_000;

let folder = '';
before(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'blkferry-service-'));
});
after(() => {
  fs.rmSync(folder, { recursive: true, force: true });
});

let catalog: MemoryCatalog;
let clock: FakeClock;
let node: RunningNode;
let wire: NodeWire;
let logged: string[];
let stopExpected = true;

beforeEach(async () => {
  catalog = new MemoryCatalog();
  catalog.add({ name: 'v1' });
  clock = new FakeClock();
  logged = [];
  const log = (fields: object, message: string): void => {
    logged.push(`${(fields as { event: string }).event}: ${message}`);
  };
  node = await startNode({
    catalog,
    clock,
    wallClock: () => Date.UTC(2026, 0, 1),
    leaseTimeoutMs: LEASE_TIMEOUT_MS,
    software: 'blkferry-node test',
    sessionsMax: 4,
    sessionLimits: { requestsInFlightMax: 100, bytesInFlightMax: REQUEST_BYTES_MAX },
    log: { info: log, warn: log },
    address: `unix:${path.join(folder, 'node.sock')}`,
    insecure: false,
  });
  wire = new NodeWire(node.address);
  stopExpected = true;
});
afterEach(async () => {
  wire.close();
  for (const { name } of catalog.list()) {
    if (catalog.isOpen(name)) catalog.device(name).completeAll();
  }
  await node.stop(1000).catch((error: unknown) => {
    if (stopExpected) throw error;
  });
});

/** Waits until the condition holds; the test's own time limit ends it otherwise. */
async function until(condition: () => boolean): Promise<void> {
  while (!condition()) {
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
  }
}

function acquire(attachmentId: string, takeOver = false): Promise<LeaseMessage> {
  return wire.call<LeaseMessage>('AcquireLease', {
    volumeId: 'id-v1',
    attachmentId,
    description: `daemon of ${attachmentId}`,
    expectedGeneration: 0,
    takeOver,
  });
}

async function openSession(open: Partial<OpenFrame>): Promise<[SessionWire, OpenedFrame]> {
  const session = wire.open(open);
  const frame = await session.next();
  assert.equal(frame.kind, 'opened');
  return [session, frame];
}

async function openWriter(attachmentId = 'a', takeOver = false): Promise<SessionWire> {
  const { generation } = await acquire(attachmentId, takeOver);
  const [session] = await openSession({ attachmentId, generation });
  return session;
}

describe('the calls of a storage node', () => {
  it('say what the node is', async () => {
    const answer = await wire.call<NodeMessage>('GetNode', {});
    assert.notEqual(answer.writeVerifier, 0n);
    assert.deepEqual(
      { ...answer, writeVerifier: 0n },
      {
        nodeId: 'memory-node',
        software: 'blkferry-node test',
        backends: ['memory'],
        writeVerifier: 0n,
        freeBytes: 1000,
        totalBytes: 2000,
        uptimeMs: 0,
        volumeCount: 1,
        sessionCount: 0,
      },
    );
  });

  it('create a volume with the defaults for what is left out, and say whether it was there', async () => {
    const request = { name: 'v2', sizeBytes: 4096, blockBytes: 0, backend: '' };
    const first = await wire.call<CreateVolumeReplyMessage>('CreateVolume', request);
    assert.deepEqual(
      [first.existed, first.volume.blockBytes, first.volume.backend],
      [false, 512, 'memory'],
    );
    const second = await wire.call<CreateVolumeReplyMessage>('CreateVolume', request);
    assert.equal(second.existed, true);
    const { volumes } = await wire.call<{ volumes: VolumeMessage[] }>('ListVolumes', {});
    assert.deepEqual(
      volumes.map(({ name }) => name),
      ['v1', 'v2'],
    );
  });

  it('answer what cannot be with a status and a sentence', async () => {
    const anyone = { volumeId: 'id-v1', attachmentId: 'a', description: '', takeOver: false };
    for (const [name, request, sentence] of [
      ['GetVolume', { name: 'none' }, /^NOT_FOUND: this node has no volume named none$/],
      ['ResizeVolume', { name: 'none', sizeBytes: 512 }, /^NOT_FOUND: /],
      ['DeleteVolume', { name: 'none' }, /^NOT_FOUND: /],
      [
        'DeleteVolume',
        { name: 'v1', volumeId: 'other' },
        /^NOT_FOUND: volume v1 has the id id-v1, not other: it was made anew$/,
      ],
      [
        'ResizeVolume',
        { name: 'v1', sizeBytes: 512 },
        /^FAILED_PRECONDITION: volume v1 has 1048576 bytes: with 512 data would be cut off/,
      ],
      [
        'AcquireLease',
        { ...anyone, attachmentId: '' },
        /^INVALID_ARGUMENT: attachment_id must have 1 to 64 characters, it has 0$/,
      ],
      [
        'AcquireLease',
        { ...anyone, attachmentId: 'x'.repeat(65) },
        /^INVALID_ARGUMENT: attachment_id .* it has 65$/,
      ],
      [
        'AcquireLease',
        { ...anyone, expectedGeneration: 3 },
        /^ABORTED: volume v1 is at generation 0/,
      ],
      // Field 1 of GetVolumeRequest, cut in the middle of its text.
      [
        'GetVolume',
        Buffer.from([0x0a, 5, 0x61]),
        /^INVALID_ARGUMENT: not a GetVolumeRequest message/,
      ],
    ] as const) {
      await assert.rejects(wire.call(name, request), (error: Error) => {
        assert.match(error.message, sentence);
        return true;
      });
    }
  });

  it('resize a volume under an open session, which uses the new size at once', async () => {
    const session = await openWriter();
    const grown = { name: 'v1', sizeBytes: 2 * 1024 * 1024, allowShrink: false };
    assert.equal(
      (await wire.call<VolumeMessage>('ResizeVolume', grown)).sizeBytes,
      grown.sizeBytes,
    );
    session.request(1, readRequest(1024 * 1024, 512));
    assert.equal((await session.answers(1)).get(1)?.error, undefined);
  });

  it('do not delete a volume that is attached or read, and delete it afterwards', async () => {
    const { generation } = await acquire('a');
    const holder = { volumeId: 'id-v1', attachmentId: 'a', generation };
    await clock.advance(2 * LEASE_TIMEOUT_MS);
    await assert.rejects(
      wire.call('DeleteVolume', { name: 'v1' }),
      /^Error: FAILED_PRECONDITION: volume v1 is attached by daemon of a; detach it there/,
    );
    await wire.call('ReleaseLease', holder);
    await wire.call('ReleaseLease', holder);
    const [reader] = await openSession({ attachmentId: 'r' });
    await assert.rejects(
      wire.call('DeleteVolume', { name: 'v1' }),
      /FAILED_PRECONDITION: volume v1 is being read/,
    );
    reader.halfClose();
    await reader.ended;
    await until(() => !catalog.isOpen('v1'));
    await wire.call('DeleteVolume', { name: 'v1' });
    assert.equal(catalog.byName('v1'), undefined);
  });

  it('show the holder of a volume and whether it is connected', async () => {
    await openWriter();
    const { holder, sessionCount, generation } = await wire.call<VolumeMessage>('GetVolume', {
      name: 'v1',
    });
    assert.deepEqual(
      { holder, sessionCount, generation },
      {
        holder: {
          attachmentId: 'a',
          description: 'daemon of a',
          sinceUnixMs: Date.UTC(2026, 0, 1),
          connected: true,
        },
        sessionCount: 1,
        generation: 1,
      },
    );
  });
});

describe('a session', () => {
  it('opens with what the client needs to know', async () => {
    const { generation } = await acquire('a');
    const [, opened] = await openSession({ generation, checksum: 'crc32c' });
    const { writeVerifier } = await wire.call<NodeMessage>('GetNode', {});
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
    const [session, opened] = await openSession({});
    assert.equal(opened.capabilities.canWrite, false);
    session.request(1, writeRequest(0, BLOCK), readRequest(0, 512));
    const answers = await session.answers(2);
    assert.equal(answers.get(1)?.error?.errno, 'EPERM');
    assert.deepEqual(answers.get(2)?.payload, Buffer.alloc(512));
  });

  it('reads what it wrote, up to the longest request', async () => {
    const session = await openWriter();
    const data = Buffer.alloc(1024 * 1024, 0x5a);
    session.request(1, writeRequest(0, data), readRequest(0, data.length), flushRequest());
    const answers = await session.answers(3);
    assert.ok(answers.get(2)?.payload.equals(data));
    assert.ok([...answers.values()].every(({ error }) => error === undefined));
  });

  it('answers a ping while requests wait', async () => {
    const session = await openWriter();
    catalog.device('v1').hold();
    session.request(1, readRequest(0, 512));
    session.send({ kind: 'ping', number: 42 });
    assert.deepEqual(await session.next(), { kind: 'pong', number: 42 });
  });

  it('that the client half-closes gets all its answers and then ends with OK', async () => {
    const session = await openWriter();
    catalog.device('v1').hold();
    session.request(1, writeRequest(0, BLOCK), readRequest(0, 512));
    session.halfClose();
    await until(() => catalog.device('v1').heldCount === 2);
    catalog.device('v1').completeAll();
    assert.equal((await session.answers(2)).get(2)?.error, undefined);
    assert.equal((await session.ended).code, 'OK');
    await until(() => !catalog.isOpen('v1'));
  });

  it('is refused with the reason', async () => {
    await acquire('a');
    for (const [open, end] of [
      [{ volumeId: 'none' }, /^NOT_FOUND: no volume has the id none$/],
      [{ generation: 2 }, /^ABORTED: generation 2 of volume v1 is over: the current one is 1/],
      [{ generation: 1, attachmentId: 'b' }, /^ABORTED: .* daemon of a holds it now$/],
      [{ attachmentId: '' }, /^INVALID_ARGUMENT: attachment_id must have 1 to 64/],
      [{ streamIndex: 64 }, /^INVALID_ARGUMENT: stream_index is 64, at most 63/],
    ] as const) {
      const { code, details } = await wire.open(open).ended;
      assert.match(`${code}: ${details}`, end);
    }
    assert.ok(!catalog.isOpen('v1'));
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
      const [session] = await openSession({});
      breakIt(session);
      const { code, details } = await session.ended;
      assert.equal(code, 'INVALID_ARGUMENT');
      assert.match(details, sentence);
      await until(() => !catalog.isOpen('v1'));
    }
    const early = wire.stream();
    early.request(1, readRequest(0, 512));
    assert.match((await early.ended).details, /requests came before the session was open/);
    const silent = wire.stream();
    silent.halfClose();
    assert.match((await silent.ended).details, /ended without an open frame/);
  });

  it('ends when the client has more unanswered than was agreed', async () => {
    const session = await openWriter();
    catalog.device('v1').hold();
    session.request(1, ...Array.from({ length: 100 }, flushRequest));
    await until(() => catalog.device('v1').submitted.length === 100);
    session.request(101, flushRequest());
    const { code, details } = await session.ended;
    assert.equal(code, 'RESOURCE_EXHAUSTED');
    assert.match(details, /more than 100 requests/);
  });

  it('that says nothing is let go after a while', async () => {
    const silent = wire.stream();
    silent.send({ kind: 'ping', number: 1 });
    await silent.next();
    await clock.advance(OPEN_TIMEOUT_MS);
    assert.match((await silent.ended).details, /no open frame came within 10000 ms/);
  });

  it('is refused when the node has as many as it may', async () => {
    const sessions = await Promise.all(
      [0, 1, 2, 3].map((streamIndex) => openSession({ streamIndex })),
    );
    const { code, details } = await wire.open({ streamIndex: 4 }).ended;
    assert.equal(code, 'RESOURCE_EXHAUSTED');
    assert.match(details, /this node has 4 sessions, which is its limit \(sessions_max\)/);
    sessions[0]?.[0].cancel();
    await until(() => node.service.sessions.count === 3);
    await openSession({ streamIndex: 4 });
  });

  it('of a client that does not take its answers is not read further, and goes on when it does', async () => {
    const [session] = await openSession({});
    const device = catalog.device('v1');
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

const OPEN_AGAIN: OpenFrame = {
  kind: 'open',
  volumeId: 'id-v1',
  attachmentId: 'a',
  generation: 0,
  streamIndex: 0,
  checksum: 'none',
};

describe('a lease that moves', () => {
  it('ends the old writer with ABORTED, and the new one is not told before the old one is silent', async () => {
    const old = await openWriter('a');
    const device = catalog.device('v1');
    device.hold();
    old.request(1, writeRequest(0, BLOCK));
    await until(() => device.heldCount === 1);
    let granted = false;
    const taken = acquire('b', true).then((lease) => {
      granted = true;
      return lease;
    });
    const { code, details } = await old.ended;
    assert.equal(code, 'ABORTED');
    assert.match(details, /volume v1 was taken over by daemon of b \(generation 2\)/);
    // A call of later than the acquire is answered before it: the acquire waits for the write.
    await wire.call('GetNode', {});
    assert.equal(granted, false);
    device.completeNext();
    assert.equal((await taken).generation, 2);
    assert.deepEqual(device.content.subarray(0, 512), BLOCK);
  });

  it('leaves nothing of the old writer that could be executed later', async () => {
    const old = await openWriter('a');
    const fresh = await openWriter('b', true);
    old.request(1, writeRequest(0, BLOCK));
    assert.equal((await old.ended).code, 'ABORTED');
    fresh.request(1, readRequest(0, 512));
    assert.deepEqual((await fresh.answers(1)).get(1)?.payload, Buffer.alloc(512));
    const { code } = await wire.open({ attachmentId: 'a', generation: 1 }).ended;
    assert.equal(code, 'ABORTED');
  });

  it('does not touch readers', async () => {
    const [reader] = await openSession({ attachmentId: 'r' });
    await openWriter('a');
    await openWriter('b', true);
    reader.request(1, readRequest(0, 512));
    assert.equal((await reader.answers(1)).size, 1);
  });

  it('by release ends the writer too', async () => {
    const session = await openWriter('a');
    await wire.call('ReleaseLease', { volumeId: 'id-v1', attachmentId: 'a', generation: 1 });
    assert.deepEqual(await session.ended, {
      code: 'ABORTED',
      details: 'the lease of volume v1 was released',
    });
  });

  it('is refused while the holder is connected, however long ago it was granted', async () => {
    await openWriter('a');
    await clock.advance(10 * LEASE_TIMEOUT_MS);
    await assert.rejects(
      acquire('b'),
      /FAILED_PRECONDITION: volume v1 is held by daemon of a since 2026-01-01T00:00:00\.000Z; detach it there or use --take-over/,
    );
  });
});

describe('a session of the same attachment and stream', () => {
  it('replaces the old one, and opens only after everything of the old one has completed', async () => {
    const old = await openWriter('a');
    const device = catalog.device('v1');
    device.hold();
    old.request(1, writeRequest(0, BLOCK));
    await until(() => device.heldCount === 1);
    const fresh = wire.open({ generation: 1 });
    const { code, details } = await old.ended;
    assert.equal(code, 'UNAVAILABLE');
    assert.match(details, /a newer session of the same attachment replaces this one/);
    await wire.call('GetNode', {});
    assert.equal(fresh.frames.length, 0);
    device.completeNext();
    assert.equal((await fresh.next()).kind, 'opened');
    assert.equal(node.service.sessions.count, 1);
  });

  it('leaves sessions of other streams alone', async () => {
    const { generation } = await acquire('a');
    const [first] = await openSession({ generation });
    await openSession({ generation, streamIndex: 1 });
    first.request(1, readRequest(0, 512));
    assert.equal((await first.answers(1)).size, 1);
  });

  it('that gives up while it waits leaves nothing behind', async () => {
    const old = await openWriter('a');
    const device = catalog.device('v1');
    device.hold();
    old.request(1, writeRequest(0, BLOCK));
    await until(() => device.heldCount === 1);
    const impatient = wire.open({ generation: 1 });
    await old.ended;
    impatient.cancel();
    await impatient.ended;
    device.completeAll();
    await until(() => !catalog.isOpen('v1'));
    assert.equal(node.service.sessions.count, 0);
    await openSession({ generation: 1 });
  });
});

describe('a connection that breaks', () => {
  it('lets what was received finish, and then closes the volume', async () => {
    const session = await openWriter('a');
    const device = catalog.device('v1');
    device.hold();
    session.request(1, writeRequest(0, BLOCK), flushRequest());
    await until(() => device.heldCount === 1);
    session.cancel();
    await until(() => logged.some((line) => line.startsWith('session_ended: ')));
    assert.ok(catalog.isOpen('v1'));
    device.completeNext();
    await until(() => !catalog.isOpen('v1'));
    assert.deepEqual(device.content.subarray(0, 512), BLOCK);
    assert.equal(device.submitted.length, 1);
  });
});

describe('a flush that failed', () => {
  it('changes the write verifier for the sessions after the volume was opened again', async () => {
    const { generation } = await acquire('a');
    const [session, opened] = await openSession({ generation });
    const device = catalog.device('v1');
    device.flushError = new BlockError('EIO', 'bad disk');
    session.request(1, flushRequest());
    assert.equal((await session.answers(1)).get(1)?.error?.errno, 'EIO');
    session.cancel();
    await until(() => !catalog.isOpen('v1'));
    const [again, reopened] = await openSession({ generation });
    assert.notEqual(reopened.writeVerifier, opened.writeVerifier);
    again.request(1, flushRequest());
    const frame = await again.next();
    assert.ok(frame.kind === 'replies');
    assert.equal(frame.writeVerifier, reopened.writeVerifier);
    assert.ok(logged.some((line) => line.startsWith('flush_failed: ')));
  });
});

describe('an ordered stop', () => {
  it('answers what was received, flushes, closes, and says that it stops', async () => {
    const session = await openWriter('a');
    const device = catalog.device('v1');
    device.hold();
    session.request(1, writeRequest(0, BLOCK));
    await until(() => device.heldCount === 1);
    const stopped = node.stop(10_000);
    assert.equal(node.stop(1), stopped);
    await until(() => device.heldCount === 1 && !fs.existsSync(node.address.slice('unix:'.length)));
    assert.equal(catalog.closed, false);
    device.completeAll();
    assert.equal((await session.answers(1)).get(1)?.error, undefined);
    assert.deepEqual(await session.ended, { code: 'UNAVAILABLE', details: 'the node is stopping' });
    await stopped;
    assert.deepEqual(
      device.submitted.map(({ kind }) => kind),
      ['write', 'flush'],
    );
    assert.ok(device.closed && catalog.closed);
  });

  it('fails, but closes everything, when a volume cannot be flushed', async () => {
    stopExpected = false;
    await openWriter('a');
    catalog.device('v1').flushError = new BlockError('EIO', 'bad disk');
    await assert.rejects(node.stop(10_000), /volume v1 could not be flushed: bad disk/);
    assert.ok(catalog.closed);
  });

  it('does not wait longer than it may for a disk that hangs', async () => {
    const session = await openWriter('a');
    const device = catalog.device('v1');
    device.hold();
    session.request(1, writeRequest(0, BLOCK));
    await until(() => device.heldCount === 1);
    const stopped = node.stop(5000);
    await until(() => clock.timerCount > 0);
    await clock.advance(5000);
    await stopped;
    assert.ok(catalog.closed);
    device.completeAll();
  });
});
