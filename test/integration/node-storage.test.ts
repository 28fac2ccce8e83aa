/** What a node's disk is like after kill -9 at any moment, when it is full, when it is shared, and when it makes no holes. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { BlockError } from '#daemon/block/block-error.js';
import { submitAsync } from '#daemon/block/block-device.js';
import {
  BLOCK_FLAG,
  flushRequest,
  rangeRequest,
  readRequest,
  writeRequest,
  joined,
} from '#daemon/block/block-request.js';
import { createBackends } from '#daemon/storage-node/backend/backend-registry.js';
import { StorageError } from '#daemon/rpc/storage-error.js';
import { FileBackend } from '#daemon/storage-node/backend/file/file-backend.js';
import { WRITTEN_PIECE_BYTES } from '#daemon/storage-node/backend/file/range-change.js';
import { openDataDirectory } from '#daemon/storage-node/data-directory.js';
import { VolumeCatalog } from '#daemon/storage-node/volume-catalog.js';
import { RunningProgram } from '#test/support/program.js';
import { temporaryFolder } from '#test/support/temporary-folder.js';

const MIB = 1024 * 1024;
const KILLS = 25;
const WORKER = fileURLToPath(new URL('../support/catalog-worker.js', import.meta.url));
const root = temporaryFolder();

async function load(folder: string): Promise<Awaited<ReturnType<typeof VolumeCatalog.load>>> {
  return VolumeCatalog.load(await openDataDirectory(folder), createBackends());
}

describe('a catalog whose process is killed at any moment', () => {
  it('has every volume as it was before or after the change, and nothing half made', async () => {
    const folder = path.join(root, 'killed');
    let generations = 0;
    for (let kill = 0; kill < KILLS; kill += 1) {
      const { program } = await RunningProgram.start(process.execPath, [WORKER, folder], {
        readyLine: /worker ready/,
      });
      await wait(Math.random() * 40);
      await program.kill();
      const { catalog, findings } = await load(folder);
      assert.deepEqual(findings.damaged, []);
      for (const record of catalog.list()) {
        const device = await catalog.open(record.volumeId);
        assert.equal(device.facts.sizeBytes, record.sizeBytes);
        assert.ok(record.sizeBytes === MIB || record.sizeBytes === 3 * MIB);
        await submitAsync(device, readRequest(record.sizeBytes - 512, 512));
        await catalog.release(record.volumeId);
        generations = Math.max(generations, record.generation);
      }
      assert.deepEqual(fs.readdirSync(path.join(folder, 'creating')), []);
      assert.deepEqual(fs.readdirSync(path.join(folder, 'deleting')), []);
      assert.equal(fs.readdirSync(path.join(folder, 'volumes')).length, catalog.list().length);
      await catalog.close();
    }
    assert.ok(generations > 0, 'the worker did work between the kills');
  });
});

describe('a data directory that another process has', () => {
  it('is refused with the pid of the other, and free as soon as that is killed', async () => {
    const folder = path.join(root, 'shared');
    const { program } = await RunningProgram.start(process.execPath, [WORKER, folder], {
      readyLine: /worker ready/,
    });
    await assert.rejects(
      load(folder),
      new RegExp(`\\(pid ${program.child.pid}\\) uses ${folder};`),
    );
    await program.kill();
    const { catalog } = await load(folder);
    await catalog.close();
  });
});

/** Mounts a file system on a new folder for the length of a test, which is skipped where that is not allowed. */
async function onFileSystem(
  t: TestContext,
  type: string,
  options: string,
  test: (folder: string) => Promise<void>,
): Promise<void> {
  const folder = fs.mkdtempSync(path.join(root, `${type}-`));
  const mounted = spawnSync('mount', ['-t', type, '-o', options, 'blkferry-test', folder]);
  if (mounted.status !== 0) {
    t.skip('a small file system cannot be mounted here (needs root)');
    return;
  }
  try {
    await test(folder);
  } finally {
    spawnSync('umount', [folder]);
  }
}

const HOLDER = { attachmentId: 'a', description: 'me', sinceUnixMs: 1, firstGeneration: 1 };

