/** Goal: the scripts are accepted by their shells, and bash offers what can follow. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { StorageError } from '#daemon/rpc/storage-error.js';
import { attachment } from './fake-daemon.js';
import { FakeSurroundings } from './fake-surroundings.js';
import { MiB } from './fake-node.js';

let folder = '';

before(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'blkferry-completion-'));
  // Stands for the program when the script asks for names.
  const program = path.join(folder, 'blkferry');
  await writeFile(program, '#!/bin/sh\necho "$2-one"\necho "$2-two"\n');
  await chmod(program, 0o755);
});

after(async () => {
  await rm(folder, { recursive: true, force: true });
});

async function script(shell: string): Promise<string> {
  const { exitCode, stdout } = await new FakeSurroundings().run(`completion ${shell}`);
  assert.equal(exitCode, 0);
  return stdout;
}

/** What bash offers for the last of these words. */
async function offers(...words: string[]): Promise<string[]> {
  const lines = [
    await script('bash'),
    `COMP_WORDS=(blkferry ${words.map((word) => `'${word}'`).join(' ')})`,
    `COMP_CWORD=${words.length}`,
    '_blkferry',
    'printf "%s\\n" "${COMPREPLY[@]}"',
  ];
  const { stdout, stderr, status } = spawnSync('bash', ['--norc'], {
    input: lines.join('\n'),
    encoding: 'utf8',
    env: { PATH: `${folder}:${process.env['PATH'] ?? ''}` },
    cwd: folder,
  });
  assert.equal(status, 0, stderr);
  assert.equal(stderr, '');
  return stdout.split('\n').filter((line) => line !== '');
}

describe('blkferry completion bash', () => {
  it('passes bash -n', async () => {
    const { status, stderr } = spawnSync('bash', ['-n'], {
      input: await script('bash'),
      encoding: 'utf8',
    });
    assert.equal(status, 0, stderr);
  });

  it('offers commands, and the commands below volume', async () => {
    assert.deepEqual(await offers('at'), ['attach']);
    assert.deepEqual(await offers('volume', ''), [
      'create',
      'list',
      'show',
      'resize',
      'delete',
      'help',
    ]);
    assert.deepEqual(await offers('volume', 're'), ['resize']);
    assert.ok(!(await offers('')).includes('complete-names'));
  });

  it('offers the options of the command', async () => {
    assert.deepEqual(await offers('attach', 'v1', '--re'), ['--read-only']);
    assert.deepEqual(await offers('volume', 'resize', '--all'), ['--allow-shrink']);
    assert.deepEqual(await offers('list', '--read'), []);
  });

  it('offers names of volumes and exports where they belong', async () => {
    assert.deepEqual(await offers('attach', ''), ['volumes-one', 'volumes-two']);
    assert.deepEqual(await offers('attach', '--node', 'a:1', 'volumes-t'), ['volumes-two']);
    assert.deepEqual(await offers('volume', 'delete', '--json', ''), [
      'volumes-one',
      'volumes-two',
    ]);
    assert.deepEqual(await offers('detach', 'exports-o'), ['exports-one']);
    assert.deepEqual(await offers('attach', 'v1', ''), []);
  });

  it('offers files and choices where they belong', async () => {
    assert.deepEqual(await offers('import', 'blk'), ['blkferry']);
    assert.deepEqual(await offers('import', 'a', 'volumes-o'), ['volumes-one']);
    assert.deepEqual(await offers('export', 'v1', 'blk'), ['blkferry']);
    assert.deepEqual(await offers('completion', ''), ['bash', 'zsh', 'fish']);
    assert.deepEqual(await offers('import', '--verify', 'f'), ['full']);
    assert.deepEqual(await offers('list', '--admin-socket', 'blk'), ['blkferry']);
    assert.deepEqual(await offers('volume', 'create', ''), []);
  });
});

describe('blkferry completion zsh and fish', () => {
  for (const [shell, check] of [
    ['zsh', ['-n']],
    ['fish', ['--no-execute']],
  ] as const) {
    it(`is accepted by ${shell}`, async (t) => {
      const text = await script(shell);
      assert.match(text, /blkferry/);
      const { error, status, stderr } = spawnSync(shell, check, { input: text, encoding: 'utf8' });
      if (error !== undefined) {
        t.skip(`${shell} is not installed`);
        return;
      }
      assert.equal(status, 0, stderr);
    });
  }

  it('has every command in the fish script', async () => {
    const text = await script('fish');
    for (const command of ['attach', 'volume', 'create', 'import', 'completion']) {
      assert.match(text, new RegExp(` -a ${command} -d '`));
    }
    assert.match(text, /-n '__blkferry_at "volume resize"' -l allow-shrink -d '/);
  });

  it('refuses another shell and names those it knows', async () => {
    const { exitCode, stderr } = await new FakeSurroundings().run('completion tcsh');
    assert.equal(exitCode, 2);
    assert.match(stderr, /Allowed choices are bash, zsh, fish/);
  });
});

describe('blkferry complete-names', () => {
  it('prints names, one a line, and does not wait long', async () => {
    const world = new FakeSurroundings();
    world.node.add('v1', MiB);
    world.node.add('v2', MiB);
    assert.equal((await world.run('complete-names volumes')).stdout, 'v1\nv2\n');
    assert.equal(world.nodeOptions[0]?.timeoutMs, 2000);
    const other = new FakeSurroundings();
    other.daemon.attachments = [attachment()];
    assert.equal((await other.run('complete-names exports')).stdout, 'v1\n');
  });

  it('prints nothing on stdout when nobody answers', async () => {
    const world = new FakeSurroundings();
    world.node.away = new StorageError('unavailable', 'gone');
    const { exitCode, stdout } = await world.run('complete-names volumes');
    assert.equal(exitCode, 5);
    assert.equal(stdout, '');
  });
});
