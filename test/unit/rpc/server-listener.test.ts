/**
 * Where a server listens, over real sockets: addresses, sockets that others left or still serve, plain text,
 * and the flow-control windows that large requests need.
 */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import http2 from 'node:http2';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import {
  Client,
  Server,
  ServerCredentials,
  credentials,
  status,
  type ChannelOptions,
} from '@grpc/grpc-js';
import {
  CLIENT_OPTIONS,
  FLOW_CONTROL_WINDOW_BYTES,
  serverOptions,
} from '#daemon/rpc/channel-options.js';
import { areLarge, createWideInjector, type WindowSizes } from '#daemon/rpc/http2-window.js';
import { listen, type ServerListener } from '#daemon/rpc/server-listener.js';
import { StorageError } from '#daemon/rpc/storage-error.js';
import { refusal } from '#test/support/storage-refusal.js';

let folder = '';
const undo: (() => void)[] = [];
before(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'blkferry-listen-'));
});
after(() => {
  for (const one of undo.reverse()) one();
  fs.rmSync(folder, { recursive: true, force: true });
});

interface Listening extends ServerListener {
  readonly server: Server;
  /** Of the connections so far. */
  readonly windows: WindowSizes[];
}

async function listenAt(address: string, insecure = false): Promise<Listening> {
  const server = new Server(serverOptions());
  undo.push(() => {
    server.forceShutdown();
  });
  const windows: WindowSizes[] = [];
  const onWindows = (one: WindowSizes): void => {
    windows.push(one);
  };
  const listener = await listen(server, { address, insecure, onWindows });
  undo.push(() => {
    listener.stopAccepting();
  });
  return { ...listener, server, windows };
}

/** Connects and makes a call that nobody knows; rejects if nobody answers it. */
function connect(address: string, options: ChannelOptions = CLIENT_OPTIONS): Promise<void> {
  const client = new Client(address, credentials.createInsecure(), options);
  undo.push(() => {
    client.close();
  });
  const nothing = (): Buffer => Buffer.alloc(0);
  return new Promise((resolve, reject) => {
    const deadline = Date.now() + 5000;
    client.makeUnaryRequest('/no/call', nothing, nothing, {}, { deadline }, (error) => {
      if (error?.code === status.UNIMPLEMENTED) resolve();
      else reject(error ?? new Error('answered'));
    });
  });
}

async function windowsAfter(listening: Listening, options?: ChannelOptions): Promise<WindowSizes> {
  await connect(listening.address, options);
  const [windows] = listening.windows;
  assert.ok(windows !== undefined);
  return windows;
}

describe('the flow-control windows', () => {
  it('of our server and our client are large in both directions, for streams and connection', async () => {
    for (const address of ['127.0.0.1:0', `unix:${path.join(folder, 'windows')}`]) {
      const windows = await windowsAfter(await listenAt(address));
      assert.deepEqual(windows, {
        receiveStreamBytes: FLOW_CONTROL_WINDOW_BYTES,
        receiveConnectionBytes: FLOW_CONTROL_WINDOW_BYTES,
        sendStreamBytes: FLOW_CONTROL_WINDOW_BYTES,
        sendConnectionBytes: FLOW_CONTROL_WINDOW_BYTES,
      });
      assert.ok(areLarge(windows));
    }
  });

  it('of a client without the option are seen to be small', async () => {
    const { 'grpc-node.flow_control_window': _window, ...small } = CLIENT_OPTIONS;
    const windows = await windowsAfter(await listenAt('127.0.0.1:0'), small);
    assert.equal(windows.receiveStreamBytes, FLOW_CONTROL_WINDOW_BYTES);
    assert.ok(!areLarge(windows));
  });

  it('are set without leaving anything changed in the http2 module', () => {
    const original = http2.createServer;
    const server = new Server(serverOptions());
    createWideInjector(server, ServerCredentials.createInsecure(), () => undefined);
    assert.equal(http2.createServer, original);
    server.forceShutdown();
    assert.throws(() =>
      createWideInjector(server, undefined as unknown as ServerCredentials, () => undefined),
    );
    assert.equal(http2.createServer, original);
  });
});

describe('listen', () => {
  it('takes a free port and says which', async () => {
    const { address } = await listenAt('127.0.0.1:0');
    assert.match(address, /^127\.0\.0\.1:[1-9]\d*$/);
    await connect(address);
  });

  it('understands an IPv6 address', async (t) => {
    const hasIpv6 = Object.values(os.networkInterfaces()).some((addresses) =>
      addresses?.some(({ address }) => address === '::1'),
    );
    if (!hasIpv6) {
      t.skip('this machine has no IPv6 loopback address');
      return;
    }
    const { address } = await listenAt('[::1]:0');
    assert.match(address, /^\[::1\]:[1-9]\d*$/);
    await connect(address);
  });

  it('refuses a port that is taken', async () => {
    const { address } = await listenAt('127.0.0.1:0');
    await assert.rejects(
      listenAt(address),
      refusal(
        'refused',
        /cannot listen at 127\.0\.0\.1:\d+: it is in use; stop what is there or choose another/,
      ),
    );
  });

  it('refuses what is not an address, and a host that is not this machine', async () => {
    await assert.rejects(listenAt('nowhere'), refusal('invalid', /write host:port/));
    await assert.rejects(
      listenAt('192.0.2.1:0', true),
      refusal('unavailable', /cannot listen at 192\.0\.2\.1:0/),
    );
  });

  it('refuses plain text beyond this machine, unless it is allowed', async () => {
    await assert.rejects(
      listenAt('0.0.0.0:0'),
      refusal('denied', /will not listen at 0\.0\.0\.0:0 in plain text.*insecure = true/),
    );
    await listenAt('0.0.0.0:0', true);
  });

  it('takes over a socket file that a dead process left behind, and no other', async () => {
    const left = path.join(folder, 'left');
    // A socket file whose listener is gone: closing would remove it, so it is moved away meanwhile.
    const dead = net.createServer();
    await new Promise<void>((resolve) => {
      dead.listen(left, resolve);
    });
    fs.renameSync(left, `${left}.aside`);
    await new Promise((resolve) => {
      dead.close(resolve);
    });
    fs.renameSync(`${left}.aside`, left);
    await connect((await listenAt(`unix:${left}`)).address);
    await assert.rejects(listenAt(`unix:${left}`), refusal('refused', /it is in use/));

    const file = path.join(folder, 'file');
    fs.writeFileSync(file, 'precious');
    await assert.rejects(listenAt(`unix:${file}`), StorageError);
    assert.equal(fs.readFileSync(file, 'utf8'), 'precious');
  });

  it('stops accepting, removes its socket file, and keeps the connections there are', async () => {
    const socket = path.join(folder, 'stopping');
    const listening = await listenAt(`unix:${socket}`);
    await windowsAfter(listening);
    listening.stopAccepting();
    listening.stopAccepting();
    assert.ok(!fs.existsSync(socket));
    await assert.rejects(
      new Promise((resolve, reject) => {
        net
          .connect(socket, () => {
            resolve(undefined);
          })
          .on('error', reject);
      }),
    );
    await new Promise<void>((resolve) => {
      listening.server.tryShutdown(() => {
        resolve();
      });
    });
  });
});
