/**
 * blkferryd as a process, from the outside: how it begins, what it refuses, how it ends. Goal: whoever
 * starts it, a person or an init system, is told in one line what is wrong, and an ordered stop costs
 * its clients no error.
 */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { after, beforeEach, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { submitAsync } from '#daemon/block/block-device.js';
import { joined, readRequest, writeRequest } from '#daemon/block/block-request.js';
import { NbdClient } from '#test/support/nbd-client.js';
import { RunningProgram, runProgram, type Finished } from '#test/support/program.js';
import { ServicePair } from '#test/support/service-pair.js';
import { temporaryFolder } from '#test/support/temporary-folder.js';

const SCRIPT = fileURLToPath(new URL('../../../daemon/dist/program/blkferryd.js', import.meta.url));

const root = temporaryFolder();
let folder = '';
let folders = 0;

beforeEach(() => {
  folders += 1;
  folder = path.join(root, String(folders));
  fs.mkdirSync(folder);
});

/** All it needs to run apart from every other daemon. */
function places(): string[] {
  return [
    ...['--admin-socket', `${folder}/admin.sock`, '--nbd-socket', `${folder}/nbd.sock`],
    ...['--state-directory', `${folder}/state`, '--runtime-directory', `${folder}/run`],
  ];
}

async function start(
  args: readonly string[] = [],
  environment: Readonly<Record<string, string>> = {},
): Promise<{ program: RunningProgram; readyLine: string }> {
  return RunningProgram.start(process.execPath, [SCRIPT, ...places(), ...args], {
    readyLine: /./,
    environment,
  });
}

/** Runs a daemon that must not begin. */
function refused(args: readonly string[]): Promise<Finished> {
  return runProgram(process.execPath, [SCRIPT, ...args]);
}

describe('blkferryd, when it begins', () => {
  it('says in one line where it is reached, by sockets that are for its owner alone', async () => {
    const { program, readyLine } = await start(['--nbd-tcp', '127.0.0.1:0']);
    const port = /^blkferryd ready: nbd unix:(.*) (127\.0\.0\.1:\d+) admin unix:(.*)$/.exec(
      readyLine,
    );
    assert.equal(port?.[1], `${folder}/nbd.sock`);
    assert.equal(port[3], `${folder}/admin.sock`);
    for (const name of ['nbd.sock', 'admin.sock', 'state', 'run']) {
      assert.equal(fs.statSync(`${folder}/${name}`).mode & 0o077, 0, name);
    }
    assert.match(program.stderr(), /"event":"started".*"version":"\d+\.\d+\.\d+"/);
    assert.equal(await program.stop(), 0);
  });

  it('takes the place of one that was killed, and leaves no socket when it ends', async () => {
    const killed = await start();
    await killed.program.kill();
    assert.ok(fs.existsSync(`${folder}/nbd.sock`));
    const { program } = await start();
    assert.equal(await program.stop(), 0);
    assert.ok(!fs.existsSync(`${folder}/nbd.sock`));
    assert.ok(!fs.existsSync(`${folder}/admin.sock`));
  });

  it('warns of settings in the environment that are none', async () => {
    const { program } = await start([], { BLKFERRY_QUEUE_DEPHT: '1', BLKFERRY_LISTEN: 'x' });
    await program.stop();
    assert.match(program.stderr(), /BLKFERRY_QUEUE_DEPHT is no setting; did you mean BLKFERRY_QU/);
    assert.doesNotMatch(program.stderr(), /BLKFERRY_LISTEN/);
  });
});

describe('blkferryd, when it cannot begin', () => {
  it('tells everything that is wrong with its configuration by exit code 2, and touches nothing', async () => {
    const config = path.join(folder, 'blkferryd.toml');
    fs.writeFileSync(config, 'queue_dept = 3\n[log]\nlevel = "loud"\n');
    const { status, stdout, stderr } = await refused(['--config', config, ...places()]);
    assert.equal(status, 2);
    assert.equal(stdout, '');
    assert.equal(
      stderr,
      `blkferryd: queue_dept (${config}): there is no such setting; did you mean queue_depth?\n` +
        `blkferryd: log.level (${config}): "loud" is not one of trace, debug, info, warn, error\n`,
    );
    assert.deepEqual(fs.readdirSync(folder), ['blkferryd.toml']);
  });

  it('tells wrong usage by exit code 2', async () => {
    const unknown = await refused(['--nonsense']);
    assert.equal(unknown.status, 2);
    assert.match(unknown.stderr, /unknown option '--nonsense'/);
    const tooMany = await refused([...places(), 'v1']);
    assert.equal(tooMany.status, 2);
    assert.match(tooMany.stderr, /too many arguments/);
    const noFile = await refused(['--config', `${folder}/none.toml`]);
    assert.equal(noFile.status, 2);
    assert.match(noFile.stderr, /^blkferryd: .*none\.toml cannot be read: ENOENT/);
  });

  it('never removes a file in the place of its socket', async () => {
    const image = path.join(folder, 'nbd.sock');
    fs.writeFileSync(image, 'a disk image');
    const { status, stderr } = await refused(places());
    assert.equal(status, 1);
    assert.match(stderr, /nbd\.sock is there and is no socket; move it away, or choose another/);
    assert.equal(fs.readFileSync(image, 'utf8'), 'a disk image');
  });

  it('says which address is in use, and with which setting to choose another', async () => {
    const other = net.createServer();
    await new Promise<void>((resolve) => {
      other.listen(0, '127.0.0.1', resolve);
    });
    const { port } = other.address() as net.AddressInfo;
    const { status, stderr } = await refused([...places(), '--nbd-tcp', `127.0.0.1:${port}`]);
    other.close();
    assert.equal(status, 1);
    assert.match(stderr, /^blkferryd: NBD .*EADDRINUSE.*; choose another address with nbd\.tcp$/m);
  });

  it('does not guess what was attached: a damaged record stays as it is', async () => {
    fs.mkdirSync(`${folder}/state`, { mode: 0o700 });
    fs.writeFileSync(`${folder}/state/attachments.json`, '{"format":1,"atta');
    const { status, stderr } = await refused(places());
    assert.equal(status, 1);
    assert.match(stderr, /^blkferryd: .*attachments\.json cannot be used: .*Nothing was changed$/m);
    assert.equal(fs.readFileSync(`${folder}/state/attachments.json`, 'utf8'), '{"format":1,"atta');
  });

  it('says so in one line, also where the directory cannot be made', async () => {
    fs.writeFileSync(`${folder}/state`, '');
    const { status, stderr } = await refused(places());
    assert.equal(status, 1);
    assert.match(
      stderr,
      /state cannot be used: .*; choose another directory with --state-directory/,
    );
  });
});

describe('blkferryd --print-config', () => {
  it('prints a file that it accepts', async () => {
    const { status, stdout } = await refused(['--print-config']);
    assert.equal(status, 0);
    const config = path.join(folder, 'printed.toml');
    fs.writeFileSync(config, stdout);
    const { program } = await start(['--config', config]);
    assert.equal(await program.stop(), 0);
  });
});

describe('blkferryd with a node', () => {
  const pairFolder = path.join(root, 'pair');
  const pair = new ServicePair(pairFolder);
  const exported = { socketPath: pair.nbdSocket, exportName: 'v1' };
  const running: RunningProgram[] = [];
  beforeEach(() => {
    folder = pairFolder;
  });
  after(async () => {
    for (const program of running) await program.stop();
    await pair.stop();
  });

  async function startDaemon(): Promise<RunningProgram> {
    const { program } = await start(['--node', pair.nodeAddress], {
      BLKFERRY_SHUTDOWN_TIMEOUT: '1s',
    });
    running.push(program);
    return program;
  }

  it('has the exports of its last run ready when it lets the first client in', async () => {
    fs.mkdirSync(pairFolder);
    await pair.startNode();
    const first = await startDaemon();
    await pair.attachVolume('v1', 1024 * 1024);
    assert.equal(await first.stop(), 0);
    const second = await startDaemon();
    // At once: a client that came back and was told that its export does not exist might give up.
    const client = await NbdClient.connect(exported);
    assert.equal(client.facts.sizeBytes, 1024 * 1024);
    await client.close();
    assert.equal(await second.stop(), 0);
  });

  it('stopped while the node is away leaves requests unanswered and keeps answered writes', async () => {
    const daemon = await startDaemon();
    const client = await NbdClient.connect(exported);
    await submitAsync(client, writeRequest(0, Buffer.alloc(4096, 5)));
    pair.node.signal('SIGSTOP');
    // The connection's end is what the client hears, where a reply would carry the daemon's own sentence.
    const unanswered = assert.rejects(
      submitAsync(client, writeRequest(8192, Buffer.alloc(4096, 6))),
      /the connection is gone/,
    );
    assert.equal(await daemon.stop(), 0);
    await unanswered;
    assert.match(daemon.stderr(), /"event":"stopped_unflushed".*they are sent again at the next/);

    await pair.killNode();
    await pair.startNode();
    await startDaemon();
    const again = await NbdClient.connect(exported);
    const { payload } = await submitAsync(again, readRequest(0, 4096));
    assert.deepEqual(joined(payload), Buffer.alloc(4096, 5));
    await again.close();
  });
});
