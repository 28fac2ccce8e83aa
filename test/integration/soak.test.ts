/** scripts/soak as it is used: its options, and its end when somebody has had enough (soak-command.js). */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { runProgram } from '#test/support/program.js';
import { temporaryFolder } from '#test/support/temporary-folder.js';

const SOAK = fileURLToPath(new URL('../../../scripts/soak', import.meta.url));

describe('scripts/soak', () => {
  const folder = temporaryFolder();

  it('explains itself', async () => {
    const { status, stdout } = await runProgram(SOAK, ['--help']);
    assert.equal(status, 0);
    assert.match(stdout, /^usage: scripts\/soak \[options\]\n/);
    for (const line of stdout.split('\n')) assert.ok(line.length <= 80, line);
  });

  it('refuses what it does not understand, and starts nothing', async () => {
    const short = await runProgram(SOAK, ['--minutes', '1.9']);
    assert.equal(short.status, 2);
    assert.match(
      short.stderr,
      /^scripts\/soak: --minutes takes a number from 2 to 14400, not "1.9"/,
    );
    const unknown = await runProgram(SOAK, ['--hours', '2']);
    assert.equal(unknown.status, 2);
    assert.match(unknown.stderr, /'--hours'/);
  });

  it('ended early puts everything away, writes what it has, and does not call it good', async () => {
    const [results, work] = [path.join(folder, 'results'), path.join(folder, 'w')];
    mkdirSync(work);
    const child = spawn(SOAK, ['--minutes', '2', '--dir', results, '--json', '--seed', '7'], {
      env: { ...process.env, TMPDIR: work },
      stdio: ['ignore', 'pipe', 'pipe'],
      // Ctrl-C at a terminal reaches every process of the group.
      detached: true,
    });
    const closed = once(child, 'close');
    let [stdout, stderr] = ['', ''];
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
      if (/^\S+ min, daemon /.test(text)) process.kill(-child.pid!, 'SIGINT');
    });
    const [status] = (await closed) as [number];
    assert.equal(status, 1, stderr);
    const result = JSON.parse(stdout) as { isGood: boolean; failures: string[]; requests: number };
    assert.deepEqual(result.failures, []);
    assert.ok(!result.isGood && result.requests > 0);
    assert.deepEqual(readdirSync(work), []);
    const sample = readFileSync(path.join(results, 'samples.jsonl'), 'utf8').split('\n')[0]!;
    const { programs } = JSON.parse(sample) as { programs: Record<string, { pid: number }> };
    assert.deepEqual(Object.keys(programs), ['daemon-1', 'node-1', 'daemon-2', 'node-2']);
    for (const { pid } of Object.values(programs)) assert.ok(!existsSync(`/proc/${pid}`));
    assert.match(
      readFileSync(path.join(results, 'plot.svg'), 'utf8'),
      /^<svg [^>]+>\n[^]*<\/svg>\n$/,
    );
  });
});
