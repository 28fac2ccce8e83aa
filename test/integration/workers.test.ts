/**
 * Goal: with several threads a node keeps every promise that it keeps with one. Method: a node with two workers in this
 * process, real clients over unix sockets, TCP and TLS, and foreign ones over grpc-js.
 */
import assert from 'node:assert/strict';
import { after, describe, it, type TestContext } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { flushRequest, joined, readRequest, writeRequest } from '#daemon/block/block-request.js';
import { SessionCall } from '#daemon/rpc/session-call.js';
import { sessionTarget } from '#daemon/rpc/session-dial.js';
import { laneOf } from '#daemon/rpc/session-lane.js';
import type { StorageClient } from '#daemon/transport/storage-client.js';
import { TestAuthority } from '#test/support/certificates.js';
import { OPEN } from '#test/support/echo-session.js';
import { NodeWire } from '#test/support/node-wire.js';
import { until } from '#test/support/served-node.js';
import { temporaryFolder } from '#test/support/temporary-folder.js';
import {
  HeldSession,
  WorkerNode,
  writer,
  writtenVolume,
  type WorkerNodeWish,
} from '#test/support/worker-node.js';

const MIB = 1024 * 1024;
const TIMEOUT_MS = 60_000;

async function started(t: TestContext, wish: WorkerNodeWish = {}): Promise<WorkerNode> {
  const node = await WorkerNode.start(temporaryFolder(), wish);
  t.after(() => node.stop());
  return node;
}

/** Two volumes with a writing session each, in different workers. */
async function twoVolumes(
  client: StorageClient,
): Promise<{ volumeId: string; session: HeldSession }[]> {
  const found = new Map<number, { volumeId: string; session: HeldSession }>();
  for (let number = 0; found.size < 2; number += 1) {
    const volume = await writtenVolume(client, `v${number}`);
    const worker = laneOf(volume.volumeId) % 2;
    if (found.has(worker)) volume.session.close();
    else found.set(worker, volume);
  }
  return [...found.values()];
}

const authority = new TestAuthority(temporaryFolder());
const files = authority.issue();
const RULES =
  '[[rule]]\nclients = ["*"]\nvolumes = ["*"]\nrights = ["read", "write", "take-over", "administer"]\n';

const WAYS: Readonly<Record<string, WorkerNodeWish>> = {
  'a unix socket': {},
  TCP: { address: '127.0.0.1:0' },
  TLS: { address: '127.0.0.1:0', tls: files, rules: RULES },
};

