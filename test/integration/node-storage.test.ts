/** What a node's disk is like after kill -9 at any moment, and when it is full. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { BlockError } from '#daemon/block/block-error.js';
import { submitAsync } from '#daemon/block/block-device.js';
import {
  flushRequest,
  rangeRequest,
  readRequest,
  writeRequest,
} from '#daemon/block/block-request.js';
import { createBackends } from '#daemon/storage-node/backend/backend-registry.js';
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

describe('a node whose disk is full', () => {
  it('gives ENOSPC to the writer and goes on with everything else', async (t) => {
    const folder = path.join(root, 'small');
    fs.mkdirSync(folder);
    const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=4m', 'blkferry-test', folder]);
    if (mounted.status !== 0) {
      t.skip('a small file system cannot be mounted here (needs root)');
      return;
    }
    const { catalog } = await load(path.join(folder, 'data'));
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
        (await submitAsync(modest, readRequest(0, 512))).payload,
        Buffer.alloc(512, 3),
      );
      assert.deepEqual(
        (await submitAsync(greedy, readRequest(0, 512))).payload,
        Buffer.alloc(512, 2),
      );
      await submitAsync(modest, flushRequest());
      await submitAsync(greedy, flushRequest());
      await submitAsync(greedy, rangeRequest('trim', 0, MIB));
      await submitAsync(modest, writeRequest(MIB, Buffer.alloc(65_536, 4)));
    } finally {
      await catalog.close();
      spawnSync('umount', [folder]);
    }
  });
});
