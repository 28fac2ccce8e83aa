/** What one connection to a gRPC server may have: calls, headers, and time without a call; over real sockets. */
import assert from 'node:assert/strict';
import net from 'node:net';
import { afterEach, describe, it } from 'node:test';
import {
  Client,
  Metadata,
  Server,
  credentials,
  status,
  type ChannelOptions,
  type ClientDuplexStream,
  type ServerDuplexStream,
} from '@grpc/grpc-js';
import {
  CLIENT_OPTIONS,
  MESSAGE_BYTES_MAX,
  serverOptions,
  type CallLimits,
} from '#daemon/rpc/channel-options.js';
import { listen } from '#daemon/rpc/server-listener.js';
import {
  CLIENT_PREFACE,
  FLAG,
  FRAME,
  callHeaders,
  frame,
  framesOf,
  headerField,
} from '#test/support/http2-frames.js';

const same = (bytes: Buffer): Buffer => bytes;

/** Answers every message with itself, until the client ends. */
const ECHO = {
  path: '/test/Echo',
  requestStream: true,
  responseStream: true,
  requestSerialize: same,
  requestDeserialize: same,
  responseSerialize: same,
  responseDeserialize: same,
} as const;

const LIMITS: CallLimits = { callsPerConnectionMax: 2, idleTimeoutMs: Infinity };

const undo: (() => void)[] = [];
afterEach(() => {
  for (const one of undo.splice(0).reverse()) one();
});

async function serve(limits: CallLimits, more: ChannelOptions = {}): Promise<number> {
  const server = new Server({ ...serverOptions(limits), ...more });
  server.addService(
    { echo: ECHO },
    {
      echo: (call: ServerDuplexStream<Buffer, Buffer>) => {
        call.on('error', () => undefined);
        call.on('data', (bytes: Buffer) => call.write(bytes));
        call.on('end', () => {
          call.end();
        });
      },
    },
  );
  const listener = await listen(server, {
    address: '127.0.0.1:0',
    insecure: false,
    onWindows: () => undefined,
  });
  undo.push(() => {
    listener.stopAccepting();
    server.forceShutdown();
  });
  return Number(listener.address.split(':')[1]);
}

function clientOf(port: number, more: ChannelOptions = {}): Client {
  const options = { ...CLIENT_OPTIONS, ...more };
  const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure(), options);
  undo.push(() => {
    client.close();
  });
  return client;
}

type Echo = ClientDuplexStream<Buffer, Buffer>;

function echo(client: Client, metadata = new Metadata(), deadlineMs = Infinity): Echo {
  const deadline = Date.now() + deadlineMs;
  const call = client.makeBidiStreamRequest(ECHO.path, same, same, metadata, { deadline });
  undo.push(() => {
    call.cancel();
  });
  call.on('error', () => undefined);
  call.write(Buffer.from('x'));
  return call;
}

/** @returns OK as soon as it answers, or the status with which it ends before */
function outcome(call: Echo): Promise<status> {
  return new Promise((resolve) => {
    call.once('data', () => {
      resolve(status.OK);
    });
    call.once('status', ({ code }) => {
      resolve(code);
    });
  });
}

interface Peer {
  readonly socket: net.Socket;
  readonly received: () => Buffer;
  readonly isClosed: () => boolean;
}

async function rawPeer(port: number): Promise<Peer> {
  const socket = net.connect({ host: '127.0.0.1', port });
  undo.push(() => {
    socket.destroy();
  });
  let received = Buffer.alloc(0);
  let isClosed = false;
  socket.on('error', () => undefined);
  socket.on('data', (chunk) => {
    received = Buffer.concat([received, chunk]);
  });
  socket.on('close', () => {
    isClosed = true;
  });
  await new Promise((resolve) => socket.once('connect', resolve));
  socket.write(CLIENT_PREFACE);
  return { socket, received: () => received, isClosed: () => isClosed };
}

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise((resolve) => setImmediate(resolve));
}

function beginCall(streamId: number): Buffer {
  return frame(FRAME.headers, FLAG.endHeaders, streamId, callHeaders(ECHO.path));
}

/** Waits until the server has read all that the client sent: it has answered a ping. */
async function answered({ socket, received }: Peer, mark: number): Promise<void> {
  const payload = Buffer.alloc(8, mark);
  socket.write(frame(FRAME.ping, 0, 0, payload));
  await until(() =>
    framesOf(received()).some((one) => one.type === FRAME.ping && one.payload.equals(payload)),
  );
}

async function expectServed(call: Echo): Promise<void> {
  const next = new Promise((resolve) => call.once('data', resolve));
  call.write(Buffer.from('still there'));
  assert.equal(String(await next), 'still there');
}