for (const [way, wish] of Object.entries(WAYS)) {
  describe(`a node with two workers, over ${way}`, { timeout: TIMEOUT_MS }, () => {
    it('serves each volume by its own thread, and reads give what was written', async (t) => {
      const node = await started(t, wish);
      const client = node.client(wish.tls);
      const volumes = await twoVolumes(client);
      await until(() => node.node.service.sessions.count === 2);
      assert.deepEqual((await client.getNode()).workerSessions, [1, 1]);
      const work = volumes.map(async ({ session }, index) => {
        const data = Buffer.alloc(MIB, index + 1);
        for (let round = 0; round < 8; round += 1) {
          data.fill(16 * round + index + 1);
          const writes = [0, 1, 2].map((at) => session.send(writeRequest(at * MIB, data)));
          const read = session.send(readRequest(MIB, MIB));
          await Promise.all(writes);
          assert.ok(joined((await read).payload).equals(data));
          assert.equal((await session.send(flushRequest())).error, undefined);
        }
      });
      await Promise.all(work);
      const { writeVerifier } = await client.getNode();
      for (const { session } of volumes)
        assert.deepEqual(new Set(session.verifiers), new Set([writeVerifier]));
    });

    it('lets nothing of a writer land that another has replaced', async (t) => {
      const node = await started(t, wish);
      const [first, second] = [node.client(wish.tls), node.client(wish.tls)];
      const { volumeId, session } = await writtenVolume(first, 'v');
      let current = session;
      for (let round = 1; round <= 10; round += 1) {
        const stop = keepWriting(current, round);
        await wait(20);
        const attachmentId = round % 2 === 0 ? 'a' : 'b';
        const next = await writer(round % 2 === 0 ? first : second, volumeId, attachmentId);
        const seen = joined((await next.send(readRequest(0, 65_536))).payload);
        await next.send(writeRequest(0, Buffer.alloc(65_536, 255)));
        assert.equal((await current.whenEnded()).kind, 'fenced');
        stop();
        await wait(10);
        const later = joined((await next.send(readRequest(0, 65_536))).payload);
        assert.ok(later.equals(Buffer.alloc(65_536, 255)), `round ${round}`);
        // What was answered to the former one is there.
        assert.equal(seen[0], round);
        current = next;
      }
    });

    it('tells of another size', async (t) => {
      const node = await started(t, wish);
      const client = node.client(wish.tls);
      const { session } = await writtenVolume(client, 'v');
      for (const sizeBytes of [8 * MIB, 2 * MIB]) {
        await client.resizeVolume({ name: 'v', sizeBytes, allowShrink: true });
        await until(() => session.sizes.at(-1) === sizeBytes);
        const last = writeRequest(sizeBytes - 512, Buffer.alloc(512, 1));
        assert.equal((await session.send(last)).error, undefined);
        const beyond = writeRequest(sizeBytes, Buffer.alloc(512, 1));
        assert.equal((await session.send(beyond)).error?.errno, 'ENOSPC');
      }
    });

    it('answers what it has received, and has it on the disk, when it stops', async (t) => {
      const folder = temporaryFolder();
      const node = await WorkerNode.start(folder, wish);
      const client = node.client(wish.tls);
      const { volumeId, session } = await writtenVolume(client, 'v');
      const data = Buffer.alloc(MIB, 7);
      const answers = [0, 1, 2, 3].map((at) => session.send(writeRequest(at * MIB, data)));
      await Promise.all(answers);
      await node.node.stop(5000);
      assert.match((await session.whenEnded()).message, /the node is stopping/);
      await node.stop();
      const again = await WorkerNode.start(folder, wish);
      t.after(() => again.stop());
      const reader = new HeldSession(again.client(wish.tls), { volumeId, attachmentId: 'r' });
      await reader.whenOpen();
      const { payload } = await reader.send(readRequest(0, 4 * MIB));
      assert.ok(joined(payload).equals(Buffer.alloc(4 * MIB, 7)));
    });

    it('has a place for each connection until it is closed', async (t) => {
      const places = { connectionsMax: 3, connectionsPerPeerMax: 3, handshakesMax: 3 };
      const node = await started(t, { ...wish, places });
      const client = node.client(wish.tls);
      const { volumeId, session } = await writtenVolume(client, 'v');
      // One of the calls, one of each session.
      const reader = new HeldSession(client, { volumeId, attachmentId: 'r' });
      await reader.whenOpen();
      const tooMany = new HeldSession(client, { volumeId, attachmentId: 's' });
      await tooMany.whenEnded();
      await until(() => node.node.service.refusals.counts.length === 1);
      assert.equal(node.node.service.refusals.counts[0]?.event, 'client_refused');
      session.close();
      await until(() => node.node.service.sessions.count === 1);
      await retried(() => new HeldSession(client, { volumeId, attachmentId: 's' }));
    });
  });
}

/** Writes 64 KiB at the beginning of the volume again and again, several at a time. @returns ends it */
function keepWriting(session: HeldSession, value: number): () => void {
  const data = Buffer.alloc(65_536, value);
  let isOn = true;
  const next = (): void => {
    if (isOn && session.end === undefined) void session.send(writeRequest(0, data)).then(next);
  };
  for (let depth = 0; depth < 8; depth += 1) next();
  return () => {
    isOn = false;
  };
}

/** The place of a connection is free a moment after it was closed. */
async function retried(open: () => HeldSession): Promise<HeldSession> {
  for (;;) {
    const session = open();
    await until(() => session.opened !== undefined || session.end !== undefined);
    if (session.opened !== undefined) return session;
    await wait(20);
  }
}

