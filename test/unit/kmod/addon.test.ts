/** The add-on's functions on real files; what they refuse, and how. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { fileURLToPath, pathToFileURL } from 'node:url';
import {
  FALLOC_FL_KEEP_SIZE,
  FALLOC_FL_PUNCH_HOLE,
  dataRuns,
  dataRunsAway,
  exchangeNames,
  fallocate,
  fallocateAway,
  lockExclusive,
  readCached,
  seekData,
  seekHole,
  timesSlept,
} from 'blkferry-kernel';
import { temporaryFolder } from '#test/support/temporary-folder.js';

const folder = temporaryFolder();
const MIB = 1024 * 1024;

function sparseFile(name: string): number {
  const fd = fs.openSync(path.join(folder, name), 'w+');
  fs.ftruncateSync(fd, 8 * MIB);
  return fd;
}

describe('fallocate', () => {
  it('punches a hole that reads as zeroes and gives its space back', () => {
    const fd = sparseFile('punch');
    fs.writeSync(fd, Buffer.alloc(2 * MIB, 1), 0, 2 * MIB, 0);
    fs.fsyncSync(fd);
    const before = fs.fstatSync(fd).blocks;
    fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, MIB);
    assert.ok(fs.fstatSync(fd).blocks < before);
    const data = Buffer.alloc(2);
    fs.readSync(fd, data, 0, 2, MIB - 1);
    assert.deepEqual([...data], [0, 1]);
    assert.equal(fs.fstatSync(fd).size, 8 * MIB);
    fs.closeSync(fd);
  });

  it('throws as Node does: code, errno, syscall', () => {
    assert.throws(
      () => {
        fallocate(987_654, 0, 0, 1);
      },
      { code: 'EBADF', errno: -9, syscall: 'fallocate' },
    );
  });

  it('refuses arguments that are not non-negative safe integers', () => {
    const call = fallocate as (...values: unknown[]) => void;
    assert.throws(() => {
      call(1, 0, -1, 1);
    }, RangeError);
    assert.throws(() => {
      call(1, 0, 0.5, 1);
    }, RangeError);
    assert.throws(() => {
      call(1, 0, 2 ** 60, 1);
    }, RangeError);
    assert.throws(() => {
      call(1, 0, NaN, 1);
    }, RangeError);
    assert.throws(() => {
      call(1, 0, '0', 1);
    }, TypeError);
    assert.throws(() => {
      call(1, 0);
    }, TypeError);
  });
});

describe('a file descriptor that does not fit into a C int', () => {
  it('is refused and not cut to another one', () => {
    const fd = sparseFile('cut');
    fs.writeSync(fd, Buffer.alloc(4096, 1), 0, 4096, 0);
    const sameWhenCut = fd + 2 ** 32;
    assert.throws(() => {
      fallocate(sameWhenCut, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096);
    }, RangeError);
    assert.throws(() => seekData(sameWhenCut, 0), RangeError);
    assert.throws(() => lockExclusive(sameWhenCut), RangeError);
    assert.equal(seekData(fd, 0), 0);
    fs.closeSync(fd);
  });
});

describe('seekData and seekHole', () => {
  it('find data and holes, and say -1 where there is nothing more', () => {
    const fd = sparseFile('seek');
    fs.writeSync(fd, Buffer.alloc(65_536, 1), 0, 65_536, MIB);
    assert.equal(seekData(fd, 0), MIB);
    assert.equal(seekHole(fd, MIB), MIB + 65_536);
    assert.equal(seekHole(fd, 0), 0);
    assert.equal(seekData(fd, 2 * MIB), -1);
    assert.equal(seekHole(fd, 8 * MIB), -1);
    fs.closeSync(fd);
  });
});

describe('readCached', () => {
  it('reads what is in the page cache, up to the end of the file', (t) => {
    const file = path.join(folder, 'cached');
    fs.writeFileSync(file, Buffer.alloc(5000, 7));
    const fd = fs.openSync(file, 'r');
    const buffer = Buffer.alloc(4096);
    try {
      assert.equal(readCached(fd, buffer, 0), 4096);
    } catch (error) {
      assert.equal((error as NodeJS.ErrnoException).code, 'EOPNOTSUPP');
      t.skip('the file system here does not know RWF_NOWAIT');
      return;
    }
    assert.ok(buffer.equals(Buffer.alloc(4096, 7)));
    assert.equal(readCached(fd, buffer.subarray(10, 20), 4995), 5);
    assert.equal(readCached(fd, buffer, 5000), 0);
    fs.closeSync(fd);
  });

  it('refuses what is no buffer, and no file', () => {
    const none = 'text' as unknown as Buffer;
    assert.throws(() => readCached(0, none, 0), TypeError);
    assert.throws(() => readCached(-1, Buffer.alloc(1), 0), RangeError);
    assert.throws(() => readCached(2 ** 31 - 1, Buffer.alloc(1), 0), { code: 'EBADF' });
  });
});

describe('lockExclusive', () => {
  it('is had by one open file at a time, and free again when that is closed', () => {
    const file = path.join(folder, 'lock');
    const first = fs.openSync(file, 'w');
    const second = fs.openSync(file, 'w');
    assert.equal(lockExclusive(first), true);
    assert.equal(lockExclusive(second), false);
    fs.closeSync(first);
    assert.equal(lockExclusive(second), true);
    fs.closeSync(second);
  });
});

describe('exchangeNames', () => {
  it('gives each of two files the name of the other', () => {
    const [first, second] = [path.join(folder, 'first'), path.join(folder, 'zwölf')];
    fs.writeFileSync(first, '1');
    fs.writeFileSync(second, '2');
    exchangeNames(first, second);
    assert.equal(fs.readFileSync(first, 'utf8'), '2');
    assert.equal(fs.readFileSync(second, 'utf8'), '1');
  });

  it('changes nothing when one of them is not there', () => {
    const alone = path.join(folder, 'alone');
    fs.writeFileSync(alone, '1');
    assert.throws(
      () => {
        exchangeNames(alone, path.join(folder, 'nobody'));
      },
      { code: 'ENOENT', syscall: 'renameat2' },
    );
    assert.equal(fs.readFileSync(alone, 'utf8'), '1');
  });

  it('refuses what cannot be a path', () => {
    const call = exchangeNames as (...values: unknown[]) => void;
    for (const wrong of ['', 'a\0b', 'x'.repeat(4096)]) {
      assert.throws(() => {
        call(wrong, 'b');
      }, RangeError);
    }
    assert.throws(() => {
      call(1, 'b');
    }, TypeError);
    assert.throws(() => {
      call('a');
    }, TypeError);
  });
});

describe('an add-on that was not built', () => {
  it('can be imported, and says at the first call how to build it', async () => {
    const source = fileURLToPath(import.meta.resolve('blkferry-kernel'));
    const copy = path.join(folder, 'door.mjs');
    fs.copyFileSync(source, copy);
    const door = (await import(pathToFileURL(copy).href)) as Record<string, () => void>;
    for (const [name, call] of Object.entries(door)) {
      if (typeof call === 'function')
        assert.throws(call, /not built .*; run: make -C kmod addon/, name);
    }
    assert.equal(door['FALLOC_FL_PUNCH_HOLE'], FALLOC_FL_PUNCH_HOLE);
    assert.deepEqual(Object.keys(door), Object.keys(await import('blkferry-kernel')));
  });
});

describe('fallocateAway', () => {
  it('does the same while the event loop goes on', async () => {
    const fd = sparseFile('away');
    fs.writeSync(fd, Buffer.alloc(2 * MIB, 1), 0, 2 * MIB, 0);
    await fallocateAway(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, MIB);
    const data = Buffer.alloc(2);
    fs.readSync(fd, data, 0, 2, MIB - 1);
    assert.deepEqual([...data], [0, 1]);
    fs.closeSync(fd);
  });

  it('rejects with what the system says, and throws what no system can be asked', async () => {
    await assert.rejects(fallocateAway(987_654, 0, 0, 1), {
      code: 'EBADF',
      errno: -9,
      syscall: 'fallocate',
    });
    assert.throws(() => void fallocateAway(1, 0, -1, 1), RangeError);
  });
});

describe('timesSlept', () => {
  it('counts when this thread waited for something, not when it computed', () => {
    const before = timesSlept();
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
    const after = timesSlept();
    assert.ok(after > before);
  });
});

describe('dataRuns', () => {
  it('tells where data begins and ends, at most so many pieces, here and on another thread', async () => {
    const fd = sparseFile('runs');
    for (const at of [MIB, 3 * MIB]) fs.writeSync(fd, Buffer.alloc(65536, 1), 0, 65536, at);
    const both = [MIB, MIB + 65536, 3 * MIB, 3 * MIB + 65536];
    assert.deepEqual(dataRuns(fd, 0, 8 * MIB, 10), both);
    assert.deepEqual(await dataRunsAway(fd, 0, 8 * MIB, 10), both);
    assert.deepEqual(await dataRunsAway(fd, 0, 8 * MIB, 1), both.slice(0, 2));
    assert.deepEqual(dataRuns(fd, MIB + 4096, MIB + 8192, 10), [MIB + 4096, MIB + 65536]);
    assert.deepEqual(dataRuns(fd, 0, MIB, 10), []);
    fs.closeSync(fd);
  });

  it('fails as Node does', async () => {
    assert.throws(() => dataRuns(987_654, 0, 1, 1), { code: 'EBADF', syscall: 'lseek' });
    await assert.rejects(dataRunsAway(987_654, 0, 1, 1), { code: 'EBADF', syscall: 'lseek' });
  });
});
