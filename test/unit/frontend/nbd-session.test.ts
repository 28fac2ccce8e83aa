/**
 * A session whose client goes away while its requests wait for room. The same client may have asked them again on
 * another connection and written newer data since, as the kernel and qemu do: nothing of before may come after that.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { after, describe, it } from 'node:test';
import type { BlockCompletion, PacedBlockDevice } from '#daemon/block/block-device.js';
import { DONE, type BlockRequest } from '#daemon/block/block-request.js';
import { UNKNOWN_FACTS } from '#daemon/volume/volume-facts.js';
import { KernelSocket } from '#daemon/frontend/kernel-socket.js';
import type { NbdSessionOptions } from '#daemon/frontend/nbd-session-options.js';
import { NbdSession, PARTING_MS } from '#daemon/frontend/nbd-session.js';
import { isPeerGone } from '#daemon/frontend/peer-presence.js';
import { request, write } from '#test/support/nbd-bytes.js';
import { until } from '#test/support/served-node.js';
import { temporaryFolder } from '#test/support/temporary-folder.js';
import { socketPair } from 'blkferry-kernel';

const WRITES = 40;
const BLOCK = 4096;
const GOODBYE = request({ ...write(Buffer.alloc(0), 1n, 0n), command: 2 });
const root = temporaryFolder();

after(() => {
  fs.rmSync(root, { recursive: true, force: true });
});

/** Takes so many requests and answers each at once, the next ones when there is room again. */
class NarrowDevice implements PacedBlockDevice {
  readonly facts = UNKNOWN_FACTS;
  readonly fills: number[] = [];
  room = 1;
  readonly #waiting: (() => void)[] = [];

  submit<Request extends BlockRequest>(one: Request, complete: BlockCompletion<Request>): void {
    this.room -= 1;
    this.fills.push(one.payload[0]?.[0] ?? -1);
    complete(one, DONE);
  }

  hasRoom(): boolean {
    return this.room > 0;
  }

  whenRoom(callback: () => void): void {
    this.#waiting.push(callback);
  }

