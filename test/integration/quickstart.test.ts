/**
 * scripts/quickstart as a new user runs it: from nothing to a volume under an NBD client, again, and off. The
 * data path is the business of other tests; here it matters that the commands of the README work.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';

const quickstart = fileURLToPath(new URL('../../../scripts/quickstart', import.meta.url));

function run(...words: string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(quickstart, words, { encoding: 'utf8', timeout: 120_000 });
}

describe('scripts/quickstart', () => {
  let parent: string;
  let directory: string;
  before(() => {
    parent = mkdtempSync(join(tmpdir(), 'blkferry-first-'));
    directory = join(parent, 'a folder');
  });
  after(() => {
    run('--dir', directory, '--stop');
    rmSync(parent, { recursive: true });
  });

  it('starts node and daemon, attaches a volume, and ends with its address', () => {
    const { status, stdout, stderr } = run('--dir', directory, '--size', '8M', '--no-install');
    assert.equal(status, 0, stderr);
    const socket = `${directory.replace('a folder', 'a%20folder')}/nbd.sock`;
    assert.equal(stdout.trimEnd().split('\n').pop(), `URI: nbd+unix:///demo?socket=${socket}`);
    assert.match(stdout, /volume demo created: 8 MiB/);
    assert.ok(existsSync(join(directory, 'nbd.sock')));
  });

  it('leaves alone what runs already, and does not write to the volume again', () => {
    const { status, stdout, stderr } = run('--dir', directory, '--no-install');
    assert.equal(status, 0, stderr);
    assert.match(stdout, /blkferry-node is running already\n.*blkferryd is running already\n/);
    assert.match(stdout, /volume demo is there already; it is not written to/);
    assert.doesNotMatch(stdout, /nbdcopy wrote/);
  });

  it('stops both, the daemon first, and does nothing when asked again', () => {
    assert.equal(
      run('--dir', directory, '--stop').stdout,
      'quickstart: blkferryd has stopped\nquickstart: blkferry-node has stopped\n',
    );
    const { status, stdout } = run('--dir', directory, '--stop');
    assert.equal(status, 0);
    assert.match(stdout, /blkferryd is not running\n.*blkferry-node is not running/);
  });

  it('refuses a folder whose path is too long for a socket, before making it', () => {
    const long = join(parent, 'x'.repeat(107));
    const { status, stderr } = run('--dir', long);
    assert.equal(status, 1);
    assert.match(stderr, /has \d+ bytes and a socket's path at most 107; choose a shorter --dir/);
    assert.equal(existsSync(long), false);
  });

  it('shows its usage when the folder is missing', () => {
    const { status, stderr } = run('--stop');
    assert.equal(status, 2);
    assert.match(stderr, /--dir is missing\nStarts a storage node/);
  });
});
