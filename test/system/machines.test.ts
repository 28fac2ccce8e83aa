/**
 * Runs the tests that need a kernel with nbd, and those that need Xen, each in one machine of the lab, and
 * passes on what they found. They can also be run directly where there is such a kernel; on this one they
 * skip, and say so.
 */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { runProgram } from '#test/support/program.js';
import { temporaryFolder } from '#test/support/temporary-folder.js';

const ROOT = fileURLToPath(new URL('../../../', import.meta.url));

/** The downloads, some 120 MB, and unpacking them. */
const FETCH_LIMIT_MS = 600_000;
/** The processor is emulated: a program of ours needs ten seconds to start. Quiet machines need a third of this. */
const MACHINE_LIMIT_SECONDS = 1500;
const MARGIN_MS = 60_000;

interface Report {
  readonly passed: number;
  readonly failures: readonly { readonly file: string; readonly test: string }[];
  readonly skips: readonly { readonly file: string; readonly reason: string }[];
}

describe('in a machine of the lab', () => {
  const folder = temporaryFolder();

  /** @returns why there can be no machine here, or undefined */
  async function missingLab(): Promise<string | undefined> {
    if (fs.existsSync('/run/lab/settings')) return 'this is a machine of the lab already';
    const { status, stderr } = await runProgram(path.join(ROOT, 'scripts/lab'), fetchWords, {
      timeoutMs: FETCH_LIMIT_MS,
    });
    const reason = stderr.trim().split('\n').at(-1) ?? '';
    return status === 0 ? undefined : `the lab cannot be had here: ${reason}`;
  }
  const fetchWords = ['fetch', '--if-missing'];

  async function passIn(machine: 'vm' | 'xen', files: string, passedMin: number): Promise<void> {
    const report = path.join(folder, `${machine}.json`);
    const tests = [
      ...['node', 'scripts/dev/run-tests.mjs', '--jobs', '1', '--verbose', '--report', report],
      ...['--timeout-seconds', String(MACHINE_LIMIT_SECONDS), '--only', files, 'system'],
    ];
    const modules = 'modprobe nbd nbds_max=0 max_part=0 && modprobe -a ext4 xfs';
    const words = [
      ...[machine, '--timeout', String(MACHINE_LIMIT_SECONDS), '--share', folder],
      ...['--udev', 'kmod/udev', '--', 'sh', '-c', `cd '${ROOT}' && ${modules} && exec "$@"`, 'sh'],
      ...tests,
    ];
    const finished = await runProgram(path.join(ROOT, 'scripts/lab'), words, {
      timeoutMs: MACHINE_LIMIT_SECONDS * 1000 + MARGIN_MS,
      environment: { BLKFERRY_TEST_PATIENCE: '6' },
    });
    const said = `${finished.stdout}${finished.stderr}`;
    assert.ok(fs.existsSync(report), said);
    const { passed, failures, skips } = JSON.parse(fs.readFileSync(report, 'utf8')) as Report;
    for (const [line] of said.matchAll(/^.*(longest pause|forced detach|time of).*$/gm)) {
      console.log(line.trim());
    }
    assert.deepEqual(failures, [], said);
    assert.deepEqual(skips, []);
    assert.ok(passed >= passedMin, `only ${passed} tests ran\n${said}`);
    console.log(`${passed} tests passed in ${machine === 'vm' ? 'a VM' : 'Dom0'}`);
  }

  it('the tests of kernel devices pass', async (t) => {
    const reason = await missingLab();
    if (reason === undefined) await passIn('vm', 'system/kernel/', 20);
    else t.skip(reason);
  });

  it('the tests of Xen pass', async (t) => {
    const reason = await missingLab();
    if (reason === undefined) await passIn('xen', 'system/xen', 8);
    else t.skip(reason);
  });
});
