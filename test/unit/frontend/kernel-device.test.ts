/**
 * A kernel device against a pretend kernel: what it is told, what is done when a socket is lost, and what
 * is left in each case. What the real kernel does with it is test/system's subject.
 */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { DeviceNodes } from '#daemon/frontend/device-node.js';
import { KernelDevice, type KernelDeviceOptions } from '#daemon/frontend/kernel-device.js';
import { SYSTEM_CLOCK } from '#daemon/runtime/clock.js';
import type { PacedBlockDevice } from '#daemon/block/block-device.js';
import { MemoryDevice } from '#test/support/memory-catalog.js';
import { PretendKernel } from '#test/support/pretend-kernel.js';
import { temporaryFolder } from '#test/support/temporary-folder.js';

const MIB = 1024 * 1024;
const CMD = { read: 0, write: 1, disconnect: 2, flush: 3 } as const;
const IDENTIFIER = 'blkferry:1:d:a:v1';

/** A disk with room for everything. */
class Disk extends MemoryDevice implements PacedBlockDevice {
  constructor() {
    super(Buffer.alloc(4 * MIB), 4 * MIB, 512);
  }

  hasRoom(): boolean {
    return true;
  }

  whenRoom(): void {
    assert.fail('there was room');
  }
}

const folder = temporaryFolder();
let roots = 0;
let kernel: PretendKernel;
let volume: Disk;
let lost: string[];
let gone: string[];
let device: KernelDevice | undefined;

beforeEach(() => {
  roots += 1;
  kernel = new PretendKernel(path.join(folder, String(roots)));
  volume = new Disk();
  lost = [];
  gone = [];
  device = undefined;
});

afterEach(async () => {
  kernel.failure = undefined;
  await device?.disconnect();
  kernel.close();
});

function options(more: Partial<KernelDeviceOptions> = {}): KernelDeviceOptions {
  return {
    kernel,
    nodes: new DeviceNodes(SYSTEM_CLOCK, kernel.root),
    clock: SYSTEM_CLOCK,
    volume,
    exportName: 'v1',
    identifier: IDENTIFIER,
    connections: 1,
    blockBytes: 512,
    deadConnectionTimeoutMs: 61_500,
    resendIntervalMs: 2000,
    events: {
      socketLost: (reason) => lost.push(reason),
      gone: (reason) => gone.push(reason),
      requestFailed: () => undefined,
    },
    ...more,
  };
}

async function connect(more: Partial<KernelDeviceOptions> = {}): Promise<KernelDevice> {
  device = await KernelDevice.connect(options(more));
  return device;
}

/** Until the condition holds; the test's own time limit ends it otherwise. */
async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 2));
}

function link(): string {
  return path.join(kernel.root, 'dev/blkferry/v1');
}

describe('connecting a device', () => {
  it('tells the kernel size, blocks, flags, whose it is, and to wait instead of failing', async () => {
    await connect({ blockBytes: 4096, connections: 3 });
    const { socketFds, ...told } = kernel.only.connect;
    assert.equal(socketFds.length, 3);
    assert.deepEqual(told, {
      sizeBytes: 4 * MIB,
      blockBytes: 4096,
      // HAS_FLAGS, SEND_FLUSH, SEND_FUA, SEND_TRIM, SEND_WRITE_ZEROES, CAN_MULTI_CONN
      serverFlags: 0b1_0110_1101,
      // destroyed when disconnected
      clientFlags: 1,
      requestTimeoutSeconds: 0,
      deadConnectionTimeoutSeconds: 62,
      backendIdentifier: IDENTIFIER,
    });
    await until(() => kernel.requestTimer(0) === '2000');
  });

  it('of a volume that cannot be written makes it read-only, without discard', async () => {
    const { facts } = volume;
    volume.facts = { ...facts, capabilities: { ...facts.capabilities, canWrite: false } };
    await connect();
    // HAS_FLAGS, READ_ONLY, SEND_FLUSH, SEND_FUA, CAN_MULTI_CONN
    assert.equal(kernel.only.connect.serverFlags, 0b1_0000_1111);
  });

  it('is done when path, numbers and link are there', async () => {
    const made = await connect();
    assert.equal(made.path, path.join(kernel.root, 'dev/nbd0'));
    assert.deepEqual(made.numbers, { major: 43, minor: 0 });
    assert.equal(made.link, link());
    assert.equal(fs.readlinkSync(link()), '../nbd0');
  });

  it('serves the kernel: what is written is read back, each on its socket', async () => {
    await connect({ connections: 2 });
    const [first, second] = kernel.only.sockets;
    first!.send(CMD.write, 8192, 4096, Buffer.alloc(4096, 7));
    assert.equal(await first!.reply(), 0);
    second!.send(CMD.read, 8192, 4096);
    assert.equal(await second!.reply(), 0);
    assert.deepEqual(await second!.data(4096), Buffer.alloc(4096, 7));
  });

  it('that the kernel refuses leaves no socket', async () => {
    kernel.failure = new Error('EBUSY: device or resource busy, NBD_CMD_CONNECT');
    const before = fs.readdirSync('/proc/self/fd').length;
    await assert.rejects(connect(), /EBUSY/);
    await until(() => fs.readdirSync('/proc/self/fd').length <= before);
  });
});

