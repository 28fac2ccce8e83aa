/** What is the file backend's own: long ranges, resizes, its extents, the largest file there can be. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { beforeEach, describe, it } from 'node:test';
import type { BlockError } from '#daemon/block/block-error.js';
import { submitAsync } from '#daemon/block/block-device.js';
import {
  BLOCK_FLAG,
  rangeRequest,
  readRequest,
  writeRequest,
  joined,
  type BlockResult,
} from '#daemon/block/block-request.js';
import type { BackendVolume, VolumeIdentity } from '#daemon/storage-node/backend/backend.js';
import { FileBackend } from '#daemon/storage-node/backend/file/file-backend.js';
import { EXTENTS_MAX } from '#daemon/storage-node/backend/file/file-extents.js';
import { QUICK_PIECE_BYTES } from '#daemon/storage-node/backend/file/range-change.js';
import { slowPace } from '#test/support/slow-pace.js';
import { temporaryFolder } from '#test/support/temporary-folder.js';

const KIB = 1024;
const MIB = 1024 * KIB;
const root = temporaryFolder();
const backend = new FileBackend();
let folder = '';
let folders = 0;

beforeEach(() => {
  folders += 1;
  folder = path.join(root, String(folders));
  fs.mkdirSync(folder);
});

async function newVolume(
  sizeBytes: number,
  blockBytes = 512,
  of = backend,
): Promise<BackendVolume> {
  const identity: VolumeIdentity = { volumeId: 'v', sizeBytes, blockBytes };
  await of.create(identity, folder);
  return of.open(identity, folder);
}

function ends(errno: BlockError['errno']): (error: BlockError) => boolean {
  return (error) => error.errno === errno;
}

describe('a long trim or write-zeroes', () => {
  const LONG_BYTES = 3 * QUICK_PIECE_BYTES;

  it('keeps its place among the requests around it', async () => {
    const device = await newVolume(2 * LONG_BYTES);
    const log: string[] = [];
    const at = LONG_BYTES - 4096;
    await submitAsync(device, writeRequest(at, Buffer.alloc(8192, 1)));
    const note = (name: string): (() => void) => {
      return () => log.push(name);
    };
    device.submit(rangeRequest('write-zeroes', 0, LONG_BYTES, BLOCK_FLAG.FUA), note('zeroes'));
    const seen = submitAsync(device, readRequest(at, 8192));
    device.submit(writeRequest(at, Buffer.alloc(512, 2)), note('write'));
    device.submit(rangeRequest('trim', LONG_BYTES, LONG_BYTES), note('trim'));
    assert.deepEqual(log, [], 'nothing of it was done in one turn');
    assert.deepEqual(
      joined((await seen).payload),
      Buffer.concat([Buffer.alloc(4096), Buffer.alloc(4096, 1)]),
    );
    const last = await submitAsync(device, readRequest(at, 8192));
    assert.deepEqual(joined(last.payload).subarray(0, 512), Buffer.alloc(512, 2));
    await device.close();
    // FUA: the zeroes are answered when they are on the disk, which others need not wait for.
    assert.deepEqual(log.toSorted(), ['trim', 'write', 'zeroes']);
  });

  it('is ended, with all behind it, before the volume is closed', async () => {
    const device = await newVolume(LONG_BYTES);
    let answers = 0;
    const count = (): void => {
      answers += 1;
    };
    device.submit(rangeRequest('trim', 0, LONG_BYTES), count);
    device.submit(writeRequest(0, Buffer.alloc(512, 3), BLOCK_FLAG.FUA), count);
    await Promise.all([device.close(), device.close()]);
    assert.equal(answers, 2);
    const first = Buffer.alloc(1);
    const fd = fs.openSync(path.join(folder, 'data'), 'r');
    fs.readSync(fd, first, 0, 1, 0);
    fs.closeSync(fd);
    assert.equal(first[0], 3);
  });

  it('lets a resize take its turn, and refuses what then is beyond the end', async () => {
    const device = await newVolume(LONG_BYTES);
    const zeroes = submitAsync(device, rangeRequest('write-zeroes', 0, LONG_BYTES));
    const shrunk = device.resize(MIB);
    const late = submitAsync(device, writeRequest(MIB, Buffer.alloc(512, 1)));
    await zeroes;
    await assert.rejects(late, ends('ENOSPC'));
    await shrunk;
    assert.equal(fs.statSync(path.join(folder, 'data')).size, MIB);
    await device.close();
  });
});

describe('resize of a file volume', () => {
  it('reads zeroes where it grew, also where there was data before', async () => {
    const device = await newVolume(MIB);
    await submitAsync(device, writeRequest(0, Buffer.alloc(MIB, 9)));
    await device.resize(MIB - 512);
    await device.resize(2 * MIB);
    const { payload } = await submitAsync(device, readRequest(MIB - 1024, 1536));
    assert.deepEqual(joined(payload), Buffer.concat([Buffer.alloc(512, 9), Buffer.alloc(1024)]));
    await device.close();
  });

  it('does not show what a shrink left behind that failed half-way', async () => {
    const device = await newVolume(MIB);
    fs.appendFileSync(path.join(folder, 'data'), Buffer.alloc(MIB, 7));
    await device.resize(2 * MIB);
    const { payload } = await submitAsync(device, readRequest(MIB, MIB));
    assert.deepEqual(joined(payload), Buffer.alloc(MIB));
    await device.close();
  });

  it('leaves the volume as it was when the file system cannot make it that large', async () => {
    const device = await newVolume(MIB);
    await assert.rejects(device.resize(Number.MAX_SAFE_INTEGER - 511));
    assert.equal(device.facts.sizeBytes, MIB);
    await submitAsync(device, writeRequest(0, Buffer.alloc(512, 1), BLOCK_FLAG.FUA));
    await device.close();
    await assert.rejects(device.resize(2 * MIB), ends('ESHUTDOWN'));
  });
});

describe('extents of a file volume', () => {
  it('are whole blocks, and a block with any data in it is data', async () => {
    const device = await newVolume(MIB, 64 * KIB);
    const fd = fs.openSync(path.join(folder, 'data'), 'r+');
    fs.writeSync(fd, Buffer.alloc(4096, 1), 0, 4096, 64 * KIB + 8192);
    fs.writeSync(fd, Buffer.alloc(8192, 1), 0, 8192, 256 * KIB - 4096);
    fs.closeSync(fd);
    const { extents } = await submitAsync(device, rangeRequest('block-status', 0, MIB));
    //  block         0     1     2     3     4     5 ...
    //  data                 ##              # #
    assert.deepEqual(
      extents.map(({ lengthBytes, hole }) => [hole, lengthBytes / KIB]),
      [
        [true, 64],
        [false, 64],
        [true, 64],
        [false, 128],
        [true, 704],
      ],
    );
    await device.close();
  });

  it('are asked for on another thread while the disk is slow, in their turn', async () => {
    const device = await newVolume(MIB, 4096, new FileBackend({ pace: slowPace() }));
    await submitAsync(device, writeRequest(0, Buffer.alloc(4096, 1)));
    const seen: BlockResult[] = [];
    const status = new Promise<void>((resolve) => {
      device.submit(rangeRequest('block-status', 0, 8192), (_request, result) => {
        seen.push(result);
        resolve();
      });
    });
    assert.equal(seen.length, 0);
    await submitAsync(device, writeRequest(4096, Buffer.alloc(4096, 2)));
    await status;
    assert.deepEqual(seen[0]?.extents, [
      { lengthBytes: 4096, hole: false, zero: false },
      { lengthBytes: 4096, hole: true, zero: true },
    ]);
    await device.close();
  });

  it('are at most as many as the limit says, and the client goes on from there', async () => {
    const device = await newVolume(32 * MIB);
    for (let index = 0; index < EXTENTS_MAX; index += 1)
      await submitAsync(device, writeRequest(index * 16 * KIB, Buffer.alloc(4096, 1)));
    const first = await submitAsync(device, rangeRequest('block-status', 0, 32 * MIB));
    assert.equal(first.extents.length, EXTENTS_MAX);
    const told = first.extents.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0);
    const rest = await submitAsync(device, rangeRequest('block-status', told, 32 * MIB - told));
    assert.equal(rest.extents.length, EXTENTS_MAX);
    await device.close();
  });
});

describe('FileBackend', () => {
  it('opens the largest volume that the file system can hold', async () => {
    const largest = largestFileBytes(path.join(folder, 'probe'));
    const device = await newVolume(largest);
    await submitAsync(device, writeRequest(largest - 512, Buffer.alloc(512, 5), BLOCK_FLAG.FUA));
    await submitAsync(device, rangeRequest('trim', largest - 512, 512));
    const { payload } = await submitAsync(device, readRequest(largest - 512, 512));
    assert.deepEqual(joined(payload), Buffer.alloc(512));
    await device.close();
  });

  it('writes nothing of a write whose payload is not as long as it says', async () => {
    const device = await newVolume(MIB);
    const wrong = { ...writeRequest(0, Buffer.alloc(512, 1)), lengthBytes: 1024 };
    await assert.rejects(submitAsync(device, wrong), ends('EIO'));
    assert.deepEqual(
      joined((await submitAsync(device, readRequest(0, 1024))).payload),
      Buffer.alloc(1024),
    );
    await device.close();
  });

  it('fails a read with EIO, and nothing else, when its file was cut behind its back', async () => {
    const device = await newVolume(MIB);
    fs.truncateSync(path.join(folder, 'data'), 4096);
    await assert.rejects(submitAsync(device, readRequest(4096, 512)), ends('EIO'));
    assert.equal(joined((await submitAsync(device, readRequest(0, 4096))).payload).length, 4096);
    await device.close();
  });
});

/** By trying; ext4 has a limit of 16 TiB, some have none below the largest safe integer. */
function largestFileBytes(file: string): number {
  const fd = fs.openSync(file, 'w');
  let possible = 0;
  let impossible = 2 ** 53;
  while (impossible - possible > 512) {
    const middle = Math.floor((possible + impossible) / 1024) * 512;
    try {
      fs.ftruncateSync(fd, middle);
      possible = middle;
    } catch {
      impossible = middle;
    }
  }
  fs.closeSync(fd);
  fs.unlinkSync(file);
  return possible;
}