describe('a node whose disk is full', () => {
  async function writeUntilFull(folder: string): Promise<void> {
    const { catalog } = await load(folder);
    try {
      const open = async (name: string): ReturnType<typeof catalog.open> => {
        const { record } = await catalog.create({
          name,
          sizeBytes: 64 * MIB,
          blockBytes: 512,
          backend: 'file',
        });
        return catalog.open(record.volumeId);
      };
      const [greedy, modest] = [await open('greedy'), await open('modest')];
      await submitAsync(modest, writeRequest(0, Buffer.alloc(65_536, 1)));
      let written = 0;
      const fill = async (): Promise<void> => {
        for (; written < 64 * MIB; written += MIB)
          await submitAsync(greedy, writeRequest(written, Buffer.alloc(MIB, 2)));
      };
      await assert.rejects(fill(), (error: BlockError) => error.errno === 'ENOSPC');
      assert.ok(written < 4 * MIB);
      await submitAsync(modest, writeRequest(0, Buffer.alloc(65_536, 3)));
      assert.deepEqual(
        joined((await submitAsync(modest, readRequest(0, 512))).payload),
        Buffer.alloc(512, 3),
      );
      assert.deepEqual(
        joined((await submitAsync(greedy, readRequest(0, 512))).payload),
        Buffer.alloc(512, 2),
      );
      await submitAsync(modest, flushRequest());
      await submitAsync(greedy, flushRequest());
      await submitAsync(greedy, rangeRequest('trim', 0, MIB));
      await submitAsync(modest, writeRequest(MIB, Buffer.alloc(65_536, 4)));
    } finally {
      await catalog.close();
    }
  }

  async function manageWhenFull(folder: string): Promise<void> {
    const first = await load(folder);
    const volume = { sizeBytes: 64 * MIB, blockBytes: 512, backend: 'file' };
    const { record } = await first.catalog.create({ ...volume, name: 'kept' });
    const other = await first.catalog.create({ ...volume, name: 'deleted' });
    await first.catalog.close();
    const filler = path.join(folder, 'filler');
    assert.throws(() => {
      fs.writeFileSync(filler, Buffer.alloc(8 * MIB, 1));
    }, /ENOSPC/);
    const { catalog } = await load(folder);
    try {
      for (let generation = 1; generation <= 3; generation += 1)
        await catalog.setLease(record.volumeId, { generation, holder: HOLDER });
      await catalog.resize(record.volumeId, 32 * MIB);
      await assert.rejects(
        catalog.create({ ...volume, name: 'new' }),
        (error) => error instanceof StorageError && error.kind === 'exhausted',
      );
      assert.deepEqual(fs.readdirSync(path.join(folder, 'creating')), []);
      await catalog.delete(other.record.volumeId);
    } finally {
      await catalog.close();
    }
    const { catalog: again } = await load(folder);
    assert.deepEqual(again.list(), [
      { ...record, generation: 3, holder: HOLDER, sizeBytes: 32 * MIB },
    ]);
    fs.unlinkSync(filler);
    await again.create({ ...volume, name: 'new' });
    await again.close();
  }

  it('gives ENOSPC to the writer and goes on with everything else', async (t) => {
    await onFileSystem(t, 'tmpfs', 'size=4m,mode=700', writeUntilFull);
  });

  it('starts, moves leases, shrinks and deletes without any space left', async (t) => {
    await onFileSystem(t, 'tmpfs', 'size=4m,mode=700', manageWhenFull);
  });
});

describe('a file system that cannot make holes', () => {
  const LONG_BYTES = 3 * WRITTEN_PIECE_BYTES;

  async function useWithoutHoles(folder: string): Promise<void> {
    const backend = new FileBackend();
    const identity = { volumeId: 'v', sizeBytes: LONG_BYTES, blockBytes: 512 };
    await backend.create(identity, folder);
    const device = await backend.open(identity, folder);
    try {
      const { canTrim, canFastZero } = device.facts.capabilities;
      assert.deepEqual({ canTrim, canFastZero }, { canTrim: false, canFastZero: false });
      const data = Buffer.alloc(LONG_BYTES, 1);
      await submitAsync(device, writeRequest(0, data));
      await submitAsync(device, rangeRequest('trim', 0, LONG_BYTES));
      const { payload: kept } = await submitAsync(device, readRequest(0, LONG_BYTES));
      assert.ok(joined(kept).equals(data));
      const { extents } = await submitAsync(device, rangeRequest('block-status', 0, LONG_BYTES));
      assert.deepEqual(extents, [{ lengthBytes: LONG_BYTES, hole: false, zero: false }]);
      await assert.rejects(
        submitAsync(device, rangeRequest('write-zeroes', 0, 512, BLOCK_FLAG.FAST_ZERO)),
        (error: BlockError) => error.errno === 'ENOTSUP',
      );
      const zeroed = submitAsync(device, rangeRequest('write-zeroes', 512, LONG_BYTES - 1024));
      const { payload } = await submitAsync(device, readRequest(0, LONG_BYTES));
      assert.ok(
        joined(payload).equals(data.fill(0, 512, LONG_BYTES - 512)),
        'the read came after them',
      );
      await zeroed;
    } finally {
      await device.close();
    }
  }

  it('keeps volumes all the same: zeroes are written, a trim does nothing', async (t) => {
    await onFileSystem(t, 'ramfs', 'mode=700', useWithoutHoles);
  });
});
