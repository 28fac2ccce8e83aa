/**
 * The add-on's calls of the NBD interface with a real kernel: what each does, what the kernel refuses and how that
 * is told, and that none of them keeps this thread from serving the device. What is served is a disk in
 * memory; the daemon has no part in this.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import fs from 'node:fs';
import { afterEach, describe, it } from 'node:test';
import { Worker } from 'node:worker_threads';
import {
  NBD_CFLAG_DESTROY_ON_DISCONNECT,
  nbdConnect,
  nbdDisconnect,
  nbdReconfigure,
  nbdStatus,
  nbdWatch,
  socketPair,
  type NbdConnectRequest,
} from 'blkferry-kernel';
import type { PacedBlockDevice } from '#daemon/block/block-device.js';
import { KernelSocket } from '#daemon/frontend/kernel-socket.js';
import { MemoryDevice } from '#test/support/memory-catalog.js';
import { runProgram } from '#test/support/program.js';
import { SLOW_MS, missingNbd, until } from './device-bench.js';

const ADDON = import.meta.resolve('blkferry-kernel');
const MIB = 1024 * 1024;
const IDENTIFIER = 'blkferry-test:netlink';

/** NBD_FLAG_HAS_FLAGS, SEND_FLUSH, SEND_TRIM. */
const SERVER_FLAGS = 1 | 4 | 32;
const CAN_MULTI_CONN = 256;

/** Longer than a test: what was lost waits. */
const DEAD_CONNECTION_SECONDS = 600;

/** A call has begun to wait in the kernel by then; were it slower, the test would see less and not fail. */
const CALL_REACHES_KERNEL_MS = 1000;

class Disk extends MemoryDevice implements PacedBlockDevice {
  constructor() {
    super(Buffer.alloc(8 * MIB), 4 * MIB, 512);
  }

  hasRoom(): boolean {
    return true;
  }

  whenRoom(): void {
    assert.fail('there was room');
  }
}

let disk = new Disk();
let sockets: KernelSocket[] = [];
let indices: number[] = [];
let endings: (() => void)[] = [];

afterEach(async () => {
  for (const end of endings) end();
  disk.completeAll();
  for (const socket of sockets) await socket.destroy();
  const connected = new Set((await nbdStatus()).map(({ index }) => index));
  for (const index of indices) if (connected.has(index)) await nbdDisconnect(index);
  disk = new Disk();
  [sockets, indices, endings] = [[], [], []];
});

/** Hands the kernel's ends of some served sockets to a call. */
async function withSockets<Result>(
  count: number,
  call: (kernelEnds: number[]) => Promise<Result>,
): Promise<Result> {
  const kernelEnds: number[] = [];
  while (kernelEnds.length < count) {
    const [kernelEnd, daemonEnd] = socketPair();
    kernelEnds.push(kernelEnd);
    sockets.push(
      new KernelSocket(daemonEnd, disk, {
        closed: () => undefined,
        requestFailed: (kind, error) => assert.fail(`${kind}: ${error.message}`),
      }),
    );
  }
  try {
    return await call(kernelEnds);
  } finally {
    for (const fd of kernelEnds) fs.closeSync(fd);
  }
}

/** @returns the index of a device with the disk's size */
async function connect(wishes: Partial<NbdConnectRequest> = {}, count = 1): Promise<number> {
  const index = await withSockets(count, (socketFds) =>
    nbdConnect({
      sizeBytes: disk.facts.sizeBytes,
      blockBytes: 512,
      serverFlags: SERVER_FLAGS,
      clientFlags: NBD_CFLAG_DESTROY_ON_DISCONNECT,
      requestTimeoutSeconds: 0,
      deadConnectionTimeoutSeconds: DEAD_CONNECTION_SECONDS,
      backendIdentifier: IDENTIFIER,
      socketFds,
      ...wishes,
    }),
  );
  indices.push(index);
  await until(`/dev/nbd${index}`, SLOW_MS, () => fs.existsSync(`/dev/nbd${index}`));
  return index;
}

function attribute(index: number, name: string): string {
  return fs.readFileSync(`/sys/block/nbd${index}/${name}`, 'latin1').trim();
}

/** Reads around the page cache of other openers: each open of an unused device begins with an empty one. */
async function readAt(index: number, offsetBytes: number, lengthBytes: number): Promise<Buffer> {
  const handle = await fs.promises.open(`/dev/nbd${index}`, 'r');
  try {
    const { buffer } = await handle.read(Buffer.alloc(lengthBytes), 0, lengthBytes, offsetBytes);
    return buffer;
  } finally {
    await handle.close();
  }
}

