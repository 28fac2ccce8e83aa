/** Which way a connection is served: by what TLS agreed on, by the mark in plain text, and by grpc-js where neither is there. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import net from 'node:net';
import tls from 'node:tls';
import { after, describe, it } from 'node:test';
import { Server, ServerCredentials } from '@grpc/grpc-js';
import { readRequest } from '#daemon/block/block-request.js';
import { serverOptions } from '#daemon/rpc/channel-options.js';
import { areLarge, type WindowSizes } from '#daemon/rpc/http2-window.js';
import { ServedSession, type ServedCall } from '#daemon/rpc/served-session.js';
import { listen } from '#daemon/rpc/server-listener.js';
import { STORAGE_SERVICE } from '#daemon/rpc/service-definition.js';
import { SessionCall } from '#daemon/rpc/session-call.js';
import { sessionTarget } from '#daemon/rpc/session-dial.js';
import type { CallEnd } from '#daemon/rpc/session-headers.js';
import { TlsMaterial, type TlsFiles } from '#daemon/security/tls-material.js';
import type { NodeFrame } from '#daemon/rpc/storage-messages.js';
import { TestAuthority } from '#test/support/certificates.js';
import { EchoSession, OPEN } from '#test/support/echo-session.js';
import { requestFrame } from '#test/support/frame-bytes.js';
import { Http2Session } from '#test/support/http2-session.js';
import { pattern } from '#test/support/nbd-bytes.js';
import { NodeWire } from '#test/support/node-wire.js';
import { ServedNode, until } from '#test/support/served-node.js';
import { temporaryFolder } from '#test/support/temporary-folder.js';

const SESSION_PROTOCOL = 'blkferry-session/1';
const MiB = 1024 * 1024;

function protection(files?: TlsFiles): { tls: TlsMaterial | undefined; insecure: boolean } {
  const material = files === undefined ? undefined : TlsMaterial.load(files, Date.now());
  return { tls: material, insecure: false };
}

/** Opens a session, reads 1 MiB, and gives it up. @returns how it ended, if it was not opened */
async function readOver(address: string, files?: TlsFiles): Promise<string> {
  const target = sessionTarget({ address, ...protection(files) }, 'node');
  const call = new SessionCall(target);
  let read = Buffer.alloc(0);
  let ended: string | undefined;
  call.on('data', (frame: NodeFrame) => {
    if (frame.kind === 'replies') read = Buffer.concat(frame.results[0]!.payload);
    else call.write(requestFrame([readRequest(5, MiB)]));
  });
  call.on('error', ({ details }: CallEnd) => (ended = details));
  call.write(OPEN);
  await until(() => read.length > 0 || ended !== undefined);
  call.cancel();
  if (ended !== undefined) return ended;
  assert.ok(read.equals(pattern(MiB, 5)));
  return 'read';
}

describe('a session over TLS', () => {
  const folder = temporaryFolder();
  const authority = new TestAuthority(folder);
  const good = authority.issue();

  /** Our listener, and which way each session came. */
  async function node(): Promise<{ address: string; ways: string[]; windows: WindowSizes[] }> {
    const ways: string[] = [];
    const windows: WindowSizes[] = [];
    const serve = (call: ServedCall): void => {
      ways.push(call instanceof ServedSession ? 'ours' : 'grpc-js');
      new EchoSession(call);
    };
    const server = new Server(serverOptions());
    server.addService(STORAGE_SERVICE, { OpenSession: serve });
    const listener = await listen(server, {
      address: '127.0.0.1:0',
      ...protection(good),
      onWindows: (sizes) => windows.push(sizes),
      onSession: serve,
    });
    after(() => {
      listener.stopAccepting();
      listener.cutSessions();
      server.forceShutdown();
    });
    return { address: listener.address, ways, windows };
  }

  async function secured(address: string, protocols: string[]): Promise<tls.TLSSocket> {
    const socket = tls.connect({
      ...TlsMaterial.load(good, Date.now()).current.contextOptions,
      host: '127.0.0.1',
      port: Number(address.split(':').at(-1)),
      ALPNProtocols: protocols,
    });
    await new Promise((resolve, reject) => {
      socket.once('secureConnect', resolve);
      socket.once('error', reject);
    });
    return socket;
  }

  it('is served by us between ends of ours, with windows of 8 MiB', async () => {
    const { address, ways, windows } = await node();
    assert.equal(await readOver(address, good), 'read');
    assert.deepEqual(ways, ['ours']);
    assert.equal(windows.length, 1);
    assert.ok(windows.every(areLarge), JSON.stringify(windows));
  });

  it('goes over h2 to a server that knows nothing else', async () => {
    const server = new Server();
    const ways: boolean[] = [];
    server.addService(STORAGE_SERVICE, {
      OpenSession: (call: ServedCall) => {
        ways.push(call instanceof ServedSession);
        new EchoSession(call);
      },
    });
    const read = (file: string): Buffer => fs.readFileSync(file);
    const credentials = ServerCredentials.createSsl(
      read(good.ca),
      [{ private_key: read(good.key), cert_chain: read(good.certificate) }],
      true,
    );
    const port = await new Promise<number>((resolve, reject) => {
      server.bindAsync('127.0.0.1:0', credentials, (error, taken) => {
        if (error === null) resolve(taken);
        else reject(error);
      });
    });
    after(() => {
      server.forceShutdown();
    });
    assert.equal(await readOver(`127.0.0.1:${port}`, good), 'read');
    assert.deepEqual(ways, [false]);
  });

  it('is served by what TLS agreed on: grpc-js for h2, us for the session’s protocol', async () => {
    const { address, ways } = await node();
    const cases: [string[], string, string][] = [
      [['h2'], 'h2', 'grpc-js'],
      [[SESSION_PROTOCOL], SESSION_PROTOCOL, 'ours'],
      [['h2', SESSION_PROTOCOL], SESSION_PROTOCOL, 'ours'],
    ];
    for (const [offered, agreed, way] of cases) {
      const socket = await secured(address, offered);
      assert.equal(socket.alpnProtocol, agreed);
      const client = new Http2Session(socket, { settings: {} });
      client.send(OPEN);
      assert.deepEqual(await client.next(), { kind: 'pong', number: 0 });
      assert.equal(ways.at(-1), way);
      client.session.destroy();
    }
    // The mark of plain text means nothing here.
    const marked = new Http2Session(await secured(address, ['h2']));
    marked.send(OPEN);
    await marked.next();
    assert.equal(ways.at(-1), 'grpc-js');
  });

  it('is not reached without a certificate', async () => {
    const { address, ways } = await node();
    const stranger = new TestAuthority(folder, 'another authority').issue();
    const ended = await readOver(address, { ...stranger, ca: good.ca });
    assert.match(ended, /certificate/);
    assert.deepEqual(ways, []);
  });
});

