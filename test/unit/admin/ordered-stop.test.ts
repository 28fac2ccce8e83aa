/**
 * The ordered stop of all attachments. Goal: nothing answered is lost, nothing unanswered is answered
 * with an error, and one node that is away costs the volumes of the others nothing.
 */
import assert from 'node:assert/strict';
import path from 'node:path';
import { beforeEach, describe, it } from 'node:test';
import { readRequest, type BlockResult } from '#daemon/block/block-request.js';
import { StorageError } from '#daemon/rpc/storage-error.js';
import { settle } from '#test/support/fake-clock.js';
import { temporaryFolder } from '#test/support/temporary-folder.js';
import { ATTACH_OTHER, ATTACH_V1, AttachmentBench, PretendClient } from './attachment-bench.js';

/** Short, because it is waited for where a node is away. */
const STOP_MS = 150;
const AWAY = new StorageError('unavailable', 'connection refused');

const root = temporaryFolder();
let folders = 0;
let bench: AttachmentBench;

beforeEach(async () => {
  folders += 1;
  bench = new AttachmentBench(path.join(root, String(folders)));
  await bench.attachments.attach(ATTACH_V1);
});

describe('an ordered stop', () => {
  it('makes durable what was answered, and keeps record, lease and identity', async () => {
    await bench.write(7);
    assert.equal(bench.node.durableContent[0], 0);
    await bench.attachments.stop(STOP_MS);
    assert.equal(bench.node.durableContent[0], 7);
    assert.deepEqual(bench.recorded(), ['v1']);
    assert.equal(bench.node.releases, 0);
    assert.equal(bench.replayFolders().length, 1);
  });

  it('stops the clients before it flushes, so that a last write is in the flush', async () => {
    const client = new PretendClient(bench.exports, 'v1', true);
    bench.node.hold();
    const write = bench.write(8);
    const stopped = bench.attachments.stop(10_000);
    await settle();
    assert.equal(client.stops, 1);
    assert.equal(client.wasDestroyed, false);
    const kindsBefore = bench.node.received.map(({ request }) => request.kind);
    assert.deepEqual(kindsBefore, ['write']);
    bench.node.unhold();
    await write;
    client.destroy();
    await stopped;
    assert.equal(bench.node.durableContent[0], 8);
  });

  it('disconnects a client whose answer does not come, rather than answer with an error', async () => {
    const client = new PretendClient(bench.exports, 'v1', true);
    bench.node.away = AWAY;
    bench.node.disconnect();
    let wasThere = true;
    let result: BlockResult | undefined;
    bench.device().submit(readRequest(0, 512), (_request, answer) => {
      wasThere = !client.wasDestroyed;
      result = answer;
    });
    await bench.attachments.stop(STOP_MS);
    assert.equal(client.wasDestroyed, true);
    assert.equal(result?.error?.errno, 'ESHUTDOWN');
    assert.equal(wasThere, false, 'it was gone when the volume gave its request up');
  });

  it('keeps what could not be flushed for the next start, and says so', async () => {
    await bench.write(9);
    bench.node.away = AWAY;
    bench.node.disconnect();
    await bench.attachments.stop(STOP_MS);
    const told = bench.log.find(({ event }) => event === 'stopped_unflushed');
    assert.match(
      told?.msg ?? '',
      /^volume v1 could not be flushed .*512 bytes of answered writes.*sent again at the next start$/,
    );
    bench.node.away = undefined;
    bench.node.crash();
    await bench.start().restore();
    await settle();
    assert.equal(bench.node.content[0], 9);
    await bench.attachments.stop(STOP_MS);
  });

  it('refuses stories that come after it', async () => {
    await bench.attachments.stop(STOP_MS);
    const late = /^StorageError: blkferryd is stopping; try again when it has been started$/;
    await assert.rejects(bench.attachments.attach({ ...ATTACH_V1, exportName: 'late' }), late);
    await assert.rejects(bench.attachments.detach({ exportName: 'v1', force: true }), late);
    assert.deepEqual(bench.recorded(), ['v1']);
  });

  it('waits for an attach under way, and stops what it made', async () => {
    const attached = bench.attachments.attach(ATTACH_OTHER);
    await Promise.all([attached, bench.attachments.stop(STOP_MS)]);
    assert.deepEqual(bench.recorded(), ['other', 'v1']);
    assert.equal(bench.exports.find('other'), undefined);
  });

  it('is one, however often it is asked for', async () => {
    await Promise.all([bench.attachments.stop(STOP_MS), bench.attachments.stop(STOP_MS)]);
    await bench.attachments.stop(STOP_MS);
    assert.deepEqual(bench.recorded(), ['v1']);
  });
});

describe('an ordered stop with one node of several away', () => {
  it('does not let the others wait', async () => {
    await bench.attachments.attach(ATTACH_OTHER);
    await bench.write(6);
    const waiting = new PretendClient(bench.exports, 'other', true);
    bench.otherNode.away = AWAY;
    bench.otherNode.disconnect();
    const stopped = bench.attachments.stop(STOP_MS);
    await settle();
    assert.equal(waiting.wasDestroyed, false, 'the stop still waits for one client');
    assert.equal(bench.node.durableContent[0], 6, 'the other volume is flushed already');
    await stopped;
  });
});
