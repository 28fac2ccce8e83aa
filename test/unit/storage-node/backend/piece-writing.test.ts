/** Writing a payload from where it lies: one call for all of its pieces, however many. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { it } from 'node:test';
import { writePieces, writePiecesAway } from '#daemon/storage-node/backend/file/piece-writing.js';
import { temporaryFolder } from '#test/support/temporary-folder.js';

const WAYS = {
  writePieces: (...words: Parameters<typeof writePieces>) => {
    writePieces(...words);
    return Promise.resolve();
  },
  writePiecesAway,
};

for (const [name, write] of Object.entries(WAYS)) {
  const folder = temporaryFolder();

  for (const count of [0, 1, 2, 1024, 1025, 3000]) {
    it(`${name} writes ${count} pieces at their place and nothing else`, async () => {
      const file = path.join(folder, `${count}`);
      const fd = fs.openSync(file, 'w+');
      const pieces = Array.from({ length: count }, (_, index) => Buffer.alloc(7, index));
      fs.writeSync(fd, Buffer.alloc(7 * count + 20, 0xee));
      await write(fd, pieces, 10);
      const written = fs.readFileSync(file);
      fs.closeSync(fd);
      assert.ok(written.subarray(10, 10 + 7 * count).equals(Buffer.concat(pieces)));
      assert.ok(written.subarray(0, 10).every((byte) => byte === 0xee));
      assert.ok(written.subarray(10 + 7 * count).every((byte) => byte === 0xee));
    });
  }

  it(`${name} fails with what the system says`, async () => {
    const fd = fs.openSync(path.join(folder, 'r'), 'w');
    fs.closeSync(fd);
    await assert.rejects(async () => {
      await write(fd, [Buffer.alloc(1)], 0);
    }, /EBADF/);
  });
}
