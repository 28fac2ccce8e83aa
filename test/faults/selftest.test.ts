/**
 * Goal: `blkferry selftest` proves on real programs what it says, also through a restart of the node, and
 * leaves nothing behind.
 */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { SelftestReport } from '#daemon/cli/selftest/selftest-report.js';
import { RunningProgram, runProgram, type Finished } from '#test/support/program.js';
import { temporaryFolder } from '#test/support/temporary-folder.js';
import { FaultStack } from './fault-stack.js';
import { SEED, waitFor } from './fault-table.js';

const COMMAND = fileURLToPath(new URL('../../../daemon/dist/program/blkferry.js', import.meta.url));

describe('blkferry selftest', () => {
  const folder = temporaryFolder();
  let stack: FaultStack;

  before(async () => {
    stack = await FaultStack.start(folder, 16 * 1024 * 1024);
  });
  after(() => stack.stop());

  function words(...more: readonly string[]): string[] {
    const where = ['--admin-socket', stack.daemon.adminSocket, '--node', stack.relay.address];
    const short = ['--size', '32M', '--duration', '2s', '--seed', String(SEED)];
    return [COMMAND, 'selftest', ...where, ...short, ...more];
  }

  function selftest(...more: readonly string[]): Promise<Finished> {
    return runProgram(process.execPath, words(...more));
  }

  it('proves promises on a volume of its own, which is gone afterwards', async () => {
    const { status, stdout, stderr } = await selftest();
    assert.equal(status, 0, stdout + stderr);
    assert.match(stdout, /^every promise was kept: volume selftest-[0-9a-f]{8} at unix:/);
    assert.match(stdout, /proved:\n {2}- reads saw every answered write/);
    assert.match(stdout, /not proved:\n {2}- that the node can be restarted/);
    const names = (await stack.storage.listVolumes()).map(({ name }) => name);
    assert.deepEqual(names, ['v1']);
  });

  it('goes through a restart of the node that it asks for', async () => {
    const { program } = await RunningProgram.start(
      process.execPath,
      words('--wait-for-restart', '30s', '--json'),
    );
    let stdout = '';
    program.child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
    });
    await waitFor(() => program.stderr().includes('restart the node'), 'a restart is asked for');
    await stack.node.kill();
    await stack.startNode();
    const status = await program.ended();
    const stderr = program.stderr();
    assert.equal(status, 0, stdout + stderr);
    assert.match(stderr, /restart the node unix:\S+ now, within 30 s/);
    const report = JSON.parse(stdout) as SelftestReport;
    assert.equal(report.problemCount, 0);
    assert(report.restart !== undefined && report.restart.pauseMs > 0);
    assert(report.lateWriteRefused && report.counters.reconnects >= report.cuts);
  });

  it('does not touch a volume that is attached, or that may not lose its data', async () => {
    const without = await selftest('v1');
    assert.equal(without.status, 2);
    assert.match(without.stderr, /would lose what it holds; say --destroy-data/);
    const used = await selftest('v1', '--destroy-data');
    assert.equal(used.status, 4);
    assert.match(used.stderr, /v1/);
    const { state } = await stack.daemon.admin.getAttachment('v1');
    assert.equal(state, 'active');
  });

  it('uses a volume with old content when it is told to', async () => {
    await stack.daemon.admin.detach({ exportName: 'v1', force: false });
    const { status, stdout, stderr } = await selftest(
      `v1@${stack.relay.address}`,
      '--destroy-data',
    );
    assert.equal(status, 0, stdout + stderr);
    assert.equal((await stack.storage.getVolume('v1')).holder, undefined);
  });
});
