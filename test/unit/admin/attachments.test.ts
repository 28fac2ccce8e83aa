/** The stories of attach, detach and restart against a pretend node; what each leaves when a step fails. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import bunyan from 'bunyan';
import { AttachmentFile } from '#daemon/admin/attachment-file.js';
import { Attachments, orphanLogs } from '#daemon/admin/attachments.js';
import { VolumeOpener } from '#daemon/admin/volume-opener.js';
import { submitAsync } from '#daemon/block/block-device.js';
import { writeRequest } from '#daemon/block/block-request.js';
import { readDaemonConfig } from '#daemon/config/daemon-config.js';
import { ExportTable } from '#daemon/frontend/export-table.js';
import { StorageError } from '#daemon/rpc/storage-error.js';
import { StoragePool } from '#daemon/transport/storage-pool.js';
import { settle } from '#test/support/fake-clock.js';
import { PretendNode } from '#test/support/pretend-node.js';
import { temporaryFolder } from '#test/support/temporary-folder.js';

const root = temporaryFolder();
const REQUEST = { volume: 'v1', node: '', exportName: '', readOnly: false, takeOver: false };
let folder = '';
let folders = 0;
let node: PretendNode;
let exports: ExportTable;
let attachments: Attachments;

function build(): Attachments {
  const config = readDaemonConfig({
    file: undefined,
    environment: {},
    flags: {
      state_directory: folder,
      runtime_directory: path.join(folder, 'run'),
      shutdown_timeout: '200ms',
    },
  });
  const pool = new StoragePool(() => node);
  const logger = bunyan.createLogger({ name: 'test', streams: [] });
  exports = new ExportTable();
  return new Attachments({
    file: new AttachmentFile(folder),
    opener: new VolumeOpener(config, pool, logger),
    pool,
    exports,
    logger,
    defaultNode: 'pretend:1',
    drainTimeoutMs: 200,
    urisOf: (exportName) => [`nbd://x/${exportName}`],
    wallClock: () => 5,
  });
}

function recorded(): unknown[] {
  return new AttachmentFile(folder).read();
}

beforeEach(() => {
  folders += 1;
  folder = path.join(root, String(folders));
  fs.mkdirSync(folder);
  node = new PretendNode();
  attachments = build();
});

afterEach(async () => {
  await attachments.stop(50);
});

describe('attach', () => {
  it('exports the volume under its own name and keeps that on disk', async () => {
    const { attachment, existed } = await attachments.attach(REQUEST);
    assert.equal(existed, false);
    assert.equal(attachment.state, 'active');
    assert.deepEqual(attachment.uris, ['nbd://x/v1']);
    assert.equal(exports.find('v1')?.isReady(), true);
    assert.deepEqual(recorded().length, 1);
  });

  it('asked twice does nothing and says so', async () => {
    const first = await attachments.attach(REQUEST);
    const second = await attachments.attach(REQUEST);
    assert.equal(second.existed, true);
    assert.equal(second.attachment.attachmentId, first.attachment.attachmentId);
    assert.equal(node.generation, 1);
  });

  it('refuses the name for something else', async () => {
    await attachments.attach(REQUEST);
    const other = attachments.attach({ ...REQUEST, readOnly: true });
    await assert.rejects(
      other,
      /the export v1 is volume v1 of pretend:1, for writing; detach it, or choose another name/,
    );
  });

  it('refuses a second writer of the same volume, but not a reader', async () => {
    await attachments.attach(REQUEST);
    await assert.rejects(
      attachments.attach({ ...REQUEST, exportName: 'again' }),
      /attached by this daemon already, as v1/,
    );
    const { attachment } = await attachments.attach({
      ...REQUEST,
      exportName: 'reader',
      readOnly: true,
    });
    assert.equal(attachment.readOnly, true);
  });

  it('refuses a name that cannot be one', async () => {
    await assert.rejects(
      attachments.attach({ ...REQUEST, exportName: '../x' }),
      /cannot be an export's name: 1 to 64 characters/,
    );
    await assert.rejects(
      attachments.attach({ ...REQUEST, node: 'nowhere' }),
      /nowhere is not an address/,
    );
  });

  it('leaves nothing behind when the node is away', async () => {
    node.away = new StorageError('unavailable', 'no node answers');
    await assert.rejects(attachments.attach(REQUEST), /no node answers/);
    assert.equal(attachments.count, 0);
    assert.deepEqual(recorded(), []);
    assert.deepEqual(exports.list(), []);
  });

  it('gives the lease back when the record cannot be written', async () => {
    fs.mkdirSync(path.join(folder, 'attachments.json.new'));
    await assert.rejects(attachments.attach(REQUEST), /EISDIR/);
    assert.equal(node.releases, 1);
    assert.deepEqual(exports.list(), []);
    assert.deepEqual(fs.readdirSync(path.join(folder, 'run/replay')), []);
  });
});

describe('detach', () => {
  it('flushes, forgets the record and gives the lease back', async () => {
    await attachments.attach(REQUEST);
    const device = exports.find('v1')?.device;
    assert.ok(device);
    await submitAsync(device, writeRequest(0, Buffer.alloc(512, 3)));
    assert.deepEqual(await attachments.detach({ exportName: 'v1', force: false }), {
      absent: false,
      discardedBytes: 0,
    });
    assert.equal(node.durableContent[0], 3);
    assert.equal(node.releases, 1);
    assert.deepEqual(recorded(), []);
    assert.deepEqual(fs.readdirSync(path.join(folder, 'run/replay')), []);
  });

  it('of what is not attached succeeds and says so', async () => {
    assert.deepEqual(await attachments.detach({ exportName: 'nothing', force: false }), {
      absent: true,
      discardedBytes: 0,
    });
  });

  it('is refused while clients are connected', async () => {
    await attachments.attach(REQUEST);
    exports.register('v1', { stop: () => Promise.resolve(), destroy: () => undefined });
    await assert.rejects(
      attachments.detach({ exportName: 'v1', force: false }),
      /1 client is connected to v1; disconnect first, or use --force/,
    );
    assert.equal(attachments.count, 1);
  });

  it('is refused while the node is away and something is unflushed; by force it says what was given up', async () => {
    await attachments.attach(REQUEST);
    const device = exports.find('v1')?.device;
    assert.ok(device);
    await submitAsync(device, writeRequest(0, Buffer.alloc(512, 3)));
    node.away = new StorageError('unavailable', 'connection refused');
    node.disconnect();
    await assert.rejects(
      attachments.detach({ exportName: 'v1', force: false }),
      /512 bytes of answered writes.*--force to give them up/,
    );
    assert.equal(attachments.get('v1').state, 'holding', 'it goes on as before');
    assert.equal(exports.find('v1')?.name, 'v1');
    assert.deepEqual(await attachments.detach({ exportName: 'v1', force: true }), {
      absent: false,
      discardedBytes: 512,
    });
  });
});

describe('a restart', () => {
  it('attaches again what was attached, under the same identity', async () => {
    const { attachment } = await attachments.attach(REQUEST);
    await attachments.stop(1000);
    attachments = build();
    attachments.restore();
    await settle();
    assert.equal(attachments.get('v1').attachmentId, attachment.attachmentId);
    assert.equal(attachments.get('v1').state, 'active');
  });

  it('brings back what was not flushed, and the generation that it was written under', async () => {
    await attachments.attach(REQUEST);
    const device = exports.find('v1')?.device;
    assert.ok(device);
    await submitAsync(device, writeRequest(0, Buffer.alloc(512, 4)));
    node.away = new StorageError('unavailable', 'connection refused');
    node.disconnect();
    await attachments.stop(50);
    node.away = undefined;
    node.crash();
    assert.equal(node.content[0], 0);
    attachments = build();
    attachments.restore();
    await settle();
    assert.deepEqual(node.expectedGenerations, [0, 1]);
    assert.equal(node.content[0], 4);
  });

  it('does not take another volume of the same name for the one that was attached', async () => {
    await attachments.attach(REQUEST);
    await attachments.stop(1000);
    node.volumeId = 'made-anew';
    attachments = build();
    attachments.restore();
    await settle();
    assert.equal(attachments.get('v1').state, 'fenced');
    assert.match(
      attachments.get('v1').detail,
      /it was deleted and made anew; detach it and attach it again/,
    );
  });

  it('comes up while the node is away, and says what it waits for', async () => {
    await attachments.attach(REQUEST);
    await attachments.stop(1000);
    node.away = new StorageError('unavailable', 'no node answers');
    attachments = build();
    attachments.restore();
    await settle();
    assert.equal(attachments.get('v1').state, 'connecting');
    assert.equal(attachments.get('v1').detail, 'no node answers');
    assert.equal(exports.find('v1')?.isReady(), false);
  });
});

describe('AttachmentFile', () => {
  it('refuses a damaged file and one of another format, and changes nothing', () => {
    const file = path.join(folder, 'attachments.json');
    for (const [text, sentence] of [
      ['{ torn', /cannot be used: .*Nothing was changed/s],
      ['{"format":99,"attachments":[]}', /format 99, this version knows format 1/],
      ['{"format":1,"attachments":[{"exportName":"x"}]}', /cannot be used/],
    ] as const) {
      fs.writeFileSync(file, text);
      assert.throws(() => new AttachmentFile(folder).read(), sentence);
      assert.equal(fs.readFileSync(file, 'utf8'), text);
    }
  });
});

describe('orphanLogs', () => {
  it('names replay logs that nobody claims, and leaves them', () => {
    const replay = path.join(folder, 'run/replay');
    fs.mkdirSync(path.join(replay, 'lost'), { recursive: true });
    assert.match(orphanLogs(replay, [])[0] ?? '', /lost belongs to no attachment/);
    assert.deepEqual(fs.readdirSync(replay), ['lost']);
  });
});