  makeRoom(): void {
    this.room = 1000;
    for (const wake of this.#waiting.splice(0)) wake();
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

/** Write i of them is filled with `from + i`. */
function writes(from: number): Buffer {
  return Buffer.concat(
    Array.from({ length: WRITES }, (_, index) =>
      request(write(Buffer.alloc(BLOCK, from + index), BigInt(index), BigInt(index * BLOCK))),
    ),
  );
}

/** Clients of one device over a socket of the kind: [the client's end, why the session dropped what waited]. */
async function connections(
  address: net.ListenOptions,
  device: PacedBlockDevice,
): Promise<{ connect: () => Promise<net.Socket>; dropped: string[]; close: () => void }> {
  const dropped: string[] = [];
  const server = net.createServer({ allowHalfOpen: true }, (socket) => {
    const session = new NbdSession({
      socket,
      device,
      agreed: { replyKind: 'simple', extendedHeaders: false, metaContexts: [] },
      payloadBytesMax: 1024 * 1024,
      hasOtherConnections: () => false,
      onDropped: (reason) => dropped.push(reason),
      onRefused: () => undefined,
    });
    socket.on('data', (chunk: Buffer) => {
      session.receive(chunk);
    });
    socket.on('end', () => {
      session.finish();
    });
    socket.on('error', () => undefined);
    socket.on('close', () => {
      session.abandon();
    });
  });
  await new Promise<void>((resolve) => server.listen(address, resolve));
  const target = server.address();
  const connect = (): Promise<net.Socket> =>
    new Promise((resolve, reject) => {
      const client =
        typeof target === 'string'
          ? net.connect(target)
          : net.connect((target as net.AddressInfo).port, '127.0.0.1');
      client.on('error', reject);
      client.once('connect', () => {
        resolve(client);
      });
    });
  return { connect, dropped, close: () => server.close() };
}

const KINDS: Readonly<Record<string, () => net.ListenOptions>> = {
  'a unix socket': () => ({ path: path.join(root, 'nbd.sock') }),
  TCP: () => ({ host: '127.0.0.1', port: 0 }),
};

describe('NbdSession of a client that went away', () => {
  for (const [kind, address] of Object.entries(KINDS)) {
    it(`drops what waited for room, over ${kind}, so that it cannot come after newer writes`, async () => {
      const device = new NarrowDevice();
      const { connect, dropped, close } = await connections(address(), device);
      const old = await connect();
      old.write(writes(0));
      await until(() => device.fills.length === 1);
      old.destroy();
      const next = await connect();
      next.write(writes(100));
      await until(() => next.bytesWritten === WRITES * (BLOCK + 28));
      // The end of the old one has arrived by now: both sockets are on this machine, and it was closed first.
      device.makeRoom();
      await until(() => device.fills.length >= 1 + WRITES);
      assert.deepEqual(
        device.fills.slice(1),
        Array.from({ length: WRITES }, (_, index) => 100 + index),
      );
      assert.equal(dropped.length, 1);
      next.destroy();
      close();
    });
  }

  it('serves one that only sends nothing more, and waits for its answers on a unix socket', async () => {
    const device = new NarrowDevice();
    const { connect, dropped, close } = await connections(
      { path: path.join(root, 'half.sock') },
      device,
    );
    const client = await connect();
    let answered = 0;
    client.on('data', (chunk: Buffer) => (answered += chunk.length));
    client.end(writes(0));
    await until(() => device.fills.length === 1);
    device.makeRoom();
    await new Promise((resolve) => client.once('end', resolve));
    assert.equal(answered, WRITES * 16);
    assert.deepEqual(dropped, []);
    close();
  });

  it('drops what the kernel had sent on a socket that it gave up', async () => {
    const [kernelEnd, daemonEnd] = socketPair();
    const device = new NarrowDevice();
    const ended = new Promise<string>((resolve) => {
      new KernelSocket(daemonEnd, device, {
        closed: (how, reason) => {
          resolve(`${how}: ${reason}`);
        },
        requestFailed: () => undefined,
      });
    });
    fs.writeSync(kernelEnd, writes(0));
    await until(() => device.fills.length === 1);
    fs.closeSync(kernelEnd);
    device.makeRoom();
    assert.match(await ended, /^lost: the client went away/);
    assert.equal(device.fills.length, 1);
  });

  it('is known to be gone before anything that it sent was read', async () => {
    const [kernelEnd, daemonEnd] = socketPair();
    const socket = new net.Socket({ fd: daemonEnd, readable: true, writable: true });
    fs.writeSync(kernelEnd, 'unread');
    assert.equal(isPeerGone(socket), false);
    fs.closeSync(kernelEnd);
    assert.equal(isPeerGone(socket), true);
    assert.equal(socket.bytesRead, 0);
    await new Promise<void>((resolve) => {
      socket.once('close', () => {
        resolve();
      });
      socket.destroy();
    });
    assert.equal(isPeerGone(socket), true);
  });

  it('changes nothing with what arrives in the same moment as newer requests on another connection', async () => {
    const device = new NarrowDevice();
    device.makeRoom();
    const [oldEnd, newEnd] = [serve(device), serve(device)];
    const newer = writes(100);
    // Its first bytes make the new connection the first that is read; the old one has ended by then.
    fs.writeSync(newEnd, newer, 0, 1);
    fs.writeSync(oldEnd, writes(0));
    fs.closeSync(oldEnd);
    fs.writeSync(newEnd, newer, 1);
    await until(() => device.fills.length >= WRITES);
    fs.closeSync(newEnd);
    assert.deepEqual(
      device.fills,
      Array.from({ length: WRITES }, (_, index) => 100 + index),
    );
  });

  it('is told that a client went that only said goodbye and left', async () => {
    const device = new NarrowDevice();
    const ends: boolean[] = [];
    const end = serve(device, (session) => ends.push(session.saidGoodbye));
    fs.writeSync(end, GOODBYE);
    fs.closeSync(end);
    await until(() => ends.length === 1);
    assert.deepEqual(ends, [true]);
  });
});

describe('NbdSession at its end', () => {
  //  what Node reads at once, with a goodbye at its end:  |====================D|   and then the client's half is closed
  it('ends the connection when the goodbye was still waiting as the client closed its half', async () => {
    const [clientEnd, serverEnd] = socketPair();
    const client = new net.Socket({ fd: clientEnd, readable: true, writable: true });
    const { session, socket } = newSession(serverEnd, new NarrowDevice(), { isEncrypted: true });
    const ended = new Promise((resolve) => client.once('end', resolve));
    client.resume();
    session.receive(GOODBYE);
    session.finish();
    await ended;
    assert.equal(session.saidGoodbye, true);
    client.destroy();
    socket.destroy();
  });
});

describe('NbdSession that was stopped', () => {
  function stopped(): { client: net.Socket; closed: Promise<unknown>; stop: () => Promise<void> } {
    const [clientEnd, serverEnd] = socketPair();
    const client = new net.Socket({ fd: clientEnd, allowHalfOpen: true });
    const device = new NarrowDevice();
    const { session, socket } = newSession(serverEnd, device);
    socket.on('data', (chunk: Buffer) => {
      session.receive(chunk);
    });
    const closed = once(socket, 'close').then(() => {
      assert.deepEqual(device.fills, []);
    });
    client.resume();
    return { client, closed, stop: () => session.stop() };
  }

  it('takes in nothing more, and sees that the client goes', async () => {
    const { client, closed, stop } = stopped();
    await stop();
    client.write(writes(0));
    client.end();
    await closed;
  });

  it('ends a client that does not go', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const { client, closed, stop } = stopped();
    client.once('end', () => {
      t.mock.timers.tick(PARTING_MS);
    });
    client.write(writes(0));
    await stop();
    await closed;
    client.destroy();
  });
});

/** @returns the client's end of a unix socket on which the device is served; the client has other connections */
function serve(device: PacedBlockDevice, onClose?: (session: NbdSession) => void): number {
  const [clientEnd, serverEnd] = socketPair();
  const { session, socket } = newSession(serverEnd, device, { hasOtherConnections: () => true });
  socket.on('data', (chunk: Buffer) => {
    session.receive(chunk);
  });
  socket.on('error', () => undefined);
  socket.on('close', () => {
    session.abandon();
    onClose?.(session);
  });
  return clientEnd;
}

/** On our end of a socket pair. What arrives there is the caller's to pass on. */
function newSession(
  fd: number,
  device: PacedBlockDevice,
  different: Partial<NbdSessionOptions> = {},
): { session: NbdSession; socket: net.Socket } {
  const socket = new net.Socket({ fd, readable: true, writable: true });
  const session = new NbdSession({
    socket,
    device,
    agreed: { replyKind: 'simple', extendedHeaders: false, metaContexts: [] },
    payloadBytesMax: 1024 * 1024,
    isEncrypted: false,
    hasOtherConnections: () => false,
    onDropped: () => undefined,
    onRefused: () => undefined,
    ...different,
  });
  return { session, socket };
}
