/** The same exports over TCP: what a machine without a file system in common would use. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { BlkferryStack } from '#test/support/blkferry-stack.js';
import { missingPrograms, runSuccessfully } from '#test/support/program.js';
import { temporaryFolder } from '#test/support/temporary-folder.js';

const SIZE_BYTES = 16 * 1024 * 1024;
const folder = temporaryFolder();

describe('NBD over TCP', { skip: missingPrograms('nbdcopy') }, () => {
  let stack: BlkferryStack;
  before(async () => {
    stack = await BlkferryStack.start(folder, { daemon: { BLKFERRY_NBD_TCP: '127.0.0.1:0' } });
  });
  after(() => stack.stop());

  it('carries a disk in and out, over several connections, as the unix socket does', async () => {
    const { name } = await stack.newExport({ sizeBytes: SIZE_BYTES });
    const { uris } = await stack.admin.getAttachment(name);
    const uri = uris.find((one) => one.startsWith('nbd://127.0.0.1:'));
    assert.ok(uri, `an address over TCP among ${uris.join(' ')}`);
    const [source, copy] = [path.join(folder, 'source'), path.join(folder, 'copy')];
    writeFileSync(source, randomBytes(SIZE_BYTES));
    await runSuccessfully('nbdcopy', ['--connections=4', source, uri]);
    await runSuccessfully('nbdcopy', ['--connections=4', uri, copy]);
    assert.equal(Buffer.compare(readFileSync(copy), readFileSync(source)), 0);
  });
});
