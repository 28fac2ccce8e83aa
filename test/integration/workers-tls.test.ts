/**
 * Goal: at a node with several threads TLS, rules and limits count as they do with one, and refusals read the same.
 * Method: the same strangers at nodes with one and with two workers, in this process, over TCP.
 */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import net from 'node:net';
import { describe, it, type TestContext } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { readRequest } from '#daemon/block/block-request.js';
import { sessionProtocols } from '#daemon/rpc/session-mark.js';
import type { TlsFiles } from '#daemon/security/tls-material.js';
import { TestAuthority } from '#test/support/certificates.js';
import { opensslHello } from '#test/support/client-hello.js';
import { until } from '#test/support/served-node.js';
import { temporaryFolder } from '#test/support/temporary-folder.js';
import {
  HeldSession,
  WorkerNode,
  writtenVolume,
  type WorkerNodeWish,
} from '#test/support/worker-node.js';

const TIMEOUT_MS = 60_000;
const RULES =
  '[[rule]]\nclients = ["localhost"]\nvolumes = ["*"]\nrights = ["read", "write", "take-over", "administer"]\n';

const folder = temporaryFolder();
const authority = new TestAuthority(folder);
const files = authority.issue();
const nobody = authority.issue({ name: 'nobody', alternativeNames: 'DNS:nobody' });
const stranger = new TestAuthority(folder, 'another authority').issue();

async function started(t: TestContext, wish: WorkerNodeWish): Promise<WorkerNode> {
  const tls = { address: '127.0.0.1:0', tls: files, rules: RULES };
  const node = await WorkerNode.start(temporaryFolder(), { ...tls, ...wish });
  t.after(() => node.stop());
  return node;
}

/** With ports, ids and the like left out. */
function plain(text: string): string {
  return text.replace(/127\.0\.0\.1:\d+/g, 'PEER').replace(/[0-9a-f-]{36}/g, 'ID');
}

/** What this client is told when it opens a session, and what the node counts and logs. */
async function refusalOf(node: WorkerNode, client: TlsFiles): Promise<unknown> {
  const { volumeId } = await writtenVolume(node.client(files), 'v');
  const { service } = node.node;
  const session = new HeldSession(node.client(client), { volumeId, attachmentId: 'x' });
  const { kind, message } = await session.whenEnded();
  await until(() => service.refusals.counts.length > 0);
  const log = node.logged.filter((line) => /refused/.test(line));
  return { kind, message: plain(message), log: log.map(plain), counts: service.refusals.counts };
}

describe('who is refused by a node with two workers', { timeout: TIMEOUT_MS }, () => {
  for (const [who, client, event] of [
    ['a client without the right', nobody, 'access_refused'],
    ['a client of another authority', stranger, 'tls_refused'],
  ] as const) {
    it(`${who} hears and is counted as at a node with one`, async (t) => {
      const one = await refusalOf(await started(t, { workers: 1 }), client);
      const two = await refusalOf(await started(t, { workers: 2 }), client);
      assert.deepEqual(two, one);
      assert.deepEqual((two as { counts: unknown }).counts, [{ event, count: 1 }]);
    });
  }

  it('is closed when others come, if it shows no certificate, and is not waited for by the rest', async (t) => {
    const places = { connectionsMax: 100, connectionsPerPeerMax: 100, handshakesMax: 2 };
    const node = await started(t, { places });
    const { session, volumeId } = await writtenVolume(node.client(files), 'v');
    const hello = await opensslHello(sessionProtocols(7));
    const port = Number(node.node.address.split(':').at(-1));
    const strangers: { isClosed: boolean }[] = [];
    for (let count = 0; count < 4; count += 1) {
      const one = { isClosed: false };
      strangers.push(one);
      const socket = net.connect(port, '127.0.0.1');
      t.after(() => socket.destroy());
      socket.on('error', () => undefined);
      socket.on('close', () => (one.isClosed = true));
      socket.resume();
      socket.write(hello);
      await wait(50);
    }
    await until(() => strangers.filter(({ isClosed }) => isClosed).length === 2);
    assert.deepEqual(
      strangers.map(({ isClosed }) => isClosed),
      [true, true, false, false],
    );
    const refused = node.logged.filter((line) => line.startsWith('client_refused: '));
    assert.match(refused[0] ?? '', /it had not shown a certificate when 2 others came/);
    const reader = new HeldSession(node.client(files), { volumeId, attachmentId: 'r' });
    await reader.whenOpen();
    assert.equal((await session.send(readRequest(0, 512))).error, undefined);
  });
});

describe('certificates that are replaced', { timeout: TIMEOUT_MS }, () => {
  it('are those of new connections in workers, and open ones stay', async (t) => {
    const replaced = temporaryFolder();
    const inUse: TlsFiles = {
      ...files,
      certificate: `${replaced}/certificate.pem`,
      key: `${replaced}/key.pem`,
      ca: `${replaced}/ca.pem`,
    };
    const use = (issued: TlsFiles): void => {
      for (const name of ['certificate', 'key', 'ca'] as const) {
        fs.copyFileSync(issued[name], inUse[name]);
        fs.chmodSync(inUse[name], 0o600);
      }
    };
    use(files);
    const node = await started(t, { tls: inUse });
    const { session, volumeId } = await writtenVolume(node.client(files), 'v');
    use(stranger);
    node.material?.reload(Date.now());
    const former = new HeldSession(node.client(files), { volumeId, attachmentId: 'x' });
    assert.equal((await former.whenEnded()).kind, 'unavailable');
    const reader = new HeldSession(node.client(stranger), { volumeId, attachmentId: 'y' });
    await reader.whenOpen();
    assert.equal((await session.send(readRequest(0, 512))).error, undefined);
  });
});
