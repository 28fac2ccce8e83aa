/** Writing a payload from where it lies: one call for all of its pieces, however many. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { writePieces } from '#daemon/storage-node/backend/file/piece-writing.js';
import { temporaryFolder } from '#test/support/temporary-folder.js';

describe('writePieces', () => {
  const folder = temporaryFolder();

  for (const count of [0, 1, 2, 1024, 1025, 3000]) {
    it(`writes ${count} pieces at their place and nothing else`, () => {
      const file = path.join(folder, `${count}`);
      const fd = fs.openSync(file, 'w+');
      const pieces = Array.from({ length: count }, (_, index) => Buffer.alloc(7, index));
      fs.writeSync(fd, Buffer.alloc(7 * count + 20, 0xee));
      writePieces(fd, pieces, 10);
      const written = fs.readFileSync(file);
      fs.closeSync(fd);
      assert.ok(written.subarray(10, 10 + 7 * count).equals(Buffer.concat(pieces)));
      assert.ok(written.subarray(0, 10).every((byte) => byte === 0xee));
      assert.ok(written.subarray(10 + 7 * count).every((byte) => byte === 0xee));
    });
  }

  it('throws what the system says', () => {
    const fd = fs.openSync(path.join(folder, 'r'), 'w');
    fs.closeSync(fd);
    assert.throws(() => {
      writePieces(fd, [Buffer.alloc(1)], 0);
    }, /EBADF/);
  });
});
