/**
 * NBD clients whose handshake is here and whose session is in a worker, through a real listener, with a pretend node: what
 * holds for clients holds for them.
 */
import assert from 'node:assert/strict';
import net from 'node:net';
import path from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { submitAsync } from '#daemon/block/block-device.js';
import type { BlockError } from '#daemon/block/block-error.js';
import { joined, readRequest, writeRequest } from '#daemon/block/block-request.js';
import { NbdListener, type ListenerOptions } from '#daemon/frontend/nbd-listener.js';
import { SYSTEM_CLOCK } from '#daemon/runtime/clock.js';
import { request, write } from '#test/support/nbd-bytes.js';
import { NbdClient } from '#test/support/nbd-client.js';
import { NODE_BYTES } from '#test/support/pretend-node.js';
import { until } from '#test/support/served-node.js';
import { temporaryFolder } from '#test/support/temporary-folder.js';
import { ATTACH_V1, AttachmentBench } from '../admin/attachment-bench.js';

AttachmentBench.hasWorkers = true;
const BLOCK = 4096;
const root = temporaryFolder();
let folders = 0;
let bench: AttachmentBench;
let listener: NbdListener;
let heard: string[];

function optionsOf(address: string): ListenerOptions {
  return {
    address,
    exports: bench.exports,
    protection: { door: undefined, access: undefined },
    limits: {
      handshakeTimeoutMs: 5000,
      payloadBytesMax: NODE_BYTES,
      connectionsMax: 2,
      connectionsPerPeerMax: 2,
      handshakesMax: 2,
    },
    clock: SYSTEM_CLOCK,
    eventsFor: () => ({
      opened: (exportName) => heard.push(`opened ${exportName}`),
      refused: () => undefined,
      handshakeEnded: (reason) => heard.push(`ended: ${reason}`),
      protocolError: (reason) => heard.push(`failed: ${reason}`),
      requestFailed: (exportName, kind, { errno }) =>
        heard.push(`${kind} of ${exportName}: ${errno}`),
      closed: () => heard.push('closed'),
    }),
  };
}

beforeEach(async () => {
  folders += 1;
  heard = [];
  bench = new AttachmentBench(path.join(root, String(folders)));
  await bench.attachments.attach(ATTACH_V1);
  listener = await NbdListener.listen(optionsOf(`unix:${path.join(root, `${folders}.sock`)}`));
});

afterEach(async () => {
  bench.node.unhold();
  await listener.close();
});

function connect(): Promise<NbdClient> {
  const socketPath = path.join(root, `${folders}.sock`);
  return NbdClient.connect({ socketPath, exportName: 'v1' });
}

/** Write number `index` of a client that waits for nothing. */
function rawWrite(index: number, value: number): Buffer {
  return request(write(Buffer.alloc(BLOCK, value), BigInt(index), BigInt(index * BLOCK)));
}

describe('a client whose session is in a worker', () => {
  it('reads what it wrote', async () => {
    const client = await connect();
    await submitAsync(client, writeRequest(512, Buffer.alloc(1024, 7)));
    const { payload } = await submitAsync(client, readRequest(0, 2048));
    const expected = Buffer.alloc(2048);
    expected.fill(7, 512, 1536);
    assert.deepEqual(joined(payload), expected);
    assert.deepEqual(heard, ['opened v1']);
    await client.close();
    await until(() => heard.includes('closed'));
    assert.equal(bench.exports.clientCount('v1'), 0);
  });

  it('is heard from its first request on, also if that came with the handshake’s last words', async () => {
    const client = await connect();
    const early = net.connect(path.join(root, `${folders}.sock`));
    early.on('error', () => undefined);
    // Fixed newstyle: flags, then NBD_OPT_EXPORT_NAME, at once with a write.
    const option = Buffer.alloc(16);
    option.write('IHAVEOPT', 0, 'latin1');
    option.writeUInt32BE(1, 8);
    option.writeUInt32BE(2, 12);
    const flags = Buffer.from([0, 0, 0, 3]);
    early.write(Buffer.concat([flags, option, Buffer.from('v1'), rawWrite(1, 0x31)]));
    await until(() => bench.node.content[BLOCK] === 0x31);
    early.destroy();
    await client.close();
  });

  it('has its place until it is gone', async () => {
    const clients = [await connect(), await connect()];
    assert.equal(listener.connectionCount, 2);
    await assert.rejects(connect());
    for (const client of clients) await client.close();
    await until(() => listener.connectionCount === 0);
    await (await connect()).close();
  });

  it('hears the errno of what is refused', async () => {
    const client = await connect();
    bench.node.readErrorFrom = 8192;
    await assert.rejects(
      submitAsync(client, readRequest(8192, 512)),
      (error: BlockError) => error.errno === 'EIO',
    );
    await client.close();
  });

  it('is ended for what is no NBD, and its export is named', async () => {
    const client = await connect();
    client.socket.write(Buffer.alloc(28, 1));
    await until(() => heard.includes('closed'));
    assert.match(heard[1] ?? '', /^failed: export v1: request magic/);
  });

  it('keeps a detach from happening until it has gone, and is ended by one with force', async () => {
    const client = await connect();
    const detach = (force: boolean): Promise<unknown> =>
      bench.attachments.detach({ exportName: 'v1', force });
    await assert.rejects(detach(false), /1 client/);
    bench.node.hold();
    const waiting = submitAsync(client, writeRequest(0, Buffer.alloc(512, 1)));
    await until(() => bench.node.waitingCount === 1);
    const detached = detach(true);
    bench.node.unhold();
    await waiting;
    await detached;
    assert.equal(bench.node.content[0], 1);
  });

  it('can be detached at once when its client has gone', async () => {
    const client = await connect();
    await client.close();
    await bench.attachments.detach({ exportName: 'v1', force: false });
  });

  it('is told nothing when it is left to the next daemon', async () => {
    const client = await connect();
    bench.node.hold();
    const waiting = submitAsync(client, writeRequest(0, Buffer.alloc(512, 1)));
    await until(() => bench.node.waitingCount === 1);
    const unanswered = assert.rejects(
      waiting,
      (error: BlockError) => error.reason === 'the connection is gone',
    );
    await bench.attachments.stop(100);
    await unanswered;
    assert.deepEqual(heard, ['opened v1', 'closed']);
  });

  it('has what it sent dropped when it is gone and has others: newer data may have come on these', async () => {
    const [first, second] = [await connect(), await connect()];
    bench.node.hold();
    // More than the volume has room for: the rest waits in the worker, and in the socket.
    const sent: Buffer[] = [];
    for (let index = 0; index < 400; index += 1) sent.push(rawWrite(index % 200, 0x41));
    first.socket.write(Buffer.concat(sent));
    await until(() => bench.node.waitingCount >= 100);
    first.socket.destroy();
    bench.node.unhold();
    await until(() => heard.includes('closed'));
    await submitAsync(second, writeRequest(0, Buffer.alloc(BLOCK, 0x42)));
    assert.equal(bench.node.content[0], 0x42);
    assert.ok(bench.node.received.length < 401, 'not all of it was taken in');
    await second.close();
  });
});
