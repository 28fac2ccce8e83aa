/** The add-on's functions on real files; what they refuse, and how. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import {
  FALLOC_FL_KEEP_SIZE,
  FALLOC_FL_PUNCH_HOLE,
  fallocate,
  lockExclusive,
  seekData,
  seekHole,
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