describe('a connection to a gRPC server', () => {
  it(
    'has as many calls as it may, and the next when one has ended',
    { timeout: 30_000 },
    async () => {
      const client = clientOf(await serve(LIMITS));
      const [first, second] = [echo(client), echo(client)];
      assert.deepEqual(await Promise.all([first, second].map(outcome)), [status.OK, status.OK]);
      const early = echo(client, new Metadata(), 200);
      assert.equal(await outcome(early), status.DEADLINE_EXCEEDED);
      const third = echo(client);
      first.end();
      assert.equal(await outcome(third), status.OK);
    },
  );

  it('is lost to a client that does not wait, and no other is', { timeout: 30_000 }, async () => {
    const port = await serve(LIMITS);
    const call = echo(clientOf(port));
    assert.equal(await outcome(call), status.OK);
    const peer = await rawPeer(port);
    await until(() => framesOf(peer.received()).some(({ type }) => type === FRAME.settings));
    // The limit counts from the moment in which the client has acknowledged it.
    peer.socket.write(frame(FRAME.settings, FLAG.ack, 0, Buffer.alloc(0)));
    for (const streamId of [1, 3]) peer.socket.write(beginCall(streamId));
    await answered(peer, 0x42);
    assert.equal(peer.isClosed(), false);
    peer.socket.write(beginCall(5));
    await until(peer.isClosed);
    await expectServed(call);
  });

  it('is closed if its headers never end, before they are 1 MiB', { timeout: 30_000 }, async () => {
    const port = await serve(LIMITS);
    const client = clientOf(port);
    const call = echo(client);
    assert.equal(await outcome(call), status.OK);
    const peer = await rawPeer(port);
    peer.socket.write(frame(FRAME.headers, 0, 1, callHeaders(ECHO.path)));
    const piece = Buffer.concat(
      Array.from({ length: 8 }, (_, at) => headerField(`x-${at}`, 'y'.repeat(100))),
    );
    let sentBytes = 0;
    while (!peer.isClosed()) {
      const more = frame(FRAME.continuation, 0, 1, piece);
      sentBytes += more.length;
      assert.ok(sentBytes < 1024 * 1024, 'the server goes on reading');
      if (!peer.socket.writable) break;
      peer.socket.write(more);
      await new Promise((resolve) => setImmediate(resolve));
    }
    await until(peer.isClosed);
    await expectServed(call);
  });

  it(
    'is lost if the headers of a call are too long, and no other is',
    { timeout: 30_000 },
    async () => {
      // What is left of such a connection ends when its keepalive is not answered.
      const port = await serve(LIMITS, {
        'grpc.keepalive_time_ms': 500,
        'grpc.keepalive_timeout_ms': 500,
      });
      const call = echo(clientOf(port));
      assert.equal(await outcome(call), status.OK);
      const long = new Metadata();
      long.set('x-long', 'y'.repeat(200_000));
      assert.notEqual(await outcome(echo(clientOf(port), long)), status.OK);
      await expectServed(call);
    },
  );

  it(
    'carries the longest message; the call with a longer one ends',
    { timeout: 30_000 },
    async () => {
      const client = clientOf(await serve(LIMITS), { 'grpc.max_send_message_length': -1 });
      const call = echo(client);
      assert.equal(await outcome(call), status.OK);
      const next = new Promise<Buffer>((resolve) => call.once('data', resolve));
      call.write(Buffer.alloc(MESSAGE_BYTES_MAX));
      assert.equal((await next).length, MESSAGE_BYTES_MAX);
      const other = echo(client);
      assert.equal(await outcome(other), status.OK);
      const end = new Promise<status>((resolve) => {
        other.once('status', ({ code }) => {
          resolve(code);
        });
      });
      other.write(Buffer.alloc(MESSAGE_BYTES_MAX + 1));
      assert.equal(await end, status.RESOURCE_EXHAUSTED);
      await expectServed(call);
    },
  );

  it(
    'is closed when it had no call for long, and is there again with the next',
    { timeout: 30_000 },
    async () => {
      const port = await serve({ ...LIMITS, idleTimeoutMs: 300 });
      const client = clientOf(port);
      const call = echo(client);
      assert.equal(await outcome(call), status.OK);
      const silent = await rawPeer(port);
      await until(() => framesOf(silent.received()).some(({ type }) => type === FRAME.goAway));
      await until(silent.isClosed);
      // A call, even a silent one, keeps the connection.
      await expectServed(call);
      call.end();
      const CONNECTED = 2;
      await until(() => client.getChannel().getConnectivityState(false) !== CONNECTED);
      assert.equal(await outcome(echo(client)), status.OK);
    },
  );
});
