/** Reads over holes of a file: what is answered without being read, what is read, and what becomes of the buffers. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { beforeEach, describe, it } from 'node:test';
import type { BlockError } from '#daemon/block/block-error.js';
import { submitAsync } from '#daemon/block/block-device.js';
import {
  joined,
  rangeRequest,
  readRequest,
  writeRequest,
  type BlockResult,
} from '#daemon/block/block-request.js';
import { isZeroPiece } from '#daemon/block/zeroes.js';
import type { BackendVolume } from '#daemon/storage-node/backend/backend.js';
import type { DiskPace } from '#daemon/storage-node/backend/file/disk-pace.js';
import { FileBackend } from '#daemon/storage-node/backend/file/file-backend.js';
import type { ReadCalls } from '#daemon/storage-node/backend/file/file-reader.js';
import {
  HOLE_BYTES_MIN,
  HOLE_READ_BYTES_MIN,
} from '#daemon/storage-node/backend/file/hole-finder.js';
import { whyHolesAreUnknown } from '#test/support/file-holes.js';
import { slowPace } from '#test/support/slow-pace.js';
import { temporaryFolder } from '#test/support/temporary-folder.js';

const KIB = 1024;
const MIB = 1024 * KIB;
const SIZE_BYTES = 16 * MIB;
const root = temporaryFolder();
let folders = 0;
let file = '';

async function newVolume(
  slowness: { calls?: ReadCalls; pace?: DiskPace } = {},
): Promise<BackendVolume> {
  folders += 1;
  const folder = path.join(root, String(folders));
  fs.mkdirSync(folder);
  file = path.join(folder, 'data');
  const backend = new FileBackend(slowness);
  const volume = { volumeId: 'v', sizeBytes: SIZE_BYTES, blockBytes: 512 };
  await backend.create(volume, folder);
  return backend.open(volume, folder);
}

/** The payload as runs: [hole, KiB]. */
function runs({ payload }: BlockResult): [boolean, number][] {
  return payload.map((piece) => [isZeroPiece(piece), piece.length / KIB]);
}

describe('a read of a sparse file', { skip: whyHolesAreUnknown() }, () => {
  let device: BackendVolume;
  const read = (offsetBytes: number, lengthBytes: number): Promise<BlockResult> =>
    submitAsync(device, readRequest(offsetBytes, lengthBytes));
  const write = (offsetBytes: number, lengthBytes: number, fill: number): Promise<unknown> =>
    submitAsync(device, writeRequest(offsetBytes, Buffer.alloc(lengthBytes, fill)));

  beforeEach(async () => {
    device = await newVolume();
  });

  it('is one hole where nothing was written', async () => {
    assert.deepEqual(runs(await read(0, MIB)), [[true, 1024]]);
    assert.deepEqual(runs(await read(SIZE_BYTES - MIB, MIB)), [[true, 1024]]);
  });

  //  KiB   0     128   192        1024
  //        |------#####------------|
  it('leaves out the hole that it begins with, and brings what is behind it', async () => {
    await write(128 * KIB, 64 * KIB, 7);
    const result = await read(0, MIB);
    assert.deepEqual(runs(result), [
      [true, 128],
      [false, 896],
    ]);
    const expected = Buffer.alloc(MIB).fill(7, 128 * KIB, 192 * KIB);
    assert.equal(joined(result.payload).compare(expected), 0);
  });

  it('sees what was written and is not on the disk yet, at once', async () => {
    for (let round = 1; round <= 20; round += 1) {
      const at = round * 256 * KIB;
      assert.deepEqual(runs(await read(at, 64 * KIB)), [[true, 64]]);
      await write(at, 64 * KIB, round);
      assert.ok(joined((await read(at, 64 * KIB)).payload).every((byte) => byte === round));
    }
  });

  it('is a hole again after a trim', async () => {
    await write(0, MIB, 1);
    assert.deepEqual(runs(await read(0, MIB)), [[false, 1024]]);
    await submitAsync(device, rangeRequest('trim', 0, MIB));
    assert.deepEqual(runs(await read(0, MIB)), [[true, 1024]]);
  });

  it('does not ask for holes when it is short, and does when it is just long enough', async () => {
    assert.deepEqual(runs(await read(0, HOLE_READ_BYTES_MIN - 512)), [[false, 63.5]]);
    assert.deepEqual(runs(await read(0, HOLE_READ_BYTES_MIN)), [[true, 64]]);
  });

  it('reads a short hole along with the data behind it', async () => {
    await write(HOLE_BYTES_MIN - 4096, 64 * KIB, 2);
    assert.deepEqual(runs(await read(0, 320 * KIB)), [[false, 320]]);
    await write(512 * KIB + HOLE_BYTES_MIN, 64 * KIB, 3);
    assert.deepEqual(runs(await read(512 * KIB, 320 * KIB)), [
      [true, 16],
      [false, 304],
    ]);
  });

  it('is a read of everything while the disk does not keep up: it may have to tell where holes are', async () => {
    device = await newVolume({ pace: slowPace() });
    assert.deepEqual(runs(await read(0, MIB)), [[false, 1024]]);
  });

  it('is EIO, not zeroes, where the file was cut behind its back', async () => {
    const isEio = ({ errno }: BlockError): boolean => errno === 'EIO';
    fs.truncateSync(file, MIB + 512);
    await assert.rejects(read(2 * MIB, MIB), isEio);
    await assert.rejects(read(MIB, MIB), isEio);
    await assert.rejects(read(0, 2 * MIB), isEio);
    assert.deepEqual(runs(await read(0, MIB)), [[true, 1024]]);
  });

  it('reads into a buffer again when all pieces of it came back, and never into zeroes', async () => {
    await write(0, 128 * KIB, 1);
    await write(256 * KIB, 128 * KIB, 2);
    const first = await read(0, MIB);
    device.reclaim?.(first.payload);
    device.reclaim?.(first.payload);
    await write(0, 128 * KIB, 3);
    const second = await read(0, MIB);
    assert.equal(second.payload[0]?.buffer, first.payload[0]?.buffer);
    const third = await read(0, MIB);
    assert.notEqual(third.payload[0]?.buffer, second.payload[0]?.buffer);
    device.reclaim?.((await read(8 * MIB, MIB)).payload);
    await write(8 * MIB, MIB, 0xff);
    await read(8 * MIB, MIB);
    assert.ok(isAllZero(await read(12 * MIB, MIB)));
  });
});

