/** The catalog on disk: names, sizes, what a restart finds, what damage does. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { beforeEach, describe, it } from 'node:test';
import { submitAsync } from '#daemon/block/block-device.js';
import { flushRequest, readRequest, writeRequest, joined } from '#daemon/block/block-request.js';
import { StorageError, type StorageErrorKind } from '#daemon/rpc/storage-error.js';
import { createBackends } from '#daemon/storage-node/backend/backend-registry.js';
import { openDataDirectory } from '#daemon/storage-node/data-directory.js';
import { VolumeCatalog, type CatalogFindings } from '#daemon/storage-node/volume-catalog.js';
import { temporaryFolder } from '#test/support/temporary-folder.js';

const MIB = 1024 * 1024;
const NEW = { name: 'v1', sizeBytes: MIB, blockBytes: 512, backend: 'file' };
const root = temporaryFolder();
let folder = '';
let folders = 0;

async function load(): Promise<{ catalog: VolumeCatalog; findings: CatalogFindings }> {
  return VolumeCatalog.load(await openDataDirectory(folder), createBackends());
}

function kind(expected: StorageErrorKind, sentence: RegExp): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof StorageError, String(error));
    assert.equal(error.kind, expected);
    assert.match(error.message, sentence);
    return true;
  };
}

beforeEach(() => {
  folders += 1;
  folder = path.join(root, String(folders));
});

describe('VolumeCatalog', () => {
  it("has the names of a lease's holder after a restart, in a format that older versions refuse", async () => {
    const first = await load();
    const { record } = await first.catalog.create(NEW);
    const unnamed = { attachmentId: 'a', description: 'me', sinceUnixMs: 1, firstGeneration: 1 };
    const file = path.join(first.catalog.directory.volumes, record.volumeId, 'volume.json');
    const format = (): unknown =>
      (JSON.parse(fs.readFileSync(file, 'utf8')) as { format: unknown }).format;
    await first.catalog.setLease(record.volumeId, { generation: 1, holder: unnamed });
    assert.equal(format(), 1);
    const holder = { ...unnamed, clientNames: ['host-a.example.org'] };
    await first.catalog.setLease(record.volumeId, { generation: 2, holder });
    assert.equal(format(), 2);
    await first.catalog.close();
    const { catalog } = await load();
    assert.deepEqual(catalog.byName('v1'), { ...record, generation: 2, holder });
    await catalog.close();
  });

  it('has a created volume after a restart, with its data and its lease', async () => {
    const first = await load();
    const { record } = await first.catalog.create(NEW);
    const device = await first.catalog.open(record.volumeId);
    await submitAsync(device, writeRequest(512, Buffer.alloc(512, 7)));
    await submitAsync(device, flushRequest());
    const holder = { attachmentId: 'a', description: 'me', sinceUnixMs: 1, firstGeneration: 3 };
    await first.catalog.setLease(record.volumeId, { generation: 3, holder });
    await first.catalog.close();
    const { catalog } = await load();
    assert.deepEqual(catalog.byName('v1'), { ...record, generation: 3, holder });
    const again = await catalog.open(record.volumeId);
    assert.deepEqual(
      joined((await submitAsync(again, readRequest(512, 512))).payload),
      Buffer.alloc(512, 7),
    );
    await catalog.close();
  });

  it('creates a volume once: the same again is the same, another size is refused', async () => {
    const { catalog } = await load();
    const [first, second] = await Promise.all([catalog.create(NEW), catalog.create(NEW)]);
    assert.equal(first.record.volumeId, second.record.volumeId);
    assert.deepEqual([first.existed, second.existed], [false, true]);
    await assert.rejects(
      catalog.create({ ...NEW, sizeBytes: 2 * MIB }),
      kind('exists', /volume v1 exists already, with 1048576 bytes/),
    );
    await catalog.close();
  });

  it('refuses names, sizes, blocks and backends that cannot be, with the allowed form', async () => {
    const { catalog } = await load();
    for (const name of ['', '.hidden', 'a/b', 'a'.repeat(65), 'ü']) {
      await assert.rejects(
        catalog.create({ ...NEW, name }),
        kind('invalid', /cannot be a volume's name: 1 to 64 characters/),
      );
    }
    await catalog.create({ ...NEW, name: 'a'.repeat(64) });
    await assert.rejects(
      catalog.create({ ...NEW, sizeBytes: 513 }),
      kind('invalid', /multiple of its block, 512 bytes/),
    );
    await assert.rejects(catalog.create({ ...NEW, sizeBytes: 0 }), kind('invalid', /not 0/));
    await assert.rejects(
      catalog.create({ ...NEW, blockBytes: 8192 }),
      kind('invalid', /choose 512, 1024, 2048, 4096/),
    );
    await assert.rejects(
      catalog.create({ ...NEW, backend: 'tape' }),
      kind('invalid', /no backend "tape": it has file, memory/),
    );
    await catalog.close();
  });

  it('says so when the file system cannot hold a volume that large, and leaves nothing', async () => {
    const { catalog } = await load();
    await assert.rejects(
      catalog.create({ ...NEW, sizeBytes: 2 ** 53 - 512 }),
      kind('exhausted', /volume v1 cannot be created with 9007199254740480 bytes/),
    );
    assert.deepEqual(catalog.list(), []);
    assert.deepEqual(fs.readdirSync(path.join(folder, 'creating')), []);
    await catalog.close();
  });

  it('grows and shrinks an open volume; what is cut off does not come back', async () => {
    const { catalog } = await load();
    const { record } = await catalog.create(NEW);
    const device = await catalog.open(record.volumeId);
    await submitAsync(device, writeRequest(MIB - 512, Buffer.alloc(512, 9)));
    assert.equal((await catalog.resize(record.volumeId, MIB / 2)).sizeBytes, MIB / 2);
    assert.equal(device.facts.sizeBytes, MIB / 2);
    await catalog.resize(record.volumeId, 2 * MIB);
    assert.deepEqual(
      joined((await submitAsync(device, readRequest(MIB - 512, 512))).payload),
      Buffer.alloc(512),
    );
    await assert.rejects(
      catalog.resize(record.volumeId, 100),
      kind('invalid', /multiple of its block/),
    );
    await catalog.close();
  });

  it('finishes a resize that a crash interrupted: the record decides', async () => {
    const first = await load();
    const { record } = await first.catalog.create(NEW);
    await first.catalog.close();
    const file = path.join(folder, 'volumes', record.volumeId, 'data');
    fs.truncateSync(file, 3 * MIB);
    const { catalog } = await load();
    await catalog.open(record.volumeId);
    assert.equal(fs.statSync(file).size, MIB);
    await catalog.close();
  });

  it('does not serve a volume whose data is too short, and says why', async () => {
    const first = await load();
    const { record } = await first.catalog.create(NEW);
    await first.catalog.close();
    fs.truncateSync(path.join(folder, 'volumes', record.volumeId, 'data'), 512);
    const { catalog } = await load();
    await assert.rejects(
      catalog.open(record.volumeId),
      /volume v1 cannot be opened: .* has 512 bytes, its volume 1048576: data is missing/,
    );
    await catalog.close();
  });

  it('deletes a volume with its data, but not while it is open', async () => {
    const { catalog } = await load();
    const { record } = await catalog.create(NEW);
    await catalog.open(record.volumeId);
    await assert.rejects(catalog.delete(record.volumeId), kind('refused', /volume v1 is open/));
    await catalog.release(record.volumeId);
    await catalog.delete(record.volumeId);
    assert.deepEqual(catalog.list(), []);
    assert.deepEqual(fs.readdirSync(path.join(folder, 'volumes')), []);
    await catalog.close();
  });

  it('removes at start what a crash left half made or half deleted', async () => {
    const first = await load();
    await first.catalog.close();
    fs.mkdirSync(path.join(folder, 'creating/half'));
    fs.mkdirSync(path.join(folder, 'deleting/gone'));
    const { catalog, findings } = await load();
    assert.deepEqual(findings.removed, ['half', 'gone']);
    assert.deepEqual(fs.readdirSync(path.join(folder, 'creating')), []);
    await catalog.close();
  });

  it('leaves a volume with a damaged record alone, names it, and serves the others', async () => {
    const first = await load();
    const { record } = await first.catalog.create(NEW);
    await first.catalog.create({ ...NEW, name: 'v2' });
    await first.catalog.close();
    const file = path.join(folder, 'volumes', record.volumeId, 'volume.json');
    fs.writeFileSync(file, '{"format":1,');
    const { catalog, findings } = await load();
    assert.deepEqual(
      catalog.list().map(({ name }) => name),
      ['v2'],
    );
    assert.match(
      findings.damaged[0] ?? '',
      /volume.json is damaged.*the volume is not served, nothing was changed/,
    );
    assert.equal(fs.readFileSync(file, 'utf8'), '{"format":1,');
    await catalog.close();
  });

  it('does not serve a volume whose record cannot be true, and touches neither record nor data', async () => {
    const first = await load();
    const { record } = await first.catalog.create(NEW);
    await first.catalog.close();
    const place = path.join(folder, 'volumes', record.volumeId);
    const damages: [Partial<typeof record>, RegExp][] = [
      [{ sizeBytes: 1000 }, /1000 bytes is not possible/],
      [{ blockBytes: 12 }, /block of 12 bytes is not possible/],
      [{ backend: 'tape' }, /no backend "tape"/],
      [{ name: '../v1' }, /cannot be a volume's name/],
      [{ volumeId: 'another' }, /holds the record of volume another/],
    ];
    for (const [damage, sentence] of damages) {
      const text = JSON.stringify({ format: 1, ...record, ...damage });
      fs.writeFileSync(path.join(place, 'volume.json'), text);
      const { catalog, findings } = await load();
      assert.deepEqual(catalog.list(), []);
      assert.equal(findings.damaged.length, 1);
      assert.match(findings.damaged[0] ?? '', sentence);
      assert.ok(findings.damaged[0]?.includes(place), 'the sentence names the folder');
      assert.equal(fs.readFileSync(path.join(place, 'volume.json'), 'utf8'), text);
      assert.equal(fs.statSync(path.join(place, 'data')).size, MIB);
      await catalog.close();
    }
  });

  it('serves one of two volumes that have the same name, and names the other', async () => {
    const first = await load();
    const { record } = await first.catalog.create(NEW);
    await first.catalog.close();
    const volumes = path.join(folder, 'volumes');
    fs.cpSync(path.join(volumes, record.volumeId), path.join(volumes, 'copy'), { recursive: true });
    const copied = JSON.stringify({ format: 1, ...record, volumeId: 'copy' });
    fs.writeFileSync(path.join(volumes, 'copy', 'volume.json'), copied);
    const { catalog, findings } = await load();
    assert.equal(catalog.list().length, 1);
    assert.match(findings.damaged[0] ?? '', /is named v1 too; the volume is not served/);
    await catalog.close();
  });

  it('replaces a record within the space that it has', async () => {
    const { catalog } = await load();
    const { record } = await catalog.create(NEW);
    const place = path.join(folder, 'volumes', record.volumeId);
    const inodes = (): number[] =>
      ['volume.json', 'volume.json.new'].map((name) => fs.statSync(path.join(place, name)).ino);
    const before = inodes();
    for (let generation = 1; generation <= 3; generation += 1) {
      const holder = {
        attachmentId: 'a',
        description: 'ü'.repeat(generation * 60),
        sinceUnixMs: 1,
        firstGeneration: 1,
      };
      await catalog.setLease(record.volumeId, { generation, holder });
      const text = fs.readFileSync(path.join(place, 'volume.json'), 'utf8');
      assert.equal((JSON.parse(text) as { generation: number }).generation, generation);
      assert.equal(Buffer.byteLength(text), 4096);
    }
    assert.deepEqual(inodes(), before.toReversed(), 'the two changed names, three times');
    // A volume of before there were spares, or one that somebody tidied up.
    fs.unlinkSync(path.join(place, 'volume.json.new'));
    await catalog.setLease(record.volumeId, { generation: 4, holder: undefined });
    await catalog.close();
    const { catalog: again } = await load();
    assert.equal(again.byName('v1')?.generation, 4);
    await again.close();
  });

  it('says what it could not write, stays as it was, and lists all the same', async () => {
    const { catalog } = await load();
    const { record } = await catalog.create(NEW);
    const device = await catalog.open(record.volumeId);
    fs.rmSync(path.join(folder, 'volumes', record.volumeId), { recursive: true });
    await assert.rejects(
      catalog.setLease(record.volumeId, { generation: 1, holder: undefined }),
      kind('internal', /the record of volume v1 cannot be written: ENOENT/),
    );
    await assert.rejects(
      catalog.resize(record.volumeId, 2 * MIB),
      kind('internal', /the record of volume v1 cannot be written/),
    );
    assert.deepEqual(catalog.byName('v1'), record);
    assert.equal(device.facts.sizeBytes, MIB);
    assert.equal(await catalog.allocatedBytes(record.volumeId), 0);
    await catalog.close();
  });

  it('ends changes under way before it is closed, and takes none afterwards', async () => {
    const { catalog } = await load();
    const { record } = await catalog.create(NEW);
    const device = await catalog.open(record.volumeId);
    const created = catalog.create({ ...NEW, name: 'v2' });
    let isCreated = false;
    void created.then(() => {
      isCreated = true;
    });
    await Promise.all([catalog.close(), catalog.close()]);
    assert.equal(isCreated, true);
    await assert.rejects(submitAsync(device, readRequest(0, 512)), /closed/);
    for (const change of [
      () => catalog.create({ ...NEW, name: 'v3' }),
      () => catalog.resize(record.volumeId, 2 * MIB),
      () => catalog.delete(record.volumeId),
      () => catalog.open(record.volumeId),
    ])
      await assert.rejects(change(), kind('unavailable', /stopping/));
    const again = await load();
    assert.deepEqual(
      again.catalog.list().map(({ name }) => name),
      ['v1', 'v2'],
    );
    await again.catalog.close();
  });

  it('lets a backend forget a volume whose deletion a crash had interrupted', async () => {
    const first = await load();
    const { record } = await first.catalog.create(NEW);
    await first.catalog.close();
    fs.renameSync(
      path.join(folder, 'volumes', record.volumeId),
      path.join(folder, 'deleting', record.volumeId),
    );
    const [engine] = createBackends();
    assert.ok(engine !== undefined);
    const forgotten: string[] = [];
    engine.delete = async ({ volumeId }) => {
      forgotten.push(volumeId);
    };
    const { catalog, findings } = await VolumeCatalog.load(await openDataDirectory(folder), [
      engine,
    ]);
    assert.deepEqual(forgotten, [record.volumeId]);
    assert.deepEqual(findings, { removed: [record.volumeId], damaged: [] });
    await catalog.close();
  });

  it('keeps memory volumes out of the disk: after a restart they are gone, not broken', async () => {
    const first = await load();
    await first.catalog.create({ ...NEW, backend: 'memory' });
    assert.deepEqual(fs.readdirSync(path.join(folder, 'volumes')), []);
    await first.catalog.close();
    const { catalog } = await load();
    assert.deepEqual(catalog.list(), []);
    await catalog.close();
  });
});

describe('openDataDirectory', () => {
  it('is for its owner alone', async () => {
    const { catalog } = await load();
    assert.equal(fs.statSync(folder).mode & 0o777, 0o700);
    await catalog.close();
  });

  it('refuses a second user, with the pid of the first', async () => {
    const { catalog } = await load();
    await assert.rejects(
      openDataDirectory(folder),
      kind('refused', new RegExp(`pid ${process.pid}.*${folder}.*--data-directory`)),
    );
    await catalog.close();
    const again = await openDataDirectory(folder);
    again.unlock();
  });

  it('keeps its node id, and refuses a format that it does not know', async () => {
    const first = await openDataDirectory(folder);
    first.unlock();
    const second = await openDataDirectory(folder);
    assert.equal(second.nodeId, first.nodeId);
    second.unlock();
    fs.writeFileSync(path.join(folder, 'node.json'), '{"format":2,"nodeId":"x","createdUnixMs":1}');
    await assert.rejects(
      openDataDirectory(folder),
      kind('refused', /format 2, this version knows format 1/),
    );
    fs.writeFileSync(path.join(folder, 'node.json'), 'torn');
    await assert.rejects(
      openDataDirectory(folder),
      kind('refused', /damaged.*nothing was changed/),
    );
  });
});