describe('a node on a unix socket', () => {
  /** How the node serves connections of sessions: only ours takes a single stream. */
  const STREAMS = { ours: 1, other: 256 };

  function dial(node: ServedNode): net.Socket {
    return net.connect(node.node.address.slice('unix:'.length));
  }

  it('serves Node’s HTTP/2 with the mark by itself, and without it by grpc-js', async () => {
    const node = await ServedNode.start();
    for (const [settings, streams] of [
      [{ customSettings: { 0xfb1f: 1 } }, STREAMS.ours],
      [{}, STREAMS.other],
    ] as const) {
      const client = new Http2Session(dial(node), { settings });
      client.send(OPEN);
      const opened = await client.next();
      assert.equal(opened.kind, 'opened');
      const { maxConcurrentStreams } = client.session.remoteSettings;
      assert.equal(maxConcurrentStreams === STREAMS.ours, streams === STREAMS.ours);
      client.send(requestFrame([readRequest(0, 512)]));
      const replies = await client.next();
      assert.ok(replies.kind === 'replies');
      assert.deepEqual(replies.results[0]?.payload, [Buffer.alloc(512)]);
      client.stream.end();
      assert.match((await client.ended()).join(), /^:status=200,grpc-status=0/);
      client.session.close();
    }
    await node.stop();
  });

  it('tells both kinds of clients the same when it refuses them', async () => {
    const node = await ServedNode.start();
    const said: string[][] = [];
    for (const settings of [{ customSettings: { 0xfb1f: 1 } }, {}]) {
      const client = new Http2Session(dial(node), { settings });
      client.send({ ...OPEN, volumeId: 'id-größer' });
      said.push((await client.ended()).map((one) => one.replace(' :status=200', '')));
      client.session.destroy();
    }
    // Both in the coding of gRPC, of which grpc-js codes more than it must.
    for (const one of said)
      assert.equal(
        decodeURIComponent(one.at(-1) ?? ''),
        'grpc-status=5 grpc-message=no volume has the id id-größer',
      );
    await node.stop();
  });

  it('serves a stock grpc-js client, which knows no mark', async () => {
    const node = await ServedNode.start();
    const wire = new NodeWire(node.node.address);
    const session = wire.open({});
    const opened = await session.next();
    assert.equal(opened.kind, 'opened');
    session.request(1, readRequest(0, 4096));
    const answers = await session.answers(1);
    assert.equal(Buffer.concat(answers.get(1)!.payload).length, 4096);
    session.halfClose();
    assert.equal((await session.ended).code, 'OK');
    wire.close();
    await node.stop();
  });

  it('serves our client, also when its path has to be found behind a silent one', async () => {
    const node = await ServedNode.start();
    const silent = dial(node);
    await new Promise((resolve) => silent.once('connect', resolve));
    const call = new SessionCall(
      sessionTarget({ address: node.node.address, insecure: false }, 'node'),
    );
    const kinds: string[] = [];
    call.on('data', ({ kind }: NodeFrame) => kinds.push(kind));
    call.write(OPEN);
    await until(() => kinds.length === 1);
    assert.deepEqual(kinds, ['opened']);
    call.cancel();
    silent.destroy();
    await until(() => node.logged.some((line) => line.startsWith('session_ended')));
    await node.stop();
  });
});
