/** Goal: status shows everything there is to see, also when half of it is away, and tells monitoring. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { temporaryFolder } from '#test/support/temporary-folder.js';
import { StorageError } from '#daemon/rpc/storage-error.js';
import { attachment } from './fake-daemon.js';
import { FakeSurroundings, widthOf } from './fake-surroundings.js';

describe('blkferry status', () => {
  const folder = temporaryFolder();

  it('shows daemon, nodes and attachments at a glance in 80 columns and ends with 0', async () => {
    const world = new FakeSurroundings();
    world.daemon.attachments = [attachment()];
    const { exitCode, stdout } = await world.run('status --admin-socket /run/b/admin.sock');
    assert.equal(exitCode, 0);
    assert.match(
      stdout,
      /^daemon +blkferryd 0\.1\.0 on dom0, up 1 d 2 h, 85 MiB of memory\n +unix:\/run\/b\/admin\.sock\n/,
    );
    assert.match(stdout, /^127\.0\.0\.1:7600 +up +0 +1 +18 GiB of 100 GiB +1 d 2 h$/m);
    assert.match(stdout, /^v1 +v1 +127\.0\.0\.1:7600 +active +1 +64 KiB$/m);
    assert.ok(widthOf(stdout) <= 80, stdout);
  });

  it('says how many workers there are, and in which of them an attachment is', async () => {
    const world = new FakeSurroundings();
    world.daemon.workers = 3;
    world.daemon.attachments = [attachment({ worker: 2 })];
    const { stdout } = await world.run('status');
    assert.match(stdout, / 85 MiB of memory, 3 workers\n/);
    assert.match((await world.run('show v1')).stdout, /^worker +2$/m);
    const without = new FakeSurroundings();
    without.daemon.attachments = [attachment()];
    assert.doesNotMatch((await without.run('show v1')).stdout, /^worker/m);
  });

  it('asks every node once: the default one, those of the attachments, those named', async () => {
    const world = new FakeSurroundings();
    world.daemon.attachments = [
      attachment({ node: '127.0.1.1:7600' }),
      attachment({ exportName: 'v2', node: '127.0.1.1:7600' }),
    ];
    await world.run('status --node 127.0.1.2:7600 --node 127.0.1.3:7600');
    assert.deepEqual(
      world.nodeOptions.map(({ address }) => address),
      ['127.0.0.1:7600', '127.0.1.1:7600', '127.0.1.2:7600', '127.0.1.3:7600'],
    );
  });

  it("asks nodes with the daemon's certificate, unless another is given", async () => {
    const file = path.join(folder, 'blkferryd.toml');
    fs.writeFileSync(file, '[tls]\ncertificate = "/d/cert"\nkey = "/d/key"\nca = "/d/ca"\n');
    const shown = async (more: string, problem?: string): Promise<(string | undefined)[]> => {
      const world = new FakeSurroundings();
      world.machine.tlsFailure = problem;
      world.machine.exists = (found) => found === file;
      await world.run(`status ${more}`);
      return world.nodeOptions.map(({ tls }) => tls?.certificate);
    };
    assert.deepEqual(await shown(`--config ${file}`), ['/d/cert']);
    const own = '--tls-certificate /o/cert --tls-key /o/key --tls-ca /o/ca';
    assert.deepEqual(await shown(`--config ${file} ${own}`), ['/o/cert']);
    assert.deepEqual(await shown('--config /not/there'), [undefined]);
    assert.deepEqual(await shown(`--config ${file}`, 'the key may not be read'), [undefined]);
    assert.deepEqual(await shown(`--config ${file} --admin-address 10.0.0.9:7700`), []);
  });

  it('ends with 5 when a node is away, and still shows the rest', async () => {
    const world = new FakeSurroundings();
    world.node.away = new StorageError('unavailable', 'no node answers at 127.0.0.1:7600');
    world.daemon.attachments = [attachment({ state: 'holding', detail: 'waiting for the node' })];
    const { exitCode, stdout } = await world.run('status');
    assert.equal(exitCode, 5);
    assert.match(stdout, /^127\.0\.0\.1:7600 +away +- +- +- +-$/m);
    assert.match(stdout, /^no node answers at 127\.0\.0\.1:7600\nv1: waiting for the node$/m);
  });

  it('ends with 5 when the daemon is away, and still asks the node that is named', async () => {
    const world = new FakeSurroundings();
    world.daemon.away = new StorageError('unavailable', 'no daemon answers at unix:/x: gone');
    const { exitCode, stdout } = await world.run('status --node 127.0.1.2:7600');
    assert.equal(exitCode, 5);
    assert.match(stdout, /^daemon +no daemon answers at unix:\/x: gone$/m);
    assert.match(stdout, /^127\.0\.1\.2:7600 +up/m);
  });

  it('says who allows plain text beyond its machine, and whose certificate ends soon', async () => {
    const world = new FakeSurroundings();
    world.stdoutColumns = undefined;
    world.daemon.protection = { insecure: true, certificateValidToMs: 0 };
    const inThreeDaysMs = Date.now() + 3.5 * 24 * 60 * 60 * 1000;
    world.node.protection = { insecure: false, certificateValidToMs: inThreeDaysMs };
    const { stdout } = await world.run('status');
    assert.match(
      stdout,
      /^blkferryd allows plain text beyond its machine \(insecure = true\): whoever is on the network/m,
    );
    assert.match(
      stdout,
      /^the certificate of node 127\.0\.0\.1:7600 expires in 3 days, on .* UTC; replace its files/m,
    );
    world.stdoutChunks.length = 0;
    const document = JSON.parse((await world.run('status --json')).stdout) as {
      daemon: unknown;
      nodes: { node: unknown }[];
    };
    assert.ok((document.daemon as { insecure: boolean }).insecure);
    const node = document.nodes[0]?.node as { certificateValidToMs: number };
    assert.equal(node.certificateValidToMs, inThreeDaysMs);
  });

  it('says how many clients each program turned away, in the words of its log', async () => {
    const world = new FakeSurroundings();
    world.daemon.refusals = [{ event: 'client_failed', count: 3 }];
    world.node.refusals = [
      { event: 'access_refused', count: 1 },
      { event: 'tls_refused', count: 1200 },
    ];
    const { exitCode, stdout } = await world.run('status');
    assert.equal(exitCode, 0);
    assert.match(
      stdout,
      /^blkferryd turned clients away: client_failed 3\nnode 127\.0\.0\.1:7600 turned clients away: access_refused 1, tls_refused 1200$/m,
    );
    world.stdoutChunks.length = 0;
    const { daemon, nodes } = JSON.parse((await world.run('status --json')).stdout) as {
      daemon: { refusals: unknown };
      nodes: { node: { refusals: unknown } }[];
    };
    assert.deepEqual(daemon.refusals, world.daemon.refusals);
    assert.deepEqual(nodes[0]?.node.refusals, world.node.refusals);
  });

  it('says how the sessions of a node are spread over its workers', async () => {
    const world = new FakeSurroundings();
    world.node.workerSessions = [0, 1];
    assert.match((await world.run('status')).stdout, /^127\.0\.0\.1:7600 +up +\d+ +1 \(0, 1\) /m);
    world.stdoutChunks.length = 0;
    const { nodes } = JSON.parse((await world.run('status --json')).stdout) as {
      nodes: { node: { workerSessions: unknown } }[];
    };
    assert.deepEqual(nodes[0]?.node.workerSessions, world.node.workerSessions);
  });

  it('ends with 1 when an attachment needs attention', async () => {
    for (const state of ['failing', 'fenced'] as const) {
      const world = new FakeSurroundings();
      world.daemon.attachments = [attachment({ state })];
      assert.equal((await world.run('status')).exitCode, 1, state);
    }
  });

  it('prints all of it as one document with --json, the write verifier as hexadecimal text', async () => {
    const world = new FakeSurroundings();
    world.daemon.attachments = [attachment()];
    const { stdout } = await world.run('status --json');
    const report = JSON.parse(stdout) as {
      daemon: { version: string };
      error: unknown;
      attachments: unknown[];
      nodes: { address: string; node: { writeVerifier: string }; error: unknown }[];
    };
    assert.equal(report.daemon.version, '0.1.0');
    assert.equal(report.error, null);
    assert.equal(report.attachments.length, 1);
    assert.equal(report.nodes[0]?.node.writeVerifier, '0x000000000000abcd');
    assert.equal(report.nodes[0].error, null);
  });
});
