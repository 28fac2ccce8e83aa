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

  const open: [mode: number, sentence: string][] = [
    [0o777, 'everybody may write to it (mode 0777): chmod 0711 '],
    [0o755, 'everybody may look into it (mode 0755): chmod 0711 '],
    [0o704, 'everybody may look into it (mode 0704): chmod 0700 '],
    [0o770, 'its group may write to it (mode 0770): chmod 0710 '],
    [0o740, 'its group may look into it (mode 0740): chmod 0700 '],
  ];
  for (const [mode, sentence] of open) {
    it(`refuses a directory of mode ${mode.toString(8)}, and says what to do`, () => {
      const name = `open-${mode.toString(8)}`;
      const directory = path.join(folder, name);
      fs.mkdirSync(directory);
      fs.chmodSync(directory, mode);
      assert.throws(
        () => lock(name),
        (error: Error) =>
          error.message ===
          `${directory} cannot be used: ${sentence}${directory}; choose another directory with --state-directory`,
      );
      assert.deepEqual(fs.readdirSync(directory), []);
    });
  }

  it('takes one through which a group may pass to a socket', () => {
    fs.mkdirSync(path.join(folder, 'passage'));
    fs.chmodSync(path.join(folder, 'passage'), 0o710);
    lock('passage')();
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