async function writeAt(index: number, offsetBytes: number, data: Buffer): Promise<void> {
  const handle = await fs.promises.open(`/dev/nbd${index}`, 'r+');
  try {
    await handle.write(data, 0, data.length, offsetBytes);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

const isConnected = async (index: number): Promise<boolean> =>
  (await nbdStatus(index)).some(({ connected }) => connected);

describe('nbdConnect', { skip: missingNbd() }, () => {
  it('makes a device of the given size, blocks and identifier', async () => {
    const index = await connect({ blockBytes: 4096 });
    assert.equal(Number(attribute(index, 'size')) * 512, 4 * MIB);
    assert.equal(attribute(index, 'queue/logical_block_size'), '4096');
    assert.equal(attribute(index, 'backend'), IDENTIFIER);
    assert.deepEqual(await nbdStatus(index), [{ index, connected: true }]);
    assert.ok((await nbdStatus()).some((device) => device.index === index));
  });

  it('makes one whose reads and writes are those of the disk behind the socket', async () => {
    const index = await connect();
    const data = Buffer.from('written by a guest'.padEnd(4096, '.'));
    await writeAt(index, MIB, data);
    assert.deepEqual(disk.content.subarray(MIB, MIB + 4096), data);
    assert.ok(disk.submitted.some(({ kind }) => kind === 'flush'));
    disk.content.fill(0xa5, 2 * MIB, 2 * MIB + 4096);
    assert.deepEqual(await readAt(index, 2 * MIB, 4096), Buffer.alloc(4096, 0xa5));
  });

  it('has a queue for each of several sockets, where the server allows several', async () => {
    const index = await connect({ serverFlags: SERVER_FLAGS | CAN_MULTI_CONN }, 2);
    assert.equal(fs.readdirSync(`/sys/block/nbd${index}/mq`).length, 2);
    await writeAt(index, 0, Buffer.alloc(MIB, 1));
    assert.equal(disk.content[MIB - 1], 1);
    await assert.rejects(connect({}, 2), { code: 'EINVAL', syscall: 'NBD_CMD_CONNECT' });
  });

  it('takes the index it is given, once', async () => {
    const index = await connect({ index: 5 });
    assert.equal(index, 5);
    await assert.rejects(connect({ index: 5 }), {
      code: 'EBUSY',
      errno: -16,
      syscall: 'NBD_CMD_CONNECT',
    });
    assert.equal(await isConnected(5), true);
  });

  it('says what the kernel refuses', async () => {
    const refused = { code: 'EINVAL', syscall: 'NBD_CMD_CONNECT' };
    await assert.rejects(connect({ socketFds: [] }), refused);
    await assert.rejects(connect({ blockBytes: 3000 }), refused);
    const file = fs.openSync('/dev/null', 'r');
    await assert.rejects(connect({ socketFds: [file] }), { syscall: 'NBD_CMD_CONNECT' });
    fs.closeSync(file);
  });
});

describe('nbdReconfigure', { skip: missingNbd() }, () => {
  it('gives a device whose socket died a new one, and what was asked meanwhile is answered', async () => {
    const index = await connect();
    const dead: number[] = [];
    endings.push(
      await nbdWatch((event) => {
        assert.equal(event.kind, 'link-dead');
        dead.push(event.index);
      }),
    );
    for (const socket of sockets) await socket.destroy();
    await until('the kernel says that the link is dead', SLOW_MS, () => dead.includes(index));
    const written = writeAt(index, 0, Buffer.alloc(4096, 7));
    await withSockets(1, (socketFds) =>
      nbdReconfigure({ index, backendIdentifier: IDENTIFIER, socketFds }),
    );
    await written;
    assert.equal(disk.content[4095], 7);
  });

  it('does nothing for who does not know the identifier', async () => {
    const index = await connect();
    for (const backendIdentifier of ['another', `${IDENTIFIER}.`, IDENTIFIER.slice(1)]) {
      await assert.rejects(nbdReconfigure({ index, backendIdentifier, sizeBytes: MIB }), {
        code: 'EINVAL',
        errno: -22,
        syscall: 'NBD_CMD_RECONFIGURE',
        message: /^EINVAL: Invalid argument, NBD_CMD_RECONFIGURE/,
      });
    }
    assert.equal(Number(attribute(index, 'size')) * 512, 4 * MIB);
  });

  it('tells the kernel another size', async () => {
    const index = await connect();
    await nbdReconfigure({ index, backendIdentifier: IDENTIFIER, sizeBytes: 8 * MIB });
    assert.equal(Number(attribute(index, 'size')) * 512, 8 * MIB);
    await disk.resize(8 * MIB);
    await writeAt(index, 8 * MIB - 4096, Buffer.alloc(4096, 9));
    assert.equal(disk.content.at(-1), 9);
  });

  it('of a device that there is not is EINVAL', async () => {
    await assert.rejects(nbdReconfigure({ index: 900, backendIdentifier: IDENTIFIER }), {
      code: 'EINVAL',
      syscall: 'NBD_CMD_RECONFIGURE',
    });
  });

  it('lets this thread go on while the kernel waits for a request', async () => {
    const index = await connect();
    disk.hold();
    const read = readAt(index, 0, 4096);
    await until('the read is here', SLOW_MS, () => disk.heldCount > 0);
    const order: string[] = [];
    const resized = nbdReconfigure({
      index,
      backendIdentifier: IDENTIFIER,
      sizeBytes: 8 * MIB,
    }).then(() => order.push('resized'));
    await new Promise((resolve) => setTimeout(resolve, CALL_REACHES_KERNEL_MS));
    const status = nbdStatus(index).then(() => order.push('status'));
    await new Promise((resolve) => setTimeout(resolve, CALL_REACHES_KERNEL_MS));
    order.push('answered');
    disk.completeAll();
    await Promise.all([read, resized, status]);
    // Kernels before 6.9 do not wait for the request; none handles a call while another one waits.
    if (order[0] !== 'resized') assert.equal(order[0], 'answered');
  });
});

describe('nbdDisconnect', { skip: missingNbd() }, () => {
  it('ends the device; what was not answered fails with EIO', async () => {
    const index = await connect();
    disk.hold();
    const read = readAt(index, 0, 4096);
    await until('the read is here', SLOW_MS, () => disk.heldCount > 0);
    const failed = assert.rejects(read, { code: 'EIO' });
    await nbdDisconnect(index);
    await failed;
    // The kernel answers what waits before it has taken the device apart.
    await until('it is not connected', SLOW_MS, async () => !(await isConnected(index)));
    // NBD_CFLAG_DESTROY_ON_DISCONNECT; the kernel does it a moment later.
    const isGone = async (): Promise<boolean> => (await nbdStatus(index)).length === 0;
    await until('the device is gone', SLOW_MS, isGone);
    assert.equal(fs.existsSync(`/sys/block/nbd${index}`), false);
  });

  it('of a device that there is not is EINVAL', async () => {
    await assert.rejects(nbdDisconnect(900), { code: 'EINVAL', syscall: 'NBD_CMD_DISCONNECT' });
  });
});

describe('nbdWatch', { skip: missingNbd() }, () => {
  it('tells nothing more once it was ended', async () => {
    const index = await connect();
    const [first, second]: [number[], number[]] = [[], []];
    const endFirst = await nbdWatch((event) => first.push(event.index));
    endings.push(await nbdWatch((event) => second.push(event.index)));
    endFirst();
    endFirst();
    for (const socket of sockets) await socket.destroy();
    await until('the second hears it', SLOW_MS, () => second.includes(index));
    assert.deepEqual(first, []);
  });

  it('keeps neither a process nor a thread of Node from its end', async () => {
    const lines = `
      import { nbdWatch } from ${JSON.stringify(ADDON)};
      await nbdWatch(() => undefined);
      console.log('listening');`;
    const words = ['--input-type=module', '-e', lines];
    const { stdout, status } = await runProgram(process.execPath, words, { timeoutMs: SLOW_MS });
    assert.deepEqual([stdout, status], ['listening\n', 0]);

    const thread = new Worker(
      `import(${JSON.stringify(ADDON)}).then(async ({ nbdWatch }) => {
         await nbdWatch(() => undefined);
         require('node:worker_threads').parentPort.postMessage('listening');
         setInterval(() => undefined, 1000);
       });`,
      { eval: true },
    );
    await once(thread, 'message');
    await thread.terminate();
    assert.deepEqual(await nbdStatus(900), []);
  });
});
