/** blkferry-node as a process, from the outside: how it begins, what it refuses, how it ends. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { beforeEach, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { SYSTEM_CLOCK } from '#daemon/runtime/clock.js';
import { createGrpcStorageClient } from '#daemon/transport/grpc-storage-client.js';
import type { StorageClient } from '#daemon/transport/storage-client.js';
import { CLIENT_PREFACE, FRAME, framesOf } from '#test/support/http2-frames.js';
import { RunningProgram, runProgram, type Finished } from '#test/support/program.js';
import { temporaryFolder } from '#test/support/temporary-folder.js';

const SCRIPT = fileURLToPath(
  new URL('../../../daemon/dist/program/blkferry-node.js', import.meta.url),
);

const root = temporaryFolder();
let folder = '';
let folders = 0;

beforeEach(() => {
  folders += 1;
  folder = path.join(root, String(folders));
  fs.mkdirSync(folder);
});

function start(
  listen: string,
  environment: Readonly<Record<string, string>> = {},
): Promise<{ program: RunningProgram; readyLine: string }> {
  return RunningProgram.start(
    process.execPath,
    [SCRIPT, '--data-directory', `${folder}/data`, '--listen', listen],
    { readyLine: /./, environment },
  );
}

/** Runs a node that must not begin. */
function refused(...args: readonly string[]): Promise<Finished> {
  return runProgram(process.execPath, [SCRIPT, '--data-directory', `${folder}/data`, ...args]);
}

function connect(address: string): StorageClient {
  return createGrpcStorageClient({
    address,
    callTimeoutMs: 10_000,
    sessionTimes: { openTimeoutMs: 5000, probeIntervalMs: 1000, probeTimeoutMs: 5000 },
    insecure: false,
    clock: SYSTEM_CLOCK,
  });
}

describe('blkferry-node, when it begins', () => {
  it('tells a connection how many calls it may have, and ends one that has none', async () => {
    const { program, readyLine } = await start('127.0.0.1:0', {
      BLKFERRY_CALLS_PER_CONNECTION_MAX: '17',
      BLKFERRY_CONNECTION_IDLE_TIMEOUT: '300ms',
    });
    const socket = net.connect(Number(/:(\d+) data/.exec(readyLine)?.[1]), '127.0.0.1');
    socket.write(CLIENT_PREFACE);
    const received: Buffer[] = [];
    socket.on('data', (piece: Buffer) => received.push(piece));
    await new Promise((resolve) => socket.once('close', resolve));
    const frames = framesOf(Buffer.concat(received));
    const settings = frames.find(
      ({ type, payload }) => type === FRAME.settings && payload.length > 0,
    );
    // SETTINGS_MAX_CONCURRENT_STREAMS (RFC 9113, 6.5.2).
    assert.ok(settings?.payload.includes(Buffer.from([0, 3, 0, 0, 0, 17])));
    assert.ok(frames.some(({ type }) => type === FRAME.goAway));
    assert.equal(await program.stop(), 0);
  });

  it('says in one line where it listens and where its data is', async () => {
    const { program, readyLine } = await start('127.0.0.1:0');
    const told = /^blkferry-node ready: (127\.0\.0\.1:\d+) data (.*)$/.exec(readyLine);
    assert.equal(told?.[2], `${folder}/data`);
    const client = connect(told[1]!);
    assert.deepEqual(await client.listVolumes(), []);
    client.close();
    assert.equal(fs.statSync(`${folder}/data`).mode & 0o077, 0);
    assert.equal(await program.stop(), 0);
  });

  it('listens on a unix socket for its owner alone, and leaves none when it ends', async () => {
    const socket = `${folder}/node.sock`;
    const { program, readyLine } = await start(`unix:${socket}`);
    assert.match(readyLine, /^blkferry-node ready: unix:.*node\.sock data /);
    assert.equal(fs.statSync(socket).mode & 0o077, 0);
    assert.equal(await program.stop(), 0);
    assert.ok(!fs.existsSync(socket));
  });

  it('has its volumes again after it was killed', async () => {
    const first = await start(`unix:${folder}/node.sock`);
    const client = connect(`unix:${folder}/node.sock`);
    await client.createVolume({ name: 'v1', sizeBytes: 8192, blockBytes: 0, backend: '' });
    await first.program.kill();
    const second = await start(`unix:${folder}/node.sock`);
    assert.deepEqual(
      (await client.listVolumes()).map(({ name }) => name),
      ['v1'],
    );
    client.close();
    assert.equal(await second.program.stop(), 0);
  });
});

describe('blkferry-node, when it cannot begin', () => {
  it('does not open itself to the network unless it is told to', async () => {
    const { status, stderr } = await refused('--listen', '0.0.0.0:0');
    assert.equal(status, 2);
    assert.match(
      stderr,
      /^blkferry-node: listen: 0\.0\.0\.0:0 is reachable from other machines .* set insecure = true/,
    );
    assert.ok(!fs.existsSync(`${folder}/data`), 'nothing was made');
  });

  it('says which address is in use', async () => {
    const other = net.createServer();
    await new Promise<void>((resolve) => {
      other.listen(0, '127.0.0.1', resolve);
    });
    const { port } = other.address() as net.AddressInfo;
    const { status, stderr } = await refused('--listen', `127.0.0.1:${port}`);
    other.close();
    assert.equal(status, 1);
    assert.match(
      stderr,
      /^blkferry-node: cannot listen at 127\.0\.0\.1:\d+: it is in use; stop wh/m,
    );
  });

  it('does not take a directory of damaged or newer format for an empty one', async () => {
    fs.mkdirSync(`${folder}/data`, { mode: 0o700 });
    for (const [text, sentence] of [
      ['{"format":1,', /node\.json is damaged; restore it from a backup, nothing was changed/],
      [
        '{"format":9,"nodeId":"n","createdUnixMs":1}',
        /node\.json has format 9, this version knows format 1; use the version that made it/,
      ],
    ] as const) {
      fs.writeFileSync(`${folder}/data/node.json`, text);
      const { status, stderr } = await refused('--listen', '127.0.0.1:0');
      assert.equal(status, 1);
      assert.match(stderr, sentence);
      assert.equal(fs.readFileSync(`${folder}/data/node.json`, 'utf8'), text);
    }
  });
});

describe('the programs', () => {
  it('print their version and their settings', async () => {
    const version = await refused('--version');
    assert.equal(version.status, 0);
    assert.match(version.stdout, /^\d+\.\d+\.\d+\n$/);
    const printed = await refused('--print-config');
    assert.equal(printed.status, 0);
    assert.match(printed.stdout, /^# lease_timeout = "1min"$/m);
    assert.match(printed.stdout, /^# Most bytes of one read or write: 32MiB\. What the NBD spec/m);
    const help = await refused('--help');
    assert.match(help.stdout, /--listen <address> +setting listen: host:port or unix:\/path/);
  });
});
