/**
 * scripts/lib.d/background.sh: a pid file is believed only while the process it names is the one it was
 * written for. Process ids are used again, and a wrong signal would hit somebody else's program.
 */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';

const libraryDirectory = fileURLToPath(new URL('../../../../scripts/lib.d', import.meta.url));

describe('scripts/lib.d/background.sh', () => {
  let directory: string;
  before(() => {
    directory = mkdtempSync(join(tmpdir(), 'blkferry-background-'));
  });
  after(() => {
    rmSync(directory, { recursive: true });
  });

  /** Runs lines of bash behind the library. */
  function bash(...lines: string[]): { status: number | null; stdout: string; stderr: string } {
    const script = [
      'set -euo pipefail',
      `root=${libraryDirectory} program=test`,
      `. ${libraryDirectory}/checkout.sh`,
      `. ${libraryDirectory}/background.sh`,
      `cd ${directory}`,
      ...lines,
    ].join('\n');
    return spawnSync('bash', ['-c', script], { encoding: 'utf8', timeout: 20_000 });
  }

  it('starts a program, believes its pid file, and stops it', () => {
    const program = "'echo sleeper ready: now; exec sleep 60'";
    const started = bash(`start_program sleeper . bash -c ${program}`, 'running_pid sleeper.pid');
    assert.equal(started.stderr, '');
    const pid = Number(started.stdout);
    assert.equal(readFileSync(join(directory, 'sleeper.out'), 'utf8'), 'sleeper ready: now\n');
    assert.ok(process.kill(pid, 0));
    assert.equal(bash('stop_program sleeper .').stdout, 'test: sleeper has stopped\n');
    assert.equal(bash(`start_time ${pid} || echo gone`).stdout, 'gone\n');
    assert.equal(existsSync(join(directory, 'sleeper.pid')), false);
  });

  it('stops nothing when nothing runs, and says so each time', () => {
    for (let round = 0; round < 2; round += 1) {
      const { status, stdout } = bash('stop_program nobody .');
      assert.deepEqual({ status, stdout }, { status: 0, stdout: 'test: nobody is not running\n' });
    }
  });

  it('sends no signal to a process that only has the same number', async () => {
    const stranger = spawn('sleep', ['60']);
    try {
      writeFileSync(join(directory, 'stranger.pid'), `${String(stranger.pid)} 1\n`);
      assert.equal(bash('stop_program stranger .').stdout, 'test: stranger is not running\n');
      assert.equal(stranger.exitCode, null);
      assert.equal(stranger.signalCode, null);
      assert.ok(stranger.kill(0));
    } finally {
      stranger.kill('SIGKILL');
      await once(stranger, 'exit');
    }
  });

  it('reads the start time of a process whose name has blanks and parentheses', () => {
    const { stdout } = bash(
      `cp "$(command -v sleep)" 'a) R (b'`,
      `'./a) R (b' 60 & pid=$!`,
      'while [ "$(cat /proc/$pid/comm)" != "a) R (b" ]; do sleep 0.01; done',
      'start_time $pid; kill $pid',
    );
    assert.match(stdout, /^\d+\n$/);
    assert.ok(Number(stdout) > 1000, stdout);
  });

  it('shows the end of the log of a program that ends before it is ready', () => {
    const result = bash(`start_program broken . bash -c 'echo no disk >&2; exit 3'`);
    assert.equal(result.status, 1);
    assert.match(result.stderr, /^no disk\ntest: broken ended before it was ready; its log is /);
  });
});
