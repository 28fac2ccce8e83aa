/** One process of a kind per directory, and no directory of somebody else's. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { lockDirectory } from '#daemon/runtime/directory-lock.js';
import { RunningProgram } from '#test/support/program.js';
import { temporaryFolder } from '#test/support/temporary-folder.js';

const folder = temporaryFolder();

function lock(name: string): () => void {
  return lockDirectory(path.join(folder, name), 'blkferryd', '--state-directory');
}

describe('lockDirectory', () => {
  it('makes the directory and those above it, for their owner alone', () => {
    lock('above/state')();
    for (const made of ['above', 'above/state']) {
      assert.equal(fs.statSync(path.join(folder, made)).mode & 0o777, 0o700, made);
    }
  });

  it('refuses a second one with the pid of the first, until that gives it up', () => {
    const unlock = lock('state');
    assert.throws(
      () => lock('state'),
      (error: Error) =>
        error.message ===
        `another blkferryd (pid ${process.pid}) uses ${folder}/state; stop it, or choose another directory with --state-directory`,
    );
    unlock();
    lock('state')();
  });

  it('is free again after a process that was killed', async () => {
    const script = `
      import { lockDirectory } from ${JSON.stringify(import.meta.resolve('#daemon/runtime/directory-lock.js'))};
      lockDirectory(${JSON.stringify(path.join(folder, 'killed'))}, 'blkferryd', '--state-directory');
      setInterval(() => undefined, 1000);
      console.log('ready');
    `;
    const { program } = await RunningProgram.start(
      process.execPath,
      ['--input-type=module', '--eval', script],
      { readyLine: /^ready$/ },
    );
    assert.throws(() => lock('killed'), new RegExp(`another blkferryd \\(pid ${program.pid}\\)`));
    await program.kill();
    lock('killed')();
  });

  it('refuses a directory that everybody may write to', () => {
    const shared = path.join(folder, 'shared');
    fs.mkdirSync(shared);
    fs.chmodSync(shared, 0o777);
    assert.throws(
      () => lock('shared'),
      /shared cannot be used: everybody may write to it; choose another directory with --state-/,
    );
  });

  it('refuses the directory of another user', async () => {
    const script = `
      import { lockDirectory } from ${JSON.stringify(import.meta.resolve('#daemon/runtime/directory-lock.js'))};
      // To root every directory is as good as its own.
      if (process.getuid() === 0) process.setuid(65534);
      try { lockDirectory('/usr', 'blkferryd', '--state-directory'); }
      catch (error) { console.log(error.message); }
    `;
    await RunningProgram.start(process.execPath, ['--input-type=module', '--eval', script], {
      readyLine:
        /^\/usr cannot be used: it belongs to user 0; choose another directory with --state-directory$/,
    });
  });

  it('says what is wrong with a directory that cannot be made', () => {
    fs.writeFileSync(path.join(folder, 'file'), '');
    assert.throws(
      () => lock('file/state'),
      /file\/state cannot be used: ENOTDIR.*; choose another directory with --state-directory/,
    );
  });
});
