/** Goal: `blkferry access check` tells what a file decides, with the rule, and an exit code for scripts. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { temporaryFolder } from '#test/support/temporary-folder.js';
import { FakeSurroundings, type Outcome } from './fake-surroundings.js';

const folder = temporaryFolder();
const node = path.join(folder, 'node.toml');
const daemon = path.join(folder, 'daemon.toml');
fs.writeFileSync(
  node,
  '[[rule]]\nname="hosts"\nclients=["dom0-*"]\nvolumes=["vm-*"]\nrights=["write"]\n',
);
fs.writeFileSync(daemon, '[[rule]]\nclients=["ops"]\nrole="operator"\n');

function check(words: string): Promise<Outcome> {
  return new FakeSurroundings().run(`access check ${words}`);
}

describe('blkferry access check', () => {
  it('tells each right on a volume, and the rule that decides', async () => {
    const { exitCode, stdout } = await check(`${node} dom0-a vm-1`);
    assert.equal(exitCode, 0);
    assert.equal(
      stdout,
      'RIGHT       ALLOWED  WHY\n' +
        'read        yes      rule 1 (hosts) gives write on vm-* to dom0-*\n' +
        'write       yes      rule 1 (hosts) gives write on vm-* to dom0-*\n' +
        'take-over   no       the rules for this client and volume give write, not\n' +
        '                     take-over\n' +
        'administer  no       the rules for this client and volume give write, not\n' +
        '                     administer\n',
    );
  });

  it('fails with exit code 4 and the reason when the right asked for is not there', async () => {
    assert.equal((await check(`${node} x,dom0-a vm-1 --right write`)).exitCode, 0);
    const { exitCode, stderr } = await check(`${node} backup vm-1 --right read`);
    assert.equal(exitCode, 4);
    assert.equal(stderr, 'blkferry: backup may not read volume vm-1: no rule names this client\n');
  });

  it('tells the role in a file of a daemon', async () => {
    assert.equal((await check(`${daemon} ops`)).stdout, 'operator: rule 1 gives operator to ops\n');
    assert.equal((await check(`${daemon} eve`)).stdout, 'no role: no rule names this client\n');
    assert.equal((await check(`${daemon} ops --role viewer`)).exitCode, 0);
    const { exitCode, stderr } = await check(`${daemon} ops --role admin`);
    assert.equal(exitCode, 4);
    assert.equal(
      stderr,
      'blkferry: ops has role operator, not admin: rule 1 gives operator to ops\n',
    );
  });

  it('prints one JSON document with --json', async () => {
    const { stdout } = await check(`${daemon} eve --json`);
    assert.deepEqual(JSON.parse(stdout), {
      client: ['eve'],
      role: null,
      reason: 'no rule names this client',
    });
  });

  it('says what is wrong with a file, also when it is of the other kind', async () => {
    const { exitCode, stderr } = await check(`${daemon} ops vm-1`);
    assert.equal(exitCode, 1);
    assert.match(stderr, /^blkferry: .*daemon\.toml: rule 1: volumes: .*; rule 1: rights: .*\n$/);
  });

  it('refuses options of the other kind of file', async () => {
    assert.equal((await check(`${daemon} ops --right read`)).exitCode, 2);
    assert.equal((await check(`${node} dom0-a vm-1 --role viewer`)).exitCode, 2);
    assert.equal((await check(`${node} , vm-1`)).exitCode, 2);
  });
});
