/** Sockets of a kernel device that are served in a worker: they answer, are replaced, and end before the device does. */
import assert from 'node:assert/strict';
import path from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { attachRequest } from '#test/support/attach-request.js';
import { until } from '#test/support/served-node.js';
import { temporaryFolder } from '#test/support/temporary-folder.js';
import { AttachmentBench } from '../admin/attachment-bench.js';

AttachmentBench.hasWorkers = true;
const WRITE = 1;
const root = temporaryFolder();
let folders = 0;
let bench: AttachmentBench;

beforeEach(async () => {
  folders += 1;
  bench = new AttachmentBench(path.join(root, String(folders)));
  await bench.attachments.attach(attachRequest('v1', { device: 'kernel' }));
});

afterEach(async () => {
  bench.node.unhold();
  await bench.attachments.stop(1000);
  bench.kernel.close();
});

function lostCount(): number {
  return bench.events().filter((event) => event === 'device_socket_lost').length;
}

describe('a device whose sockets are served in a worker', () => {
  it('writes to the volume', async () => {
    const [socket] = bench.kernel.only.sockets;
    socket?.send(WRITE, 512, 512, Buffer.alloc(512, 8));
    assert.equal(await socket?.reply(), 0);
    assert.equal(bench.node.content[512], 8);
  });

  it('gets another socket for one that was lost', async () => {
    bench.kernel.only.sockets[0]?.close();
    await until(() => bench.kernel.only.sockets.length === 2);
    const [, socket] = bench.kernel.only.sockets;
    socket?.send(WRITE, 0, 512, Buffer.alloc(512, 9));
    assert.equal(await socket?.reply(), 0);
    assert.equal(bench.attachments.get('v1').device?.liveConnections, 1);
    assert.equal(lostCount(), 1);
  });

  it('waits longer and longer while the kernel takes none', async () => {
    bench.kernel.takesSockets = false;
    bench.kernel.only.sockets[0]?.close();
    await wait(400);
    const { reconfigurations } = bench.kernel.only;
    // After 20, 40, 80 and 160 ms.
    assert.ok(reconfigurations.length <= 5, `asked ${reconfigurations.length} times`);
    assert.equal(lostCount(), 1, 'and says so once');
  });

  it('is ended by force when its sockets are closed, with what it asked unanswered', async () => {
    const [socket] = bench.kernel.only.sockets;
    bench.node.hold();
    socket?.send(WRITE, 0, 512, Buffer.alloc(512, 9));
    await until(() => bench.node.waitingCount === 1);
    const disconnect = bench.kernel.nbdDisconnect;
    let wasClosed: boolean | undefined;
    Object.assign(bench.kernel, {
      nbdDisconnect: async (index: number) => {
        // The kernel’s end hears of it in its own time.
        await wait(20);
        wasClosed = socket?.isClosed;
        await disconnect(index);
      },
    });
    const detached = bench.attachments.detach({ exportName: 'v1', force: true });
    await until(() => wasClosed !== undefined);
    bench.node.unhold();
    await detached;
    assert.equal(wasClosed, true);
  });

  it('is left to the next daemon by an ordered stop, with what is unanswered', async () => {
    const [socket] = bench.kernel.only.sockets;
    bench.node.hold();
    socket?.send(WRITE, 0, 512, Buffer.alloc(512, 9));
    await until(() => bench.node.waitingCount === 1);
    await bench.attachments.stop(150);
    await socket?.untilClosed();
    assert.deepEqual(bench.kernel.disconnects, []);
  });
});
