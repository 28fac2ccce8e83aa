/**
 * Stories whose steps fail, one after the other. Goal: what a failed story leaves is what was there
 * before it, the first failure is the one that is told, and the same call may be made again.
 */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { StorageError } from '#daemon/rpc/storage-error.js';
import type { SessionEvents, StorageSession } from '#daemon/transport/storage-client.js';
import { settle } from '#test/support/fake-clock.js';
import { temporaryFolder } from '#test/support/temporary-folder.js';
import { ATTACH_V1, AttachmentBench, PretendClient } from './attachment-bench.js';

const root = temporaryFolder();
const DETACH_V1 = { exportName: 'v1', force: false };
let folders = 0;
let bench: AttachmentBench;

beforeEach(() => {
  folders += 1;
  bench = new AttachmentBench(path.join(root, String(folders)));
});

afterEach(() => bench.attachments.stop(50));

function refuseSessions(events: SessionEvents): StorageSession {
  queueMicrotask(() => {
    events.ended(new StorageError('exhausted', 'no session is free'));
  });
  return { send: () => undefined, close: () => undefined };
}

function assertNothingLeft(): void {
  assert.equal(bench.attachments.count, 0);
  assert.deepEqual(bench.exports.list(), []);
  assert.deepEqual(bench.recorded(), []);
  assert.deepEqual(bench.replayFolders(), []);
}

describe('an attach that fails', () => {
  it('because the volume is not there leaves nothing, and asks for no lease', async () => {
    bench.node.getVolume = () => Promise.reject(new StorageError('not-found', 'no volume v1'));
    await assert.rejects(bench.attachments.attach(ATTACH_V1), { kind: 'not-found' });
    assert.deepEqual(bench.node.expectedGenerations, []);
    assertNothingLeft();
  });

  it('because the replay log cannot be made leaves nothing, and asks for no lease', async () => {
    const inTheWay = path.join(bench.folder, 'run');
    fs.writeFileSync(inTheWay, '');
    await assert.rejects(bench.attachments.attach(ATTACH_V1), /ENOTDIR|EEXIST/);
    assert.deepEqual(bench.node.expectedGenerations, []);
    fs.rmSync(inTheWay);
    assertNothingLeft();
    assert.equal((await bench.attachments.attach(ATTACH_V1)).existed, false);
  });

  it('because another writer has the lease leaves nothing', async () => {
    bench.node.acquireLease = () => Promise.reject(new StorageError('refused', 'held by another'));
    await assert.rejects(bench.attachments.attach(ATTACH_V1), { kind: 'refused' });
    assert.equal(bench.node.releases, 0);
    assertNothingLeft();
  });

  it('because no session opens gives the lease back', async () => {
    const openSession = bench.node.openSession.bind(bench.node);
    bench.node.openSession = (_open, events) => refuseSessions(events);
    await assert.rejects(bench.attachments.attach(ATTACH_V1), /no session is free/);
    assert.equal(bench.node.releases, 1);
    assertNothingLeft();
    bench.node.openSession = openSession;
    assert.equal((await bench.attachments.attach(ATTACH_V1)).attachment.state, 'active');
  });

  it('tells the first failure, also when undoing fails as well', async () => {
    bench.node.releaseLease = () => Promise.reject(new StorageError('unavailable', 'gone now'));
    bench.breakStateDirectory();
    await assert.rejects(bench.attachments.attach(ATTACH_V1), /cannot be recorded/);
    assert.ok(bench.events().includes('release_failed'));
    assertNothingLeft();
    bench.mendStateDirectory();
    assert.equal((await bench.attachments.attach(ATTACH_V1)).existed, false);
  });

  it('because no volume was named says that', async () => {
    const nameless = bench.attachments.attach({ ...ATTACH_V1, volume: '' });
    await assert.rejects(nameless, /the name of a volume is missing/);
  });
});

describe('a detach that fails', () => {
  it('because the record cannot be removed goes on serving, and can be repeated', async () => {
    await bench.attachments.attach(ATTACH_V1);
    await bench.write(1);
    bench.breakStateDirectory();
    await assert.rejects(bench.attachments.detach(DETACH_V1), /cannot be recorded/);
    assert.deepEqual(bench.recorded(), ['v1']);
    assert.equal(bench.attachments.get('v1').state, 'active');
    assert.equal(bench.node.releases, 0);
    await bench.write(2);

    bench.mendStateDirectory();
    assert.equal((await bench.attachments.detach(DETACH_V1)).absent, false);
    assert.equal(bench.node.durableContent[0], 2);
    assertNothingLeft();
  });

  it('to give the lease up is a detach all the same, and is logged', async () => {
    await bench.attachments.attach(ATTACH_V1);
    bench.node.releaseLease = () => Promise.reject(new StorageError('unavailable', 'gone now'));
    assert.equal((await bench.attachments.detach(DETACH_V1)).absent, false);
    assertNothingLeft();
    const told = bench.log.find(({ event }) => event === 'release_failed');
    assert.match(told?.msg ?? '', /lease of volume v1 was not given up: it will expire/);
  });

  it('because the node does not flush keeps the client that came meanwhile', async () => {
    await bench.attachments.attach(ATTACH_V1);
    await bench.write(1);
    bench.node.hold();
    await assert.rejects(bench.attachments.detach(DETACH_V1), { kind: 'unavailable' });
    const client = new PretendClient(bench.exports);
    bench.node.unhold();
    await bench.write(3);
    assert.equal(bench.node.content[0], 3);
    assert.equal(client.stops, 0);
  });
});

describe('stories about one name at the same time', () => {
  it('happen one after the other: two attaches make one attachment', async () => {
    const [first, second] = await Promise.all([
      bench.attachments.attach(ATTACH_V1),
      bench.attachments.attach(ATTACH_V1),
    ]);
    assert.deepEqual([first.existed, second.existed], [false, true]);
    assert.equal(bench.node.generation, 1);
  });

  it('go on after one that failed', async () => {
    const openSession = bench.node.openSession.bind(bench.node);
    bench.node.openSession = (_open, events) => {
      bench.node.openSession = openSession;
      return refuseSessions(events);
    };
    const both = [bench.attachments.attach(ATTACH_V1), bench.attachments.attach(ATTACH_V1)];
    const [first, second] = await Promise.allSettled(both);
    assert.equal(first?.status, 'rejected');
    assert.equal(second?.status, 'fulfilled');
    assert.deepEqual(bench.recorded(), ['v1']);
  });

  it('detach what the attach before them made', async () => {
    const attached = bench.attachments.attach(ATTACH_V1);
    assert.equal((await bench.attachments.detach(DETACH_V1)).absent, false);
    await attached;
    assertNothingLeft();
  });
});

describe('a volume that was made anew while the daemon was away', () => {
  it('is not shown to clients as a disk without size', async () => {
    await bench.attachments.attach(ATTACH_V1);
    await bench.attachments.stop(1000);
    bench.node.volumeId = 'made-anew';
    await bench.start().restore();
    await settle();
    assert.equal(bench.attachments.get('v1').state, 'fenced');
    assert.equal(bench.exports.find('v1')?.isReady(), false);
  });
});
