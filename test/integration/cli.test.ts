/**
 * Goal: the command `blkferry` against a real node and a real daemon, as processes: what the unit tests
 * play with fakes is true with gRPC, signals, pipes and files.
 */
import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, open, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { VolumeMessage } from '#daemon/rpc/storage-messages.js';
import { RunningProgram } from '#test/support/program.js';

const MiB = 1024 * 1024;
const PROGRAMS = fileURLToPath(new URL('../../../daemon/dist/program/', import.meta.url));

/** A look at the node takes about half a second: this is half a minute. */
const LOOKS_MAX = 60;

let folder = '';
let node: RunningProgram;
let daemon: RunningProgram;
let nodeAddress = '';

before(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'blkferry-cli-'));
  await startNode('127.0.0.1:0');
  daemon = await startDaemon();
});

after(async () => {
  await daemon.stop();
  await node.stop();
  await rm(folder, { recursive: true, force: true });
});

async function startNode(listen: string): Promise<void> {
  const { program, readyLine } = await RunningProgram.start(
    process.execPath,
    [`${PROGRAMS}blkferry-node.js`, '--data-directory', `${folder}/data`, '--listen', listen],
    { readyLine: /^blkferry-node ready: / },
  );
  node = program;
  nodeAddress = readyLine.split(' ')[2] ?? '';
}

async function startDaemon(): Promise<RunningProgram> {
  const settings = [
    ['--node', nodeAddress],
    ['--admin-socket', `${folder}/admin.sock`],
    ['--nbd-socket', `${folder}/nbd.sock`],
    ['--state-directory', `${folder}/state`],
    ['--runtime-directory', `${folder}/run`],
  ].flat();
  const { program } = await RunningProgram.start(
    process.execPath,
    [`${PROGRAMS}blkferryd.js`, ...settings],
    { readyLine: /^blkferryd ready: / },
  );
  return program;
}

interface Outcome {
  readonly exitCode: number | null;
  readonly stdout: Buffer;
  readonly stderr: string;
}

/** The command as a process that is still running. */
function start(words: readonly string[]): { child: ChildProcess; outcome: Promise<Outcome> } {
  const child = spawn(process.execPath, [`${PROGRAMS}blkferry.js`, ...words], {
    env: {
      ...process.env,
      BLKFERRY_NODE: nodeAddress,
      BLKFERRY_ADMIN_SOCKET: `${folder}/admin.sock`,
    },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  const stdout: Buffer[] = [];
  const stderr: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk));
  // A command that failed does not read what it is given.
  child.stdin.on('error', () => undefined);
  const outcome = once(child, 'close').then(([exitCode]) => ({
    exitCode: exitCode as number | null,
    stdout: Buffer.concat(stdout),
    stderr: Buffer.concat(stderr).toString('utf8'),
  }));
  return { child, outcome };
}

async function run(line: string, input?: Buffer): Promise<Outcome> {
  const { child, outcome } = start(line.split(' '));
  child.stdin?.end(input);
  return await outcome;
}

/** Runs a command that must succeed, with --json. */
async function json(line: string): Promise<unknown> {
  const { exitCode, stdout, stderr } = await run(`${line} --json`);
  assert.equal(exitCode, 0, stderr);
  return JSON.parse(stdout.toString('utf8'));
}

/** Starts an import of a pipe that does not end, and waits until its data is on the node. */
async function importUnderWay(volume: string): Promise<ReturnType<typeof start>> {
  const running = start(['import', '-', volume]);
  running.child.stdin?.write(randomBytes(4 * MiB));
  for (let look = 0; look < LOOKS_MAX; look += 1) {
    const { allocatedBytes } = (await json(`volume show ${volume}`)) as VolumeMessage;
    if (allocatedBytes >= 3 * MiB) return running;
  }
  running.child.kill('SIGKILL');
  throw new Error(`no data arrived:\n${(await running.outcome).stderr}`);
}

