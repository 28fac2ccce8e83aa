/** Who is let in at a gRPC server's address, over real sockets: each limit at its number and one above it. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { Client, Server, credentials, status } from '@grpc/grpc-js';
import { CLIENT_OPTIONS, serverOptions } from '#daemon/rpc/channel-options.js';
import { listen } from '#daemon/rpc/server-listener.js';
import { BACKGROUND_CLOCK } from '#daemon/runtime/clock.js';
import type { PlaceLimits } from '#daemon/runtime/connection-places.js';
import { RepeatedWarnings } from '#daemon/runtime/repeated-warnings.js';

let folder = '';
const undo: (() => void)[] = [];
before(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'blkferry-door-'));
});
after(() => {
  for (const one of undo.reverse()) one();
  fs.rmSync(folder, { recursive: true, force: true });
});

interface Door {
  readonly target: net.NetConnectOpts;
  readonly address: string;
  readonly refusals: string[];
}

async function doorAt(address: string, limits: Partial<PlaceLimits>): Promise<Door> {
  const server = new Server(serverOptions());
  const refusals: string[] = [];
  const listener = await listen(server, {
    address,
    insecure: false,
    places: { connectionsMax: 100, connectionsPerPeerMax: 100, handshakesMax: 100, ...limits },
    refusals: new RepeatedWarnings(
      { warn: (_fields, sentence) => refusals.push(sentence) },
      BACKGROUND_CLOCK,
    ),
    onWindows: () => undefined,
  });
  undo.push(() => {
    listener.stopAccepting();
    server.forceShutdown();
  });
  const [host, port] = listener.address.split(':');
  const target = address.startsWith('unix:')
    ? { path: address.slice('unix:'.length) }
    : { host: host ?? '', port: Number(port) };
  return { target, address: listener.address, refusals };
}

/** @returns a connection that only waits, and whether it was closed at the other end */
async function stranger({
  target,
}: Door): Promise<{ socket: net.Socket; isClosed: () => boolean }> {
  const socket = net.connect(target);
  undo.push(() => {
    socket.destroy();
  });
  let isClosed = false;
  socket.on('error', () => undefined);
  socket.on('close', () => {
    isClosed = true;
  });
  socket.resume();
  await new Promise((resolve) => socket.once('connect', resolve));
  return { socket, isClosed: () => isClosed };
}

/** @returns the status of a call that nobody knows: UNIMPLEMENTED, if somebody answers */
function call(address: string): Promise<{ code: number | undefined; client: Client }> {
  const client = new Client(address, credentials.createInsecure(), CLIENT_OPTIONS);
  undo.push(() => {
    client.close();
  });
  const nothing = (): Buffer => Buffer.alloc(0);
  return new Promise((resolve) => {
    const deadline = Date.now() + 5000;
    client.makeUnaryRequest('/no/call', nothing, nothing, {}, { deadline }, (error) => {
      resolve({ code: error?.code, client });
    });
  });
}

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise((resolve) => setImmediate(resolve));
}

describe('the door of a gRPC server', () => {
  it('lets in as many as there may be, and one more when one has gone', async () => {
    const door = await doorAt(`unix:${path.join(folder, 'all.sock')}`, { connectionsMax: 2 });
    const [first, second] = [await stranger(door), await stranger(door)];
    const third = await stranger(door);
    await until(third.isClosed);
    assert.deepEqual(door.refusals, [
      'client on this machine: refused: 2 clients are connected (connections_max)',
    ]);
    assert.deepEqual([first.isClosed(), second.isClosed()], [false, false]);
    first.socket.destroy();
    await until(first.isClosed);
    assert.equal((await call(door.address)).code, status.UNIMPLEMENTED);
  });

  it('lets in as many of one machine as there may be', async () => {
    const door = await doorAt('127.0.0.1:0', { connectionsPerPeerMax: 1 });
    const first = await stranger(door);
    const second = await stranger(door);
    await until(second.isClosed);
    assert.equal(first.isClosed(), false);
    assert.match(
      door.refusals[0] ?? '',
      /^client 127\.0\.0\.1: refused: 1 clients of this machine are connected \(connections_per_peer_max\)$/,
    );
  });

  it('closes the oldest of those that have made no call for a new one, and none that has', async () => {
    const door = await doorAt('127.0.0.1:0', { handshakesMax: 2 });
    const known = await call(door.address);
    const [first, second] = [await stranger(door), await stranger(door)];
    assert.equal(first.isClosed(), false);
    const third = await stranger(door);
    await until(first.isClosed);
    assert.deepEqual(door.refusals, [
      'client 127.0.0.1: it had not made a call when 2 others came that had not either (handshakes_max)',
    ]);
    assert.deepEqual([second.isClosed(), third.isClosed()], [false, false]);
    assert.equal(known.client.getChannel().getConnectivityState(false), 2, 'it is connected');
    assert.equal((await call(door.address)).code, status.UNIMPLEMENTED);
  });

  it('knows no strangers on a unix socket', async () => {
    const door = await doorAt(`unix:${path.join(folder, 'own.sock')}`, {
      handshakesMax: 1,
      connectionsPerPeerMax: 1,
    });
    const all = [await stranger(door), await stranger(door), await stranger(door)];
    assert.equal((await call(door.address)).code, status.UNIMPLEMENTED);
    assert.deepEqual(
      all.map(({ isClosed }) => isClosed()),
      [false, false, false],
    );
    assert.deepEqual(door.refusals, []);
  });
});