function isAllZero({ payload }: BlockResult): boolean {
  return joined(payload).every((byte) => byte === 0);
}

describe('a read of a sparse file on a slow disk', { skip: whyHolesAreUnknown() }, () => {
  const waiting: (() => void)[] = [];
  let failure: NodeJS.ErrnoException | null = null;
  /** Nothing is cached. */
  const calls: ReadCalls = {
    cached: () => -1,
    detour: (fd, buffer, offsetBytes, done) => {
      waiting.push(() => {
        if (failure === null) done(null, fs.readSync(fd, buffer, 0, buffer.length, offsetBytes));
        else done(failure, 0);
      });
    },
  };

  /** A hole of 64 KiB, 64 KiB of 2, a hole. */
  async function startRead(): Promise<{
    device: BackendVolume;
    result: () => BlockResult | undefined;
  }> {
    const device = await newVolume({ calls });
    await submitAsync(device, writeRequest(64 * KIB, Buffer.alloc(64 * KIB, 2)));
    let answered: BlockResult | undefined;
    device.submit(readRequest(0, 256 * KIB), (_request, result) => {
      answered = result;
    });
    return { device, result: () => answered };
  }

  beforeEach(() => {
    failure = null;
    waiting.length = 0;
  });

  it('waits for the part that is data, and changes wait for it', async () => {
    const { device, result } = await startRead();
    assert.equal(waiting.length, 1);
    let isWritten = false;
    device.submit(writeRequest(0, Buffer.alloc(512, 9)), () => {
      isWritten = true;
    });
    assert.deepEqual([result(), isWritten], [undefined, false]);
    waiting.pop()?.();
    assert.equal(isWritten, true);
    const answered = result();
    assert.ok(answered !== undefined);
    assert.deepEqual(runs(answered), [
      [true, 64],
      [false, 192],
    ]);
    const expected = Buffer.alloc(256 * KIB).fill(2, 64 * KIB, 128 * KIB);
    assert.equal(joined(answered.payload).compare(expected), 0);
  });

  it('fails without data if that part fails', async () => {
    const { device, result } = await startRead();
    failure = Object.assign(new Error('bad disk'), { code: 'EIO' });
    waiting.shift()?.();
    assert.equal(result()?.error?.errno, 'EIO');
    assert.deepEqual(result()?.payload, []);
    await device.close();
  });
});