describe('a node with two workers', { timeout: TIMEOUT_MS }, () => {
  const wires: NodeWire[] = [];
  after(() => {
    for (const wire of wires) wire.close();
  });

  it('serves foreign clients too, which read what the others wrote, and are fenced like them', async (t) => {
    const node = await started(t);
    const client = node.client();
    const { volumeId, session } = await writtenVolume(client, 'v');
    await session.send(writeRequest(0, Buffer.alloc(4096, 5)));
    const wire = new NodeWire(node.node.address);
    wires.push(wire);
    const reader = wire.open({ volumeId, attachmentId: 'foreign' });
    assert.equal((await reader.next()).kind, 'opened');
    reader.request(1, readRequest(0, 4096), writeRequest(0, Buffer.alloc(512)));
    const answers = await reader.answers(2);
    assert.ok(joined(answers.get(1)?.payload ?? []).equals(Buffer.alloc(4096, 5)));
    assert.equal(answers.get(2)?.error?.errno, 'EPERM');
    assert.deepEqual(
      (await client.getNode()).workerSessions.reduce((sum, count) => sum + count),
      1,
    );
    const { generation } = await wire.call<{ generation: number }>('AcquireLease', {
      volumeId,
      attachmentId: 'foreign',
      description: 'foreign',
      expectedGeneration: 0,
      takeOver: true,
    });
    assert.equal((await session.whenEnded()).kind, 'fenced');
    const foreign = wire.open({ volumeId, attachmentId: 'foreign', generation, streamIndex: 1 });
    assert.equal((await foreign.next()).kind, 'opened');
    foreign.request(1, writeRequest(0, Buffer.alloc(4096, 6)), flushRequest());
    assert.ok([...(await foreign.answers(2)).values()].every(({ error }) => error === undefined));
    const back = await writer(client, volumeId, 'a');
    assert.equal((await foreign.ended).code, 'ABORTED');
    assert.equal(joined((await back.send(readRequest(0, 512))).payload)[0], 6);
  });

  it('refuses a session whose connection came by another lane', async (t) => {
    const node = await started(t);
    const client = node.client();
    const { volumeId } = await writtenVolume(client, 'v');
    const lane = laneOf(volumeId) ^ 1;
    const { address } = node.node;
    const call = new SessionCall(
      sessionTarget({ address, insecure: false }, 'node', undefined, lane),
    );
    const end = new Promise<string>((resolve) => {
      call.on('error', ({ details }: { details: string }) => {
        resolve(details);
      });
    });
    call.write({ ...OPEN, volumeId, attachmentId: 'x' });
    assert.match(await end, /for another lane than \d+, which is that of volume id/);
    assert.deepEqual(node.node.service.refusals.counts, [{ event: 'session_broken', count: 1 }]);
  });

  it('ends a session for a newer one of the same attachment, wherever each is served', async (t) => {
    const node = await started(t);
    const client = node.client();
    const { volumeId, session } = await writtenVolume(client, 'v');
    const generation = 1;
    const newer = new HeldSession(client, { volumeId, attachmentId: 'a', generation });
    await newer.whenOpen();
    assert.match((await session.whenEnded()).message, /a newer session of the same attachment/);
    const wire = new NodeWire(node.node.address);
    wires.push(wire);
    const foreign = wire.open({ volumeId, attachmentId: 'a', generation });
    assert.equal((await foreign.next()).kind, 'opened');
    assert.match((await newer.whenEnded()).message, /a newer session of the same attachment/);
    const last = new HeldSession(client, { volumeId, attachmentId: 'a', generation });
    await last.whenOpen();
    assert.equal((await foreign.ended).code, 'UNAVAILABLE');
  });

  it('spreads new volumes evenly over three workers', async (t) => {
    const node = await started(t, { workers: 3 });
    const client = node.client();
    const counts = [0, 0, 0];
    for (let number = 0; number < 9; number += 1) {
      const wish = { name: `v${number}`, sizeBytes: MIB, blockBytes: 512, backend: 'memory' };
      const { volume } = await client.createVolume(wish);
      const worker = laneOf(volume.volumeId) % 3;
      counts[worker] = (counts[worker] ?? 0) + 1;
    }
    assert.deepEqual(counts, [3, 3, 3]);
  });

  it('deletes a volume whose sessions are gone, and has its place in memory too', async (t) => {
    const node = await started(t);
    const client = node.client();
    const { volume } = await client.createVolume({
      name: 'm',
      sizeBytes: MIB,
      blockBytes: 512,
      backend: 'memory',
    });
    const { volumeId } = volume;
    const session = await writer(client, volumeId, 'a');
    await session.send(writeRequest(0, Buffer.alloc(512, 3)));
    assert.equal((await client.getVolume('m')).allocatedBytes, 65_536);
    session.close();
    await client.releaseLease({ volumeId, attachmentId: 'a', generation: 1 });
    await client.deleteVolume({ name: 'm', volumeId });
    assert.deepEqual(await client.listVolumes(), []);
  });
});