describe('a lost socket', () => {
  it('is replaced by a new one under the same identifier, and the device goes on', async () => {
    const made = await connect();
    kernel.only.sockets[0]!.close();
    await until(() => kernel.only.sockets.length === 2);
    const [request] = kernel.only.reconfigurations;
    assert.equal(request!.backendIdentifier, IDENTIFIER);
    assert.equal(request!.sizeBytes, undefined);
    kernel.only.sockets[1]!.send(CMD.flush, 0, 0);
    assert.equal(await kernel.only.sockets[1]!.reply(), 0);
    assert.equal(made.liveConnections, 1);
    assert.equal(lost.length, 1);
  });

  it('is offered again when the kernel did not take it', async () => {
    await connect();
    kernel.takesSockets = false;
    kernel.only.sockets[0]!.close();
    await until(() => kernel.only.reconfigurations.length >= 2);
    kernel.takesSockets = true;
    await until(() => kernel.only.sockets.length === 2);
    kernel.only.sockets[1]!.send(CMD.flush, 0, 0);
    assert.equal(await kernel.only.sockets[1]!.reply(), 0);
  });

  it('with a goodbye means that somebody disconnected the device: nothing is replaced', async () => {
    const made = await connect();
    kernel.only.sockets[0]!.send(CMD.disconnect, 0, 0);
    await until(() => gone.length > 0);
    assert.match(gone[0]!, /nbd0 was disconnected by another program/);
    assert.equal(made.isGone, true);
    assert.equal(kernel.only.reconfigurations.length, 0);
    assert.equal(fs.existsSync(link()), false);
  });

  it('of a device that is another by now is not replaced', async () => {
    await connect();
    const backend = path.join(kernel.root, 'sys/block/nbd0/backend');
    fs.writeFileSync(backend, 'somebody-else\n');
    kernel.only.sockets[0]!.close();
    await until(() => gone.length > 0);
    assert.match(gone[0]!, /nbd0 is not connected any more/);
    assert.equal(kernel.only.reconfigurations.length, 0);
  });

  it('that sent what is no NBD request is closed, and replaced', async () => {
    await connect();
    const [first] = kernel.only.sockets;
    first!.sendRaw(Buffer.alloc(28, 0xff));
    await first!.untilClosed();
    await until(() => kernel.only.sockets.length === 2);
  });
});

describe('adopting a device of an earlier run', () => {
  async function abandoned(): Promise<void> {
    const earlier = await connect();
    await earlier.stopServing(Promise.resolve());
    device = undefined;
  }

  it('gives it new sockets and its size', async () => {
    await abandoned();
    await volume.resize(8 * MIB);
    device = await KernelDevice.adopt(options(), 0);
    assert.equal(kernel.only.reconfigurations[0]!.sizeBytes, 8 * MIB);
    kernel.only.sockets[1]!.send(CMD.flush, 0, 0);
    assert.equal(await kernel.only.sockets[1]!.reply(), 0);
    assert.equal(device.path, path.join(kernel.root, 'dev/nbd0'));
  });

  it('is refused for one that belongs to somebody else, who is named', async () => {
    await abandoned();
    await assert.rejects(
      KernelDevice.adopt(options({ identifier: 'blkferry:1:d:other:v1' }), 0),
      /nbd0 is not ours: it belongs to blkferry:1:d:a:v1/,
    );
    assert.equal(kernel.only.reconfigurations.length, 0);
  });
});

describe('the end of a device', () => {
  it('in an ordered stop of the daemon waits for answers, and leaves it to the next daemon', async () => {
    const made = await connect();
    const [socket] = kernel.only.sockets;
    volume.hold();
    socket!.send(CMD.flush, 0, 0);
    await until(() => volume.heldCount === 1);
    const stopped = made.stopServing(new Promise(() => undefined));
    volume.completeAll();
    assert.equal(await socket!.reply(), 0);
    await stopped;
    await socket!.untilClosed();
    assert.deepEqual(kernel.disconnects, []);
    assert.equal(kernel.only.reconfigurations.length, 0);
    assert.equal(fs.readlinkSync(link()), '../nbd0');
  });

  it('in an ordered stop does not wait for ever', async () => {
    const made = await connect();
    volume.hold();
    kernel.only.sockets[0]!.send(CMD.flush, 0, 0);
    await until(() => volume.heldCount === 1);
    await made.stopServing(Promise.resolve());
    await kernel.only.sockets[0]!.untilClosed();
    volume.completeAll();
  });

  it('disconnects it, and takes its link away', async () => {
    const made = await connect();
    await made.disconnect();
    assert.deepEqual(kernel.disconnects, [0]);
    assert.equal(fs.existsSync(link()), false);
    await made.disconnect();
    assert.deepEqual(kernel.disconnects, [0]);
  });

  it('never disconnects a device that is somebody else’s by now', async () => {
    const made = await connect();
    fs.writeFileSync(path.join(kernel.root, 'sys/block/nbd0/backend'), 'somebody-else\n');
    await made.disconnect();
    assert.deepEqual(kernel.disconnects, []);
  });
});

describe('a resize', () => {
  it('is told to the kernel once', async () => {
    const made = await connect();
    await made.resize(8 * MIB);
    await made.resize(8 * MIB);
    assert.deepEqual(
      kernel.only.reconfigurations.map(({ sizeBytes }) => sizeBytes),
      [8 * MIB],
    );
  });
});
