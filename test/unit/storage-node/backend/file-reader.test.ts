/** The file backend on a disk that is slow: who waits for it, and who does not. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { beforeEach, describe, it } from 'node:test';
import {
  flushRequest,
  readRequest,
  writeRequest,
  type BlockRequest,
  type BlockResult,
} from '#daemon/block/block-request.js';
import type { BackendVolume } from '#daemon/storage-node/backend/backend.js';
import { FileBackend } from '#daemon/storage-node/backend/file/file-backend.js';
import { DETOURS_MAX, type ReadCalls } from '#daemon/storage-node/backend/file/file-reader.js';
import { temporaryFolder } from '#test/support/temporary-folder.js';

const BLOCK = 4096;
const BLOCKS = 64;
const root = temporaryFolder();
let folders = 0;

/** A disk of which nothing but some blocks is cached, and whose reads end when they are told to. */
class SlowDisk implements ReadCalls {
  readonly cachedBlocks = new Set<number>();
  /** Thrown by every look into the cache. */
  refusal: string | undefined;
  readonly waiting: (() => void)[] = [];
  failure: NodeJS.ErrnoException | null = null;
  /** A detour brings at most this much. */
  detourBytesMax = Infinity;
  looks = 0;

  cached = (fd: number, buffer: Buffer, offsetBytes: number): number => {
    this.looks += 1;
    if (this.refusal !== undefined)
      throw Object.assign(new Error(this.refusal), { code: this.refusal });
    let readBytes = 0;
    while (readBytes < buffer.length && this.cachedBlocks.has((offsetBytes + readBytes) / BLOCK))
      readBytes += fs.readSync(fd, buffer, readBytes, BLOCK, offsetBytes + readBytes);
    return readBytes === 0 ? -1 : readBytes;
  };

  detour: ReadCalls['detour'] = (fd, buffer, offsetBytes, done) => {
    this.waiting.push(() => {
      if (this.failure !== null) done(this.failure, 0);
      else {
        const bytes = Math.min(buffer.length, this.detourBytesMax);
        done(null, fs.readSync(fd, buffer, 0, bytes, offsetBytes));
      }
    });
  };

  /** The oldest read that waits is done. */
  finish(): void {
    this.waiting.shift()?.();
  }

  finishAll(): void {
    while (this.waiting.length > 0) this.finish();
  }
}

interface Asked {
  result: BlockResult | undefined;
}

