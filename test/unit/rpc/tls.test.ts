/**
 * TLS between a gRPC client and a server of ours, over real sockets: who gets in, with which windows, and
 * that each failure is told, at both ends, in words that name the certificate or the setting.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import tls from 'node:tls';
import { after, describe, it } from 'node:test';
import { ChannelCredentials, Client, Server, status, type ServiceError } from '@grpc/grpc-js';
import { CLIENT_OPTIONS, SERVER_OPTIONS } from '#daemon/rpc/channel-options.js';
import { clientCredentials } from '#daemon/rpc/credentials.js';
import { areLarge, type WindowSizes } from '#daemon/rpc/http2-window.js';
import { peerIdentity, type PeerIdentity } from '#daemon/rpc/peer-identity.js';
import { listen } from '#daemon/rpc/server-listener.js';
import { TlsMaterial, type TlsFiles } from '#daemon/security/tls-material.js';
import { explainCallError } from '#daemon/transport/call-error.js';
import { HANDSHAKES_MAX } from '#daemon/rpc/tls-acceptor.js';
import { until } from '#test/support/served-node.js';
import { TestAuthority } from '#test/support/certificates.js';
import { temporaryFolder } from '#test/support/temporary-folder.js';

const PATH = '/blkferry.Test/WhoAmI';
const CALL_TIMEOUT_MS = 20_000;

const raw = (bytes: Buffer): Buffer => bytes;

/** A server that answers one question: who asks? */
class Served {
  readonly windows: WindowSizes[] = [];
  readonly refusals: string[] = [];
  readonly server = new Server(SERVER_OPTIONS);
  address = '';
  isTls = false;

  static async at(
    address: string,
    files: TlsFiles | undefined,
    nowMs = Date.now(),
  ): Promise<Served> {
    const served = new Served();
    served.server.addService(
      {
        WhoAmI: {
          path: PATH,
          requestStream: false,
          responseStream: false,
          requestSerialize: raw,
          requestDeserialize: raw,
          responseSerialize: raw,
          responseDeserialize: raw,
        },
      },
      {
        WhoAmI: (
          call: Parameters<typeof peerIdentity>[0],
          reply: (error: null, bytes: Buffer) => void,
        ) => {
          reply(null, Buffer.from(JSON.stringify(peerIdentity(call, served))));
        },
      },
    );
    const listener = await listen(served.server, {
      address,
      insecure: false,
      tls: files === undefined ? undefined : TlsMaterial.load(files, nowMs),
      log: { warn: (_fields, sentence) => served.refusals.push(sentence) },
      onWindows: (windows) => served.windows.push(windows),
    });
    after(() => {
      listener.stopAccepting();
      served.server.forceShutdown();
    });
    served.address = listener.address;
    served.isTls = listener.isTls;
    return served;
  }

  get port(): number {
    return Number(this.address.split(':').at(-1));
  }
}

function whoAmI(
  address: string,
  files: TlsFiles | undefined,
  nowMs = Date.now(),
): Promise<PeerIdentity> {
  const material = files === undefined ? undefined : TlsMaterial.load(files, nowMs);
  const credentials = clientCredentials(address, { tls: material, insecure: false }, 'node');
  const client = new Client(address, credentials, CLIENT_OPTIONS);
  const deadline = Date.now() + CALL_TIMEOUT_MS;
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(PATH, raw, raw, Buffer.alloc(0), { deadline }, (error, reply) => {
      client.close();
      if (error === null) resolve(JSON.parse(String(reply)) as PeerIdentity);
      else reject(error);
    });
  });
}

/** What a command or an attachment says about it. */
async function refusal(call: Promise<PeerIdentity>, address: string): Promise<string> {
  const outcome: unknown = await call.then(
    (identity) => identity,
    (error: unknown) => error,
  );
  assert.equal((outcome as ServiceError).code, status.UNAVAILABLE, JSON.stringify(outcome));
  return explainCallError(outcome, 'node', address, 'is blkferry-node running?').message;
}

/** Yesterday's clock, to get a certificate that has expired meanwhile past the check at the start. */
const DAY_MS = 24 * 60 * 60 * 1000;