describe('the command blkferry with a real node', () => {
  it('makes, shows, resizes and deletes volumes', async () => {
    assert.equal((await run('volume create life 8MiB')).exitCode, 0);
    assert.equal((await run('volume create life 9MiB')).exitCode, 4, 'the name is taken');
    const shown = (await json('volume show life')) as VolumeMessage;
    assert.equal(shown.sizeBytes, 8 * MiB);
    assert.equal(shown.generation, 0);
    await run('volume resize life 16MiB');
    const { volumes } = (await json('volume list')) as { volumes: VolumeMessage[] };
    assert.equal(volumes.find(({ name }) => name === 'life')?.sizeBytes, 16 * MiB);
    assert.equal((await run('volume resize life 8MiB')).exitCode, 4, 'it would shrink');
    assert.equal((await run('volume delete life')).exitCode, 0);
    const gone = await run('volume show life');
    assert.equal(gone.exitCode, 3);
    assert.match(gone.stderr, /^blkferry: no volume life at 127\.0\.0\.1:\d+/);
  });

  it('brings a sparse file of an odd size there and back', async () => {
    const source = path.join(folder, 'source');
    const handle = await open(source, 'w');
    await handle.write(randomBytes(3 * MiB + 5), 0, undefined, 10 * MiB + 700);
    await handle.truncate(40 * MiB + 333);
    await handle.close();
    assert.equal((await run(`import ${source} odd --create`)).exitCode, 0);
    const target = path.join(folder, 'target');
    assert.equal((await run(`export odd ${target}`)).exitCode, 0);
    const content = await readFile(source);
    const copied = await readFile(target);
    assert.equal(copied.length, 40 * MiB + 4096);
    assert.deepEqual(copied.subarray(0, content.length), content);
    assert.ok(copied.subarray(content.length).every((byte) => byte === 0));
    assert.ok((await stat(target)).blocks * 512 < 8 * MiB, 'the copy is sparse');
    assert.ok(!(await readdir(folder)).includes('target.partial'));
  });

  it('replaces old content, also below zeroes, and takes it through a pipe', async () => {
    await run(`import - pipe --create --size 8MiB`, Buffer.alloc(8 * MiB, 0xee));
    const content = Buffer.concat([randomBytes(MiB), Buffer.alloc(3 * MiB), randomBytes(77)]);
    assert.equal((await run('import - pipe', content)).exitCode, 0);
    const { exitCode, stdout } = await run('export pipe -');
    assert.equal(exitCode, 0);
    assert.deepEqual(stdout, Buffer.concat([content, Buffer.alloc(8 * MiB - content.length)]));
  });

  it('gives the lease back at Ctrl-C', async () => {
    await run('volume create stopped 8MiB');
    const { child, outcome } = await importUnderWay('stopped');
    child.kill('SIGINT');
    const { exitCode, stderr } = await outcome;
    assert.equal(exitCode, 130);
    assert.match(stderr, /volume stopped is incomplete, run the import again: stopped by SIGINT/);
    const { holder } = (await json('volume show stopped')) as { holder: unknown };
    assert.equal(holder, null);
  });

  it('ends quietly when the reader of an export goes away', async () => {
    await run(`import - reader --create --size 32MiB`, randomBytes(32 * MiB));
    const { child, outcome } = start(['export', 'reader', '-']);
    child.stdout?.once('data', () => child.stdout?.destroy());
    const { exitCode, stderr } = await outcome;
    assert.equal(exitCode, 141);
    assert.doesNotMatch(stderr, /at .*\.js/);
  });

  it('says who does not answer', async () => {
    const noNode = await run('volume list --node 127.0.0.1:1');
    assert.equal(noNode.exitCode, 5);
    assert.equal(
      noNode.stderr,
      'blkferry: no node answers at 127.0.0.1:1: connection refused; is blkferry-node running?\n',
    );
    const noDaemon = await run(`list --admin-socket ${folder}/absent.sock`);
    assert.equal(noDaemon.exitCode, 5);
    assert.match(
      noDaemon.stderr,
      /no daemon answers at unix:.*absent\.sock: no such .*; is blkferryd running\? \(--admin-socket\)/,
    );
  });
});

describe('the command blkferry with a real daemon', () => {
  it('attaches, shows and detaches, and keeps others away meanwhile', async () => {
    await run('volume create held 8MiB');
    const attached = (await json('attach held --name disk')) as { attachment: { uris: string[] } };
    assert.deepEqual(attached.attachment.uris, [`nbd+unix:///disk?socket=${folder}/nbd.sock`]);
    assert.match((await run('list')).stdout.toString(), /^disk +held .* rw +active +-$/m);
    assert.match((await run('show disk')).stdout.toString(), /^state +active$/m);
    const status = await run('status');
    assert.equal(status.exitCode, 0, status.stdout.toString());
    assert.match(status.stdout.toString(), new RegExp(`^${nodeAddress} +up`, 'm'));

    const refused = await run('import /etc/hostname held');
    assert.equal(refused.exitCode, 4);
    assert.match(refused.stderr, /volume held is held by blkferryd/);
    assert.equal((await run('volume delete held')).exitCode, 4);
    const mixed = await run('export held -');
    assert.equal(mixed.exitCode, 0);
    assert.match(mixed.stderr, /volume held is being written by blkferryd/);

    assert.equal((await run('detach disk')).exitCode, 0);
    const again = await run('detach disk');
    assert.equal(again.exitCode, 0);
    assert.match(again.stdout.toString(), /^disk was not attached/);
    assert.equal((await run('volume delete held')).exitCode, 0);
  });

  it('names near volumes when there is none of the name', async () => {
    await run('volume create payroll 4096');
    const { exitCode, stderr } = await run('attach payrol');
    assert.equal(exitCode, 3);
    assert.match(stderr, /no volume payrol at .*; did you mean payroll\?/);
  });
});

describe('the command blkferry with a node that dies', () => {
  it('fails an import that was cut off, and succeeds when it is run again', async () => {
    await run('volume create cut 8MiB');
    const { child, outcome } = await importUnderWay('cut');
    await node.kill();
    const { exitCode, stdout, stderr } = await outcome;
    child.stdin?.end();
    assert.equal(exitCode, 5, stderr);
    assert.equal(stdout.length, 0);
    assert.match(stderr, /volume cut is incomplete, run the import again: /);

    await startNode(nodeAddress);
    const content = randomBytes(5 * MiB);
    const source = path.join(folder, 'again');
    await writeFile(source, content);
    const again = await run(`import ${source} cut --take-over`);
    assert.equal(again.exitCode, 0, again.stderr);
    const { stdout: copied } = await run('export cut -');
    assert.deepEqual(copied.subarray(0, content.length), content);
  });
});