describe('a volume on a slow disk', () => {
  let disk: SlowDisk;
  let device: BackendVolume;
  let file = '';

  beforeEach(async () => {
    folders += 1;
    const folder = path.join(root, String(folders));
    fs.mkdirSync(folder);
    disk = new SlowDisk();
    const backend = new FileBackend({ calls: disk });
    const volume = { volumeId: 'v', sizeBytes: BLOCKS * BLOCK, blockBytes: 512 };
    await backend.create(volume, folder);
    file = path.join(folder, 'data');
    for (let block = 0; block < BLOCKS; block += 1) poke(block, block + 1);
    device = await backend.open(volume, folder);
  });

  function poke(block: number, fill: number): void {
    const fd = fs.openSync(file, 'r+');
    fs.writeSync(fd, Buffer.alloc(BLOCK, fill), 0, BLOCK, block * BLOCK);
    fs.closeSync(fd);
  }

  function ask(request: BlockRequest): Asked {
    const asked: Asked = { result: undefined };
    device.submit(request, (_request, result) => {
      asked.result = result;
    });
    return asked;
  }

  const read = (block: number, count = 1): Asked => ask(readRequest(block * BLOCK, count * BLOCK));
  const write = (block: number, fill: number): Asked =>
    ask(writeRequest(block * BLOCK, Buffer.alloc(BLOCK, fill)));
  const firstByte = ({ result }: Asked): number | undefined => result?.payload[0]?.[0];

  it('answers what is cached at once, also while a read waits for the disk', () => {
    disk.cachedBlocks.add(2);
    const cold = read(1);
    const cached = read(2);
    assert.deepEqual([firstByte(cold), firstByte(cached)], [undefined, 3]);
    disk.finish();
    assert.equal(firstByte(cold), 2);
  });

  it('reads what is not cached beside what is, and waits for it', () => {
    disk.cachedBlocks.add(1).add(2);
    const asked = read(1, 4);
    assert.equal(firstByte(asked), undefined);
    disk.finish();
    const payload = asked.result?.payload[0];
    assert.deepEqual(
      [0, 1, 2, 3].map((block) => payload?.[block * BLOCK]),
      [2, 3, 4, 5],
    );
    assert.equal(payload?.length, 4 * BLOCK);
  });

  it('goes on when the disk brings less than was asked for', () => {
    disk.detourBytesMax = 1000;
    const asked = read(3);
    disk.finishAll();
    assert.ok(asked.result?.payload[0]?.equals(Buffer.alloc(BLOCK, 4)));
  });

  it('keeps the order: a write waits for the reads before it, and reads behind it see it', () => {
    disk.cachedBlocks.add(1);
    const [first, second] = [read(0), read(5)];
    const written = write(0, 99);
    const behind = read(0);
    assert.equal(disk.waiting.length, 2);
    disk.finish();
    assert.deepEqual([firstByte(first), written.result, behind.result], [1, undefined, undefined]);
    disk.finish();
    assert.equal(firstByte(second), 6);
    assert.equal(written.result?.error, undefined);
    assert.notEqual(written.result, undefined);
    disk.finishAll();
    assert.equal(firstByte(behind), 99);
  });

  it('reads several at a time, and no more than it may', () => {
    const all = Array.from({ length: DETOURS_MAX + 3 }, (_, block) => read(block));
    assert.equal(disk.waiting.length, DETOURS_MAX);
    disk.finish();
    assert.equal(disk.waiting.length, DETOURS_MAX);
    disk.finishAll();
    assert.deepEqual(
      all.map(firstByte),
      all.map((_, block) => block + 1),
    );
  });

  it('flushes while reads wait', async () => {
    read(1);
    await new Promise<void>((resolve) => {
      device.submit(flushRequest(), (_request, { error }) => {
        assert.equal(error, undefined);
        resolve();
      });
    });
    disk.finishAll();
  });

  it('tells an error of the disk, and works on', () => {
    disk.failure = Object.assign(new Error('EIO: i/o error, read'), { code: 'EIO' });
    const asked = read(1);
    disk.finish();
    assert.equal(asked.result?.error?.errno, 'EIO');
    disk.failure = null;
    const again = read(1);
    disk.finish();
    assert.equal(firstByte(again), 2);
  });

  it('makes EIO of a data file that has become too short', () => {
    fs.truncateSync(file, 10 * BLOCK);
    const asked = read(10);
    disk.finish();
    assert.equal(asked.result?.error?.errno, 'EIO');
    assert.match(asked.result?.error?.reason ?? '', /the data file ends at byte 40960/);
  });

  it('asks the disk for everything where the file system cannot say what is cached', () => {
    disk.refusal = 'EOPNOTSUPP';
    const asked = [read(1), read(2)];
    assert.deepEqual([disk.waiting.length, disk.looks], [2, 1]);
    disk.finishAll();
    assert.deepEqual(asked.map(firstByte), [2, 3]);
  });

  it('looks again after an error of the disk in the cache', () => {
    disk.refusal = 'EIO';
    read(1);
    disk.refusal = undefined;
    disk.cachedBlocks.add(2);
    assert.equal(firstByte(read(2)), 3);
    disk.finishAll();
  });

  it('ends after what waits', async () => {
    const asked = read(1);
    let isClosed = false;
    const closing = device.close().then(() => {
      isClosed = true;
    });
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(isClosed, false);
    disk.finish();
    await closing;
    assert.equal(firstByte(asked), 2);
    assert.equal(read(1).result?.error?.errno, 'ESHUTDOWN');
  });

  it('changes its size after what waits', async () => {
    const asked = read(20);
    const resized = device.resize(10 * BLOCK);
    disk.finish();
    await resized;
    assert.equal(firstByte(asked), 21);
    assert.equal(device.facts.sizeBytes, 10 * BLOCK);
  });
});
