/** The stories of attach, detach and restart against a pretend node; what each leaves when a step fails. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { orphanLogs } from '#daemon/admin/orphan-logs.js';
import { StorageError } from '#daemon/rpc/storage-error.js';
import { settle } from '#test/support/fake-clock.js';
import { temporaryFolder } from '#test/support/temporary-folder.js';
import { ATTACH_OTHER, ATTACH_V1, AttachmentBench, PretendClient } from './attachment-bench.js';

const root = temporaryFolder();
let folders = 0;
let bench: AttachmentBench;

beforeEach(() => {
  folders += 1;
  bench = new AttachmentBench(path.join(root, String(folders)));
});

afterEach(() => bench.attachments.stop(50));

describe('attach', () => {
  it('exports the volume under its own name and keeps that on disk', async () => {
    const { attachment, existed } = await bench.attachments.attach(ATTACH_V1);
    assert.equal(existed, false);
    assert.equal(attachment.state, 'active');
    assert.deepEqual(attachment.uris, ['nbd://x/v1']);
    assert.equal(bench.exports.find('v1')?.isReady(), true);
    assert.deepEqual(bench.recorded().length, 1);
  });

  it('asked twice does nothing and says so', async () => {
    const first = await bench.attachments.attach(ATTACH_V1);
    const second = await bench.attachments.attach(ATTACH_V1);
    assert.equal(second.existed, true);
    assert.equal(second.attachment.attachmentId, first.attachment.attachmentId);
    assert.equal(bench.node.generation, 1);
  });

  it('refuses the name for something else', async () => {
    await bench.attachments.attach(ATTACH_V1);
    const other = bench.attachments.attach({ ...ATTACH_V1, readOnly: true });
    await assert.rejects(
      other,
      /the export v1 is volume v1 of pretend:1, for writing; detach it, or choose another name/,
    );
  });

  it('refuses a second writer of the same volume, but not a reader', async () => {
    await bench.attachments.attach(ATTACH_V1);
    await assert.rejects(
      bench.attachments.attach({ ...ATTACH_V1, exportName: 'again' }),
      /attached by this daemon already, as v1/,
    );
    const { attachment } = await bench.attachments.attach({
      ...ATTACH_V1,
      exportName: 'reader',
      readOnly: true,
    });
    assert.equal(attachment.readOnly, true);
  });

  it('refuses a name that cannot be one', async () => {
    await assert.rejects(
      bench.attachments.attach({ ...ATTACH_V1, exportName: '../x' }),
      /cannot be an export's name: 1 to 64 characters/,
    );
    await assert.rejects(
      bench.attachments.attach({ ...ATTACH_V1, node: 'nowhere' }),
      /nowhere is not an address/,
    );
  });

  it('leaves nothing behind when the node is away', async () => {
    bench.node.away = new StorageError('unavailable', 'no node answers');
    await assert.rejects(bench.attachments.attach(ATTACH_V1), /no node answers/);
    assert.equal(bench.attachments.count, 0);
    assert.deepEqual(bench.recorded(), []);
    assert.deepEqual(bench.exports.list(), []);
  });

  it('gives the lease back when the record cannot be written', async () => {
    bench.breakStateDirectory();
    await assert.rejects(
      bench.attachments.attach(ATTACH_V1),
      /what is attached cannot be recorded: EISDIR.*; free space in state_directory/,
    );
    assert.equal(bench.node.releases, 1);
    assert.deepEqual(bench.exports.list(), []);
    assert.deepEqual(bench.replayFolders(), []);
  });
});

describe('detach', () => {
  it('flushes, forgets the record and gives the lease back', async () => {
    await bench.attachments.attach(ATTACH_V1);
    await bench.write(3);
    assert.deepEqual(await bench.attachments.detach({ exportName: 'v1', force: false }), {
      absent: false,
      discardedBytes: 0,
    });
    assert.equal(bench.node.durableContent[0], 3);
    assert.equal(bench.node.releases, 1);
    assert.deepEqual(bench.recorded(), []);
    assert.deepEqual(bench.replayFolders(), []);
  });

  it('of what is not attached succeeds and says so', async () => {
    assert.deepEqual(await bench.attachments.detach({ exportName: 'nothing', force: false }), {
      absent: true,
      discardedBytes: 0,
    });
  });

  it('is refused while clients are connected', async () => {
    await bench.attachments.attach(ATTACH_V1);
    new PretendClient(bench.exports);
    await assert.rejects(
      bench.attachments.detach({ exportName: 'v1', force: false }),
      /1 client is connected to v1; disconnect first, or use --force/,
    );
    assert.equal(bench.attachments.count, 1);
  });

  it('is refused while the node is away and something is unflushed; by force it says what was given up', async () => {
    await bench.attachments.attach(ATTACH_V1);
    await bench.write(3);
    bench.node.away = new StorageError('unavailable', 'connection refused');
    bench.node.disconnect();
    await assert.rejects(
      bench.attachments.detach({ exportName: 'v1', force: false }),
      /512 bytes of answered writes.*--force to give them up/,
    );
    assert.equal(bench.attachments.get('v1').state, 'holding', 'it goes on as before');
    assert.equal(bench.exports.find('v1')?.name, 'v1');
    assert.deepEqual(await bench.attachments.detach({ exportName: 'v1', force: true }), {
      absent: false,
      discardedBytes: 512,
    });
  });

  it('by force waits for what is under way no longer than the node is there', async () => {
    await bench.attachments.attach(ATTACH_V1);
    await bench.write(3);
    bench.node.hold();
    const detached = bench.attachments.detach({ exportName: 'v1', force: true });
    await settle();
    assert.equal(bench.attachments.count, 1, 'its flush is under way');
    bench.node.away = new StorageError('unavailable', 'silent for 3000 ms');
    bench.node.disconnect();
    assert.deepEqual(await detached, { absent: false, discardedBytes: 512 });
  });
});

describe('a restart', () => {
  it('attaches again what was attached, under the same identity', async () => {
    const { attachment } = await bench.attachments.attach(ATTACH_V1);
    await bench.attachments.stop(1000);
    bench.start();
    await bench.attachments.restore();
    await settle();
    assert.equal(bench.attachments.get('v1').attachmentId, attachment.attachmentId);
    assert.equal(bench.attachments.get('v1').state, 'active');
  });

  it('keeps a volume whose replay log is damaged from any use, and serves the others', async () => {
    const { attachment } = await bench.attachments.attach(ATTACH_V1);
    await bench.attachments.attach(ATTACH_OTHER);
    await bench.attachments.stop(1000);
    const identity = path.join(
      bench.folder,
      'run/replay',
      attachment.attachmentId,
      'identity.json',
    );
    const other = { format: 3, volumeId: 'x', attachmentId: 'y', bootId: 'b', generation: 1 };
    fs.writeFileSync(identity, JSON.stringify(other));
    bench.start();
    await bench.attachments.restore();
    await settle();
    const { state, detail } = bench.attachments.get('v1');
    assert.equal(state, 'fenced');
    assert.match(detail, /holds writes of volume x, attachment y.*move the folder away/);
    assert.equal(bench.attachments.get('other').state, 'active');
    assert.equal(fs.existsSync(identity), true);
  });

  it('brings back what was not flushed, and the generation that it was written under', async () => {
    await bench.attachments.attach(ATTACH_V1);
    await bench.write(4);
    bench.node.away = new StorageError('unavailable', 'connection refused');
    bench.node.disconnect();
    await bench.attachments.stop(50);
    bench.node.away = undefined;
    bench.node.crash();
    assert.equal(bench.node.content[0], 0);
    bench.start();
    await bench.attachments.restore();
    await settle();
    assert.deepEqual(bench.node.expectedGenerations, [0, 1]);
    assert.equal(bench.node.content[0], 4);
  });

  it('does not take another volume of the same name for the one that was attached', async () => {
    await bench.attachments.attach(ATTACH_V1);
    await bench.attachments.stop(1000);
    bench.node.volumeId = 'made-anew';
    bench.start();
    await bench.attachments.restore();
    await settle();
    assert.equal(bench.attachments.get('v1').state, 'fenced');
    assert.match(
      bench.attachments.get('v1').detail,
      /it was deleted and made anew; detach it and attach it again/,
    );
  });

  it('comes up while the node is away, and says what it waits for', async () => {
    await bench.attachments.attach(ATTACH_V1);
    await bench.attachments.stop(1000);
    bench.node.away = new StorageError('unavailable', 'no node answers');
    bench.start();
    await bench.attachments.restore();
    await settle();
    assert.equal(bench.attachments.get('v1').state, 'connecting');
    assert.equal(bench.attachments.get('v1').detail, 'no node answers');
    assert.equal(bench.exports.find('v1')?.isReady(), false);
  });
});

describe('orphanLogs', () => {
  it('names replay logs that nobody claims, and leaves them', () => {
    const replay = path.join(bench.folder, 'run/replay');
    fs.mkdirSync(path.join(replay, 'lost'), { recursive: true });
    assert.match(orphanLogs(replay, [])[0] ?? '', /lost belongs to no attachment/);
    assert.deepEqual(fs.readdirSync(replay), ['lost']);
  });
});
