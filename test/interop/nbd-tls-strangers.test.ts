/**
 * Goal: clients that begin TLS and go no further, or whose certificate is not believed, cost no more than their time
 * limit, a line in the log, and nobody else's service. Method: the daemon as a process; hand-made clients.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import tls from 'node:tls';
import { after, before, describe, it } from 'node:test';
import { RECORDS_PER_CLIENT_MAX } from '#daemon/runtime/log-allowance.js';
import type { TlsFiles } from '#daemon/security/tls-material.js';
import { BlkferryStack } from '#test/support/blkferry-stack.js';
import { TestAuthority } from '#test/support/certificates.js';
import { bytes, option, u32 } from '#test/support/nbd-bytes.js';
import { temporaryFolder } from '#test/support/temporary-folder.js';

const SIZE_BYTES = 1024 * 1024;
const TIMEOUT_MS = 60_000;
/** Fewer than the connections made here: one that is over must not be counted any more. */
const CONNECTIONS_MAX = 30;
const SILENT = 25;

const RULES = '[[rule]]\nclients = ["*"]\nexports = ["*"]\nright = "write"\n';

describe('NBD over TLS with strangers', { timeout: TIMEOUT_MS }, () => {
  const folder = temporaryFolder();
  const authority = new TestAuthority(folder);
  const stranger = new TestAuthority(folder, 'another authority').issue({ name: 'stranger' });
  const friend = authority.issue({ name: 'friend' });
  let stack: BlkferryStack;
  let port: number;

  before(async () => {
    const access = path.join(folder, 'exports.toml');
    fs.writeFileSync(access, RULES);
    stack = await BlkferryStack.start(folder, {
      tls: authority.issue(),
      daemon: {
        BLKFERRY_NBD_TCP: '127.0.0.1:0',
        BLKFERRY_NBD_ACCESS_FILE: access,
        BLKFERRY_NBD_HANDSHAKE_TIMEOUT: '5s',
        BLKFERRY_NBD_CONNECTIONS_MAX: String(CONNECTIONS_MAX),
      },
    });
    const { name } = await stack.newExport({ sizeBytes: SIZE_BYTES });
    const { uris } = await stack.admin.getAttachment(name);
    const uri = uris.find((one) => one.startsWith('nbds://')) ?? '';
    port = Number(new URL(uri.replace('nbds:', 'http:')).port);
  });
  after(() => stack.stop());

  /** STARTTLS is acknowledged, and nothing said yet. */
  async function startedTls(): Promise<net.Socket> {
    const socket = net.connect(port, '127.0.0.1');
    socket.on('error', () => undefined);
    await once(socket, 'data');
    socket.write(bytes(u32(3), option(5)));
    await once(socket, 'data');
    return socket;
  }

  /** Sends an option in the same breath in which its handshake ends. @returns the answer */
  async function answerTo(words: Buffer, { certificate, key }: TlsFiles): Promise<string> {
    const socket = tls.connect({
      socket: await startedTls(),
      cert: fs.readFileSync(certificate),
      key: fs.readFileSync(key),
      // Whom it speaks to is not what is tested here.
      rejectUnauthorized: false,
    });
    let received = '';
    socket.on('data', (chunk: Buffer) => {
      received += chunk.toString('latin1');
      socket.end();
    });
    socket.on('error', () => undefined);
    socket.write(words);
    await new Promise((resolve) => socket.once('close', resolve));
    return received;
  }

  /** Asks for the list of exports. */
  function listFor(files: TlsFiles): Promise<string> {
    return answerTo(option(3), files);
  }

  function timesLogged(sentence: string): number {
    return stack.daemon.stderr().split(`"reason":"${sentence}`).length - 1;
  }

  it('tell those nothing who ask before they are judged, and go on for others', async () => {
    for (let round = 0; round < 10; round += 1) assert.equal(await listFor(stranger), '');
    assert.match(await listFor(friend), /vol1/);
    assert.equal(timesLogged('the certificate of the client (CN=stranger)'), 1);
  });

  it('closes the connection of one that ends it in the midst of the handshake of TLS, at once', async () => {
    const socket = await startedTls();
    socket.end();
    socket.resume();
    await new Promise((resolve) => socket.once('close', resolve));
    assert.equal(timesLogged('no export was chosen within 5000 ms'), 0);
  });

  it('disconnects those who fall silent, with one line in the log, and serves others', async () => {
    const silent = await Promise.all(Array.from({ length: SILENT }, () => startedTls()));
    const closed = silent.map((socket) => {
      socket.resume();
      return new Promise((resolve) => socket.once('close', resolve));
    });
    assert.match(await listFor(friend), /vol1/);
    await Promise.all(closed);
    assert.match(await listFor(friend), /vol1/);
    assert.equal(timesLogged('no export was chosen within 5000 ms'), 1);
  });

  it('write only so many records by asking for ever new exports, and the log says how many more', async () => {
    const asked = RECORDS_PER_CLIENT_MAX + 4;
    for (let index = 0; index < asked; index += 1)
      assert.equal(await answerTo(option(1, `absent-${index}`), friend), '');
    const records = (): string[] =>
      stack.daemon
        .stderr()
        .split('\n')
        .filter((line) => line.includes("export 'absent-"));
    assert.equal(records().length, RECORDS_PER_CLIENT_MAX);
    await stack.daemon.stop();
    const told = /"of":"handshake_ended","client":"127.0.0.1","leftOutCount":(\d+)/.exec(
      stack.daemon.stderr(),
    );
    assert.equal(told?.[1], '4');
  });
});
