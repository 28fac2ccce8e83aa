/**
 * blkferryd with two workers, as processes: what is different from one thread. That all else is the same is looked at
 * by the same sentences (daemon-workers-crash.test.ts, test/unit/workers, test/contract/frontends.test.ts).
 */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { submitAsync } from '#daemon/block/block-device.js';
import type { BlockError } from '#daemon/block/block-error.js';
import { flushRequest, joined, readRequest, writeRequest } from '#daemon/block/block-request.js';
import { attachRequest } from '#test/support/attach-request.js';
import { BlkferryStack } from '#test/support/blkferry-stack.js';
import { NbdClient } from '#test/support/nbd-client.js';
import { until } from '#test/support/served-node.js';
import { temporaryFolder } from '#test/support/temporary-folder.js';

const MIB = 1024 * 1024;
const BLOCK = 4096;
const DAEMON = {
  BLKFERRY_WORKERS: '2',
  BLKFERRY_NBD_IDLE_TIMEOUT: '2s',
  BLKFERRY_NBD_TCP: '127.0.0.1:0',
};

describe('blkferryd with two workers', () => {
  const folder = temporaryFolder();
  let stack: BlkferryStack;
  before(async () => {
    stack = await BlkferryStack.start(folder, { daemon: DAEMON });
    for (let count = 0; count < 3; count += 1) await stack.newExport({ sizeBytes: 16 * MIB });
  });
  after(() => stack.stop());

  function connect(exportName: string): Promise<NbdClient> {
    return NbdClient.connect({ socketPath: stack.socketPath, exportName });
  }

  it('puts each volume into the worker that has the fewest', async () => {
    const placed = async (): Promise<(string | number)[][]> =>
      (await stack.admin.listAttachments()).map(({ exportName, worker }) => [exportName, worker]);
    const all = await placed();
    assert.deepEqual(all, [
      ['vol1', 1],
      ['vol2', 2],
      ['vol3', 1],
    ]);
    await stack.admin.detach({ exportName: 'vol2', force: false });
    await stack.admin.attach(attachRequest('vol2'));
    assert.deepEqual(await placed(), all);
    assert.equal((await stack.admin.getDaemon()).workers, 2);
  });

  it('shows what was counted up to the very answer before', async () => {
    const client = await connect('vol1');
    for (let count = 1; count <= 5; count += 1) {
      await submitAsync(client, writeRequest(count * BLOCK, Buffer.alloc(BLOCK, count)));
      const { counters, clientCount } = await stack.admin.getAttachment('vol1');
      assert.deepEqual(
        [counters?.writeRequests, counters?.writeBytes, counters?.unflushedBytes, clientCount],
        [count, count * BLOCK, count * BLOCK, 1],
      );
    }
    await submitAsync(client, flushRequest());
    const [attachment] = await stack.admin.listAttachments();
    assert.equal(attachment?.counters?.unflushedBytes, 0);
    await client.close();
  });

  it('keeps volumes of both workers apart, and what is theirs', async () => {
    const names = ['vol1', 'vol2', 'vol3'];
    const clients = await Promise.all(names.map(connect));
    await Promise.all(
      clients.flatMap((client, index) =>
        Array.from({ length: 200 }, (_, at) =>
          submitAsync(
            client,
            writeRequest(at * BLOCK, Buffer.alloc(BLOCK, 50 * index + (at % 50))),
          ),
        ),
      ),
    );
    for (const [index, client] of clients.entries()) {
      const { payload } = await submitAsync(client, readRequest(0, 200 * BLOCK));
      const data = joined(payload);
      for (let at = 0; at < 200; at += 1)
        assert.equal(data[at * BLOCK + 7], 50 * index + (at % 50), `${names[index]} ${at}`);
      await client.close();
    }
  });

  it('serves several clients of one volume, over TCP and the unix socket, which see each other’s writes', async () => {
    const { uris } = await stack.admin.getAttachment('vol1');
    const port = Number(uris.map((uri) => /127\.0\.0\.1:(\d+)/.exec(uri)?.[1]).find(Boolean));
    const { socketPath } = stack;
    const remote = await NbdClient.connect({ socketPath, port, exportName: 'vol1' });
    const local = await connect('vol1');
    const data = Buffer.alloc(4 * MIB);
    for (let at = 0; at < data.length; at += 4) data.writeUInt32LE(at, at);
    await submitAsync(remote, writeRequest(MIB, data));
    assert.ok(
      joined((await submitAsync(local, readRequest(MIB, data.length))).payload).equals(data),
    );
    await submitAsync(local, writeRequest(2 * MIB, Buffer.alloc(BLOCK, 1)));
    const { payload } = await submitAsync(remote, readRequest(2 * MIB, BLOCK));
    assert.deepEqual(joined(payload), Buffer.alloc(BLOCK, 1));
    await Promise.all([remote.close(), local.close()]);
  });

  it('disconnects a client that asks nothing, as nbd.idle_timeout says', async () => {
    const client = await connect('vol1');
    await submitAsync(client, readRequest(0, 512));
    const closed = new Promise((resolve) => client.socket.once('close', resolve));
    await closed;
    const told = /export vol1: it asked nothing for 2000 ms \(nbd\.idle_timeout\)/;
    // By the main thread, which hears of it after the client.
    await until(() => told.test(stack.daemon.stderr()));
  });

  it('tells new clients the size of a volume that has grown', async () => {
    await stack.storage.resizeVolume({ name: 'vol3', sizeBytes: 32 * MIB, allowShrink: false });
    for (;;) {
      if ((await stack.admin.getAttachment('vol3')).sizeBytes === 32 * MIB) break;
      await wait(20);
    }
    const client = await connect('vol3');
    assert.equal(client.facts.sizeBytes, 32 * MIB);
    await submitAsync(client, writeRequest(31 * MIB, Buffer.alloc(BLOCK, 1)));
    await client.close();
  });

  it('detaches by force under load: what was answered is there, nothing is answered twice', async () => {
    const client = await connect('vol2');
    const answered = new Map<number, number>();
    let isOver = false;
    const lane = async (first: number): Promise<void> => {
      for (let value = 1; !isOver; value = (value % 250) + 1) {
        const write = writeRequest(first * BLOCK, Buffer.alloc(BLOCK, value));
        await submitAsync(client, write).then(
          () => answered.set(first, value),
          (error: unknown) => {
            assert.equal((error as BlockError).errno, 'ESHUTDOWN');
            isOver = true;
          },
        );
      }
    };
    const lanes = Array.from({ length: 16 }, (_, index) => lane(index));
    await wait(300);
    await assert.rejects(stack.admin.detach({ exportName: 'vol2', force: false }), /1 client/);
    await stack.admin.detach({ exportName: 'vol2', force: true });
    client.socket.destroy();
    await Promise.all(lanes);
    assert.equal(answered.size, 16);
    await stack.admin.attach(attachRequest('vol2'));
    const again = await connect('vol2');
    for (const [first, value] of answered) {
      const { payload } = await submitAsync(again, readRequest(first * BLOCK, BLOCK));
      const [found] = joined(payload);
      // The one that was under way may have been carried out, and not heard of.
      assert.ok(
        found === value || found === (value % 250) + 1,
        `block ${first}: ${found}, ${value}`,
      );
    }
    await again.close();
  });
});

describe('a worker with a bug', () => {
  it('ends the process as one in the main thread does, and the next daemon goes on', async (t) => {
    const folder = temporaryFolder();
    const [trigger, preload] = [path.join(folder, 'trigger'), path.join(folder, 'bug.cjs')];
    writeFileSync(
      preload,
      `if (!require('node:worker_threads').isMainThread) setInterval(() => {
         if (require('node:fs').existsSync(${JSON.stringify(trigger)})) throw new Error('a planted bug');
       }, 20).unref();`,
    );
    const stack = await BlkferryStack.start(folder, {
      daemon: { ...DAEMON, NODE_OPTIONS: `--require=${preload}` },
    });
    t.after(() => stack.node.kill());
    const { name } = await stack.newExport({ sizeBytes: 16 * MIB });
    const client = await NbdClient.connect({ socketPath: stack.socketPath, exportName: name });
    await submitAsync(client, writeRequest(0, Buffer.alloc(BLOCK, 5)));
    writeFileSync(trigger, '');
    assert.equal(await stack.daemon.ended(), 1);
    assert.match(
      stack.daemon.stderr(),
      /"event":"crashed".*ending because of a bug: a planted bug/,
    );
    stack.admin.close();
    stack.storage.close();
  });
});