describe('TLS between our client and our server', () => {
  const folder = temporaryFolder();
  const authority = new TestAuthority(folder);
  const other = new TestAuthority(folder, 'other authority');
  const good = authority.issue();
  const trusting = (files: TlsFiles): TlsFiles => ({ ...files, ca: good.ca });

  it('lets a client of the same authority in, and knows it by its names', async () => {
    const served = await Served.at('127.0.0.1:0', good);
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
    const served = await Served.at('127.0.0.1:0', good);
    await whoAmI(served.address, good);
    assert.equal(served.windows.length, 1);
    assert.ok(served.windows.every(areLarge), JSON.stringify(served.windows));
  });

  it('is not used on a unix socket, where everybody is local', async () => {
    const served = await Served.at(`unix:${folder}/s.sock`, good);
    assert.equal(served.isTls, false);
    assert.equal((await whoAmI(served.address, good)).kind, 'local');
  });

  it('accepts an address of IPv6 in the certificate', async () => {
    const served = await Served.at('[::1]:0', good);
    assert.equal((await whoAmI(served.address, good)).kind, 'certificate');
  });

  it('tells a name that the certificate is not for', async () => {
    const elsewhere = authority.issue({ name: 'node-b', alternativeNames: 'DNS:node-b' });
    const served = await Served.at('127.0.0.1:0', elsewhere);
    assert.equal(
      await refusal(whoAmI(served.address, good), served.address),
      `the certificate of node ${served.address} (CN=node-b) is not for the address 127.0.0.1 but for DNS:node-b; ` +
        'use one of its names, or issue one with --host 127.0.0.1',
    );
  });

  it('tells a server whose certificate has expired since it started', async () => {
    const expired = authority.issue({ name: 'node-old', validFromDays: -3, validToDays: -1 });
    const served = await Served.at('127.0.0.1:0', expired, Date.now() - 2 * DAY_MS);
    assert.match(
      await refusal(whoAmI(served.address, good), served.address),
      /^the certificate of node 127\.0\.0\.1:\d+ \(CN=node-old\) has expired on \d{4}-\d\d-\d\d \d\d:\d\d UTC; issue a new one there$/,
    );
  });

  it('tells at both ends a client whose certificate has expired', async () => {
    const served = await Served.at('127.0.0.1:0', good);
    const expired = authority.issue({ name: 'dom0-old', validFromDays: -3, validToDays: -1 });
    assert.match(
      await refusal(whoAmI(served.address, expired, Date.now() - 2 * DAY_MS), served.address),
      /^node 127\.0\.0\.1:\d+ refuses this program's certificate \(CN=dom0-old\): it has expired on .* UTC; issue a new one$/,
    );
    assert.match(
      served.refusals[0] ?? '',
      /^the certificate of client 127\.0\.0\.1:\d+ \(CN=dom0-old\) has expired on .* UTC; issue a new one there$/,
    );
  });

  it('tells a server of another authority, and one that is its own', async () => {
    const strange = await Served.at('127.0.0.1:0', other.issue());
    assert.equal(
      await refusal(whoAmI(strange.address, good), strange.address),
      `the certificate of node ${strange.address} (CN=localhost) is of another authority (CN=other authority) than those in tls.ca`,
    );
    const alone = await Served.at('127.0.0.1:0', authority.selfSigned());
    assert.equal(
      await refusal(whoAmI(alone.address, good), alone.address),
      `the certificate of node ${alone.address} (CN=myself) is signed by nobody but itself; issue one by an authority of tls.ca`,
    );
  });

  it('tells at both ends a client of another authority, and one that is its own', async () => {
    const served = await Served.at('127.0.0.1:0', good);
    assert.equal(
      await refusal(whoAmI(served.address, trusting(other.issue())), served.address),
      `node ${served.address} refuses this program's certificate (CN=localhost), which is of CN=other authority; ` +
        'the log there says why (is its authority in tls.ca there?)',
    );
    assert.match(
      served.refusals[0] ?? '',
      /^the certificate of client 127\.0\.0\.1:\d+ \(CN=localhost\) is of another authority \(CN=other authority\) than those in tls\.ca$/,
    );
    await refusal(whoAmI(served.address, authority.selfSigned()), served.address);
    assert.match(
      served.refusals.at(-1) ?? '',
      /^the certificate of client \S+ \(CN=myself\) is signed by nobody but itself; issue one by an authority of tls\.ca$/,
    );
  });

  it('tells a certificate that was made for the other side', async () => {
    const client = authority.issue({ name: 'c', extendedKeyUsage: 'clientAuth' });
    const served = await Served.at('127.0.0.1:0', client);
    assert.equal(
      await refusal(whoAmI(served.address, good), served.address),
      `the certificate of node ${served.address} (CN=c) is not made for a server (extended key usage); issue one that is`,
    );
  });

  it('tells a server that speaks plain text', async () => {
    const served = await Served.at('127.0.0.1:0', undefined);
    assert.equal(
      await refusal(whoAmI(served.address, good), served.address),
      `node ${served.address} speaks plain text, and this program TLS; set tls.certificate, tls.key and tls.ca there too`,
    );
  });

  it('tells a client that speaks plain text', async () => {
    const served = await Served.at('127.0.0.1:0', good);
    assert.equal(
      await refusal(whoAmI(served.address, undefined), served.address),
      `no node answers at ${served.address}: the connection was lost; is blkferry-node running? ` +
        'If it speaks TLS, this program needs tls.certificate, tls.key and tls.ca too',
    );
    assert.match(served.refusals[0] ?? '', /^client \S+ speaks plain text where TLS is spoken$/);
  });

  it('speaks 1.2 only where it was asked for', async () => {
    const served = await Served.at('127.0.0.1:0', good);
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
    const lenient = await Served.at('127.0.0.1:0', { ...good, minVersion: '1.2' });
    assert.match(await sClient(lenient, ['-tls1_2', ...mine(good)]), /Protocol {2}: TLSv1\.2/);
    assert.deepEqual(lenient.refusals, []);
  });

  it('lets nobody in without a certificate, and not with a session resumed either', async () => {
    const served = await Served.at('127.0.0.1:0', good);
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
    const served = await Served.at('127.0.0.1:0', good);
    const read = (file: string): Buffer => fs.readFileSync(file);
    const ask = (credentials: ChannelCredentials): Promise<string> => {
      const client = new Client(served.address, credentials);
      const deadline = Date.now() + CALL_TIMEOUT_MS;
      return new Promise((resolve) => {
        client.makeUnaryRequest(PATH, raw, raw, Buffer.alloc(0), { deadline }, (error, reply) => {
          client.close();
          resolve(error === null ? String(reply) : status[error.code]);
        });
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
    const served = await Served.at('127.0.0.1:0', good);
    let closed = 0;
    const strangers = Array.from({ length: HANDSHAKES_MAX + 50 }, () => {
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
      /^more than 256 connections have not shown a certificate; the oldest, of 127\.0\.0\.1, was closed$/,
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

  it('waits no longer than its limit for a peer that says nothing', async () => {
    const silent = net.createServer(() => undefined).listen(0, '127.0.0.1');
    await new Promise((resolve) => silent.once('listening', resolve));
    after(() => silent.close());
    const address = `127.0.0.1:${(silent.address() as net.AddressInfo).port}`;
    assert.equal(
      await refusal(whoAmI(address, good), address),
      `node ${address} did not finish the TLS handshake within 5000 ms; does it speak TLS?`,
    );
  });

  it('uses new files for new connections, while the old connection lives on', async () => {
    const files = authority.issue({ name: 'before' });
    const served = new Server(SERVER_OPTIONS);
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
function sClient(served: Served, words: readonly string[]): Promise<string> {
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

function connected(address: string, files: TlsFiles): Promise<tls.TLSSocket> {
  const [host = '', port = ''] = address.split(':');
  const { contextOptions } = TlsMaterial.load(files, Date.now()).current;
  const socket = tls.connect({
    ...contextOptions,
    host,
    port: Number(port),
    ALPNProtocols: ['h2'],
  });
  return new Promise((resolve, reject) => {
    socket.once('error', reject);
    // The first bytes of the server: it has let us in.
    socket.once('data', () => {
      resolve(socket);
    });
  });
}

async function subjectAt(address: string, files: TlsFiles): Promise<string> {
  const socket = await connected(address, files);
  const { CN } = socket.getPeerCertificate().subject;
  socket.destroy();
  return String(CN);
}
