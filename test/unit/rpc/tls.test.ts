/** TLS between a gRPC client and a server of ours, over real sockets: who gets in, with which windows and files. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import tls from 'node:tls';
import { after, describe, it } from 'node:test';
import { ChannelCredentials, Client, Server, status } from '@grpc/grpc-js';
import { serverOptions } from '#daemon/rpc/channel-options.js';
import { areLarge } from '#daemon/rpc/http2-window.js';
import type { PeerIdentity } from '#daemon/rpc/peer-identity.js';
import { listen } from '#daemon/rpc/server-listener.js';
import { TlsMaterial, type TlsFiles } from '#daemon/security/tls-material.js';
import { TestAuthority } from '#test/support/certificates.js';
import { until } from '#test/support/served-node.js';
import { temporaryFolder } from '#test/support/temporary-folder.js';
import {
  CALL_TIMEOUT_MS,
  WHO_AM_I,
  WhoServer,
  connected,
  raw,
  whoAmI,
} from '#test/support/who-server.js';

describe('TLS between our client and our server', () => {
  const folder = temporaryFolder();
  const authority = new TestAuthority(folder);
  const good = authority.issue();

  it('lets a client of the same authority in, and knows it by its names', async () => {
    const served = await WhoServer.at('127.0.0.1:0', good);
    const daemon = authority.issue({
      name: 'dom0-7',
      alternativeNames: 'DNS:dom0-7,URI:blkferry://daemon/dom0-7',
    });
    assert.equal(served.isTls, true);
    const identity = await whoAmI(served.address, daemon);
    assert.equal(identity.kind, 'certificate');
    assert.deepEqual(identity.kind === 'certificate' && [identity.names, identity.subject], [
      ['dom0-7', 'blkferry://daemon/dom0-7'],
      'CN=dom0-7',
    ]);
    assert.deepEqual(served.refusals, []);
  });

  it('has windows of 8 MiB in both directions', async () => {
    const served = await WhoServer.at('127.0.0.1:0', good);
    await whoAmI(served.address, good);
    assert.equal(served.windows.length, 1);
    assert.ok(served.windows.every(areLarge), JSON.stringify(served.windows));
  });

  it('is not used on a unix socket, where everybody is local', async () => {
    const served = await WhoServer.at(`unix:${folder}/s.sock`, good);
    assert.equal(served.isTls, false);
    assert.equal((await whoAmI(served.address, good)).kind, 'local');
  });

  it('accepts an address of IPv6 in the certificate', async () => {
    const served = await WhoServer.at('[::1]:0', good);
    assert.equal((await whoAmI(served.address, good)).kind, 'certificate');
  });

  it('speaks 1.2 only where it was asked for', async () => {
    const served = await WhoServer.at('127.0.0.1:0', good);
    const older = tls.connect({
      port: served.port,
      host: '127.0.0.1',
      maxVersion: 'TLSv1.2',
      minVersion: 'TLSv1.2',
      ca: fs.readFileSync(good.ca),
      cert: fs.readFileSync(good.certificate),
      key: fs.readFileSync(good.key),
      ALPNProtocols: ['h2'],
    });
    const error = await new Promise<NodeJS.ErrnoException>((resolve) =>
      older.once('error', resolve),
    );
    assert.equal(error.code, 'ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION');
    assert.match(
      served.refusals[0] ?? '',
      /^client \S+ wants a version of TLS that is not spoken here \(tls\.min_version\), or has only others$/,
    );
    const lenient = await WhoServer.at('127.0.0.1:0', { ...good, minVersion: '1.2' });
    assert.match(await sClient(lenient, ['-tls1_2', ...mine(good)]), /Protocol {2}: TLSv1\.2/);
    assert.deepEqual(lenient.refusals, []);
  });

  it('lets nobody in without a certificate, and not with a session resumed either', async () => {
    const served = await WhoServer.at('127.0.0.1:0', good);
    const session = path.join(folder, 'session.pem');
    await sClient(served, ['-sess_out', session]);
    assert.match(
      served.refusals[0] ?? '',
      /^client 127\.0\.0\.1:\d+ presented no certificate, and everybody must present one$/,
    );
    if (fs.existsSync(session)) {
      const again = await sClient(served, ['-sess_in', session]);
      assert.match(again, /^New, TLSv1\.3/m);
      assert.doesNotMatch(again, /^Reused/m);
    } else assert.match(await sClient(served, []), /^New, TLSv1\.3/m);
    // Once: what is the same is not logged again for a while.
    assert.equal(served.refusals.length, 1);
    assert.equal(served.windows.length, 0);
  });

  it('serves a stock gRPC client with a certificate, and closes on one without', async () => {
    const served = await WhoServer.at('127.0.0.1:0', good);
    const read = (file: string): Buffer => fs.readFileSync(file);
    const ask = (credentials: ChannelCredentials): Promise<string> => {
      const client = new Client(served.address, credentials);
      const deadline = Date.now() + CALL_TIMEOUT_MS;
      return new Promise((resolve) => {
        client.makeUnaryRequest(
          WHO_AM_I,
          raw,
          raw,
          Buffer.alloc(0),
          { deadline },
          (error, reply) => {
            client.close();
            resolve(error === null ? String(reply) : status[error.code]);
          },
        );
      });
    };
    const { ca, key, certificate } = good;
    const whole = ChannelCredentials.createSsl(read(ca), read(key), read(certificate));
    assert.equal((JSON.parse(await ask(whole)) as PeerIdentity).kind, 'certificate');
    assert.deepEqual(served.refusals, []);
    assert.equal(await ask(ChannelCredentials.createSsl(read(ca))), 'UNAVAILABLE');
    assert.match(served.refusals[0] ?? '', /presented no certificate, and everybody must present/);
  });

  it('lets clients in while strangers hold more connections than it waits for', async () => {
    const places = { connectionsMax: 1000, connectionsPerPeerMax: 1000, handshakesMax: 256 };
    const served = await WhoServer.at('127.0.0.1:0', good, Date.now(), places);
    let closed = 0;
    const strangers = Array.from({ length: places.handshakesMax + 50 }, () => {
      const socket = net.connect(served.port, '127.0.0.1');
      socket.on('error', () => undefined);
      socket.on('close', () => {
        closed += 1;
      });
      return socket;
    });
    await Promise.all(
      strangers.map((socket) => new Promise((resolve) => socket.once('connect', resolve))),
    );
    assert.equal((await whoAmI(served.address, good)).kind, 'certificate');
    await until(() => closed >= 50);
    assert.ok(closed <= 51, String(closed));
    assert.match(
      served.refusals[0] ?? '',
      /^client 127\.0\.0\.1: it had not shown a certificate when 256 others came that had not either \(handshakes_max\)$/,
    );
    // Whoever has shown its certificate does not count any more.
    const known = await connected(served.address, good);
    for (let index = 0; index < 60; index += 1) {
      strangers.push(net.connect(served.port, '127.0.0.1').on('error', () => undefined));
    }
    await until(() => closed >= 100);
    assert.equal(known.closed, false);
    known.destroy();
    for (const socket of strangers) socket.destroy();
  });

  it('uses new files for new connections, while the old connection lives on', async () => {
    const files = authority.issue({ name: 'before' });
    const served = new Server(serverOptions());
    const material = TlsMaterial.load(files, Date.now());
    const listener = await listen(served, {
      address: '127.0.0.1:0',
      insecure: false,
      tls: material,
      onWindows: () => undefined,
    });
    after(() => {
      listener.stopAccepting();
      served.forceShutdown();
    });
    const subject = (): Promise<string> => subjectAt(listener.address, good);
    const long = await connected(listener.address, good);
    assert.equal(await subject(), 'before');
    const next = authority.issue({ name: 'after' });
    fs.copyFileSync(next.certificate, files.certificate);
    fs.copyFileSync(next.key, files.key);
    material.reload(Date.now());
    assert.equal(await subject(), 'after');
    assert.equal(long.getPeerCertificate().subject.CN, 'before');
    assert.equal(long.closed, false);
    long.destroy();
  });
});

function mine({ certificate, key }: TlsFiles): string[] {
  return ['-cert', certificate, '-key', key];
}

/** Everything that openssl's own client says about a connection. */
function sClient(served: WhoServer, words: readonly string[]): Promise<string> {
  return new Promise((resolve) => {
    const where = ['s_client', '-connect', served.address, '-alpn', 'h2', '-ign_eof'];
    const child = execFile('openssl', [...where, ...words], (_error, stdout, stderr) => {
      resolve(stdout + stderr);
    });
    // A server that let it in waits for the preface of HTTP/2; this is none.
    child.stdin?.on('error', () => undefined);
    child.stdin?.end('Q\r\n\r\n'.repeat(8));
  });
}

async function subjectAt(address: string, files: TlsFiles): Promise<string> {
  const socket = await connected(address, files);
  const { CN } = socket.getPeerCertificate().subject;
  socket.destroy();
  return String(CN);
}
