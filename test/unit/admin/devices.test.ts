/** Attach, detach and restart with a kernel device: who gets one, who is refused, and what is left of it. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { AttachmentFile } from '#daemon/admin/attachment-file.js';
import { StorageError } from '#daemon/rpc/storage-error.js';
import { attachRequest } from '#test/support/attach-request.js';
import { temporaryFolder } from '#test/support/temporary-folder.js';
import { AttachmentBench } from './attachment-bench.js';

const WITH_DEVICE = attachRequest('v1', { device: 'kernel' });
const AS_THE_DAEMON_LIKES = attachRequest('v1', { device: 'unspecified' });
const FLUSH = 3;

const root = temporaryFolder();
let folders = 0;
let bench: AttachmentBench;

beforeEach(() => {
  folders += 1;
  bench = new AttachmentBench(path.join(root, String(folders)));
});

afterEach(async () => {
  await bench.attachments.stop(50);
  bench.kernel.close();
});

function refusal(code: string): Error {
  return Object.assign(new Error(`${code}: refused by the kernel`), { code });
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 2));
}

/** As the kernel shows a mounted device. */
function mount(index: number): void {
  fs.mkdirSync(path.join(bench.machine, 'proc/self'), { recursive: true });
  const line = `51 26 43:${index * 32} / /mnt/x rw - ext4 /dev/nbd${index} rw\n`;
  fs.writeFileSync(path.join(bench.machine, 'proc/self/mountinfo'), line);
}

describe('attach', () => {
  it('with a device shows where it is, and records it', async () => {
    const { attachment, deviceProblem } = await bench.attachments.attach(WITH_DEVICE);
    assert.equal(deviceProblem, '');
    assert.deepEqual(attachment.device, {
      path: path.join(bench.machine, 'dev/nbd0'),
      link: path.join(bench.machine, 'dev/blkferry/v1'),
      major: 43,
      minor: 0,
      connections: 1,
      blockBytes: 512,
      liveConnections: 1,
    });
    const [record] = new AttachmentFile(bench.folder).read();
    assert.deepEqual(record?.device, { index: 0, connections: 1, blockBytes: 512 });
    assert.equal(
      bench.kernel.only.connect.backendIdentifier,
      `blkferry:1:daemon-1:${attachment.attachmentId}:v1`,
    );
  });

  it('makes a device by itself where the kernel can, and says why where it cannot', async () => {
    const made = await bench.attachments.attach(AS_THE_DAEMON_LIKES);
    assert.notEqual(made.attachment.device, undefined);
    await bench.attachments.detach({ exportName: 'v1', force: false });
    bench.kernel.failure = refusal('ENOENT');
    const without = await bench.attachments.attach(AS_THE_DAEMON_LIKES);
    assert.equal(without.attachment.device, undefined);
    assert.equal(without.deviceProblem, 'the kernel module nbd is not loaded; run: modprobe nbd');
  });

  it('that must have a device fails without one, and leaves nothing', async () => {
    bench.isPermitted = false;
    await assert.rejects(
      bench.attachments.attach(WITH_DEVICE),
      /v1 gets no device: blkferryd may not make block devices: that needs CAP_SYS_ADMIN; run it as root/,
    );
    assert.equal(bench.attachments.count, 0);
    assert.equal(bench.node.releases, 1);
    assert.deepEqual(bench.replayFolders(), []);
  });

  it('refuses a device whose name would be that of another one’s partition', async () => {
    const attached = bench.attachments.attach({ ...WITH_DEVICE, exportName: 'vol-part1' });
    await assert.rejects(attached, /a device cannot be called vol-part1: names that end so/);
    assert.equal(bench.kernel.devices.size, 0);
  });

  it('ends its device again when the record cannot be written', async () => {
    bench.breakStateDirectory();
    await assert.rejects(bench.attachments.attach(WITH_DEVICE), /cannot be recorded/);
    assert.deepEqual(bench.kernel.disconnects, [0]);
    assert.equal(bench.kernel.devices.size, 0);
  });

  it('refuses blocks that the kernel or the volume cannot have', async () => {
    const withBlocks = (deviceBlockBytes: number): Promise<unknown> =>
      bench.attachments.attach({ ...WITH_DEVICE, deviceBlockBytes });
    await assert.rejects(withBlocks(8192), /blocks of 8192 bytes: 512, 1024, 2048 and 4096/);
    await assert.rejects(withBlocks(1000), /blocks of 1000 bytes/);
    assert.equal(bench.attachments.count, 0);
  });

  it('of what is attached is the same only with the same device', async () => {
    await bench.attachments.attach(WITH_DEVICE);
    assert.equal((await bench.attachments.attach(AS_THE_DAEMON_LIKES)).existed, true);
    assert.equal((await bench.attachments.attach(WITH_DEVICE)).existed, true);
    for (const other of [
      { deviceBlockBytes: 4096 },
      { deviceConnections: 2 },
      { device: 'none' as const },
    ]) {
      await assert.rejects(
        bench.attachments.attach({ ...WITH_DEVICE, ...other }),
        /v1 is attached with a device of 512-byte blocks and 1 connection; detach it first/,
      );
    }
  });

  it('with a device of what is attached without one is refused', async () => {
    await bench.attachments.attach(attachRequest('v1'));
    await assert.rejects(
      bench.attachments.attach(WITH_DEVICE),
      /v1 is attached without a device; detach it, then attach it with --device/,
    );
  });
});

describe('detach', () => {
  it('ends the device', async () => {
    await bench.attachments.attach(WITH_DEVICE);
    await bench.attachments.detach({ exportName: 'v1', force: false });
    assert.deepEqual(bench.kernel.disconnects, [0]);
    assert.equal(fs.existsSync(path.join(bench.machine, 'dev/blkferry/v1')), false);
  });

  it('is refused while the device is in use, and changes nothing', async () => {
    await bench.attachments.attach(WITH_DEVICE);
    mount(0);
    await assert.rejects(
      bench.attachments.detach({ exportName: 'v1', force: false }),
      /dev\/blkferry\/v1 is in use: mounted at \/mnt\/x; end that first, or use --force, which fails its I\/O/,
    );
    assert.deepEqual(bench.kernel.disconnects, []);
    bench.kernel.only.sockets[0]!.send(FLUSH, 0, 0);
    assert.equal(await bench.kernel.only.sockets[0]!.reply(), 0);
  });

  it('waits for its users as long as it is told to', async () => {
    await bench.attachments.attach(WITH_DEVICE);
    mount(0);
    const detach = (waitMs: number): Promise<unknown> =>
      bench.attachments.detach({ exportName: 'v1', force: false, waitMs });
    await assert.rejects(detach(1), /v1 is in use: mounted at/);
    await assert.rejects(detach(300_001), /a detach waits 300 s at most/);
    const detached = detach(60_000);
    await turns();
    assert.equal(bench.attachments.count, 1);
    fs.rmSync(path.join(bench.machine, 'proc/self/mountinfo'));
    assert.deepEqual(await detached, { absent: false, discardedBytes: 0 });
  });

  it('of what was attached under an id of the caller finds it by that id', async () => {
    const attachmentId = '0f8fad5b-d9cb-469f-a165-70867728950e';
    const { attachment } = await bench.attachments.attach({ ...WITH_DEVICE, attachmentId });
    assert.equal(attachment.attachmentId, attachmentId);
    const again = { ...WITH_DEVICE, exportName: 'again', readOnly: true, attachmentId };
    await assert.rejects(bench.attachments.attach(again), /with the id 0f8fad5b-\S+ is v1;/);
    for (const id of ['..', '../x', '0F8FAD5B-D9CB-469F-A165-70867728950E', 'a'.repeat(36)]) {
      const odd = { ...WITH_DEVICE, exportName: 'odd', attachmentId: id };
      await assert.rejects(bench.attachments.attach(odd), /cannot be an attachment's id/);
    }
    await bench.attachments.detach({
      exportName: 'v1',
      force: false,
      attachmentIds: [attachmentId],
    });
    assert.equal(bench.attachments.count, 0);
  });

  it('of an id leaves another attachment alone', async () => {
    const { attachment } = await bench.attachments.attach(WITH_DEVICE);
    const { attachmentId } = attachment;
    const detach = (id: string): Promise<{ absent: boolean }> =>
      bench.attachments.detach({ exportName: 'v1', force: false, attachmentIds: ['x', id] });
    assert.equal((await detach('another')).absent, true);
    assert.equal(bench.attachments.count, 1);
    assert.equal((await detach(attachmentId)).absent, false);
    assert.equal(bench.attachments.count, 0);
  });

  it('by force does not ask who uses it', async () => {
    await bench.attachments.attach(WITH_DEVICE);
    mount(0);
    await bench.attachments.detach({ exportName: 'v1', force: true });
    assert.deepEqual(bench.kernel.disconnects, [0]);
    assert.equal(bench.attachments.count, 0);
  });
});

describe('a restart', () => {
  it('adopts the device: it is not made again', async () => {
    await bench.attachments.attach(WITH_DEVICE);
    await bench.attachments.stop(50);
    await bench.start().restore();
    assert.equal(bench.kernel.only.reconfigurations.length, 1);
    assert.equal(bench.attachments.get('v1').device?.liveConnections, 1);
    bench.kernel.only.sockets[1]!.send(FLUSH, 0, 0);
    assert.equal(await bench.kernel.only.sockets[1]!.reply(), 0);
  });

  it('finds it under whatever number it has', async () => {
    await bench.attachments.attach(WITH_DEVICE);
    await bench.attachments.stop(50);
    const file = new AttachmentFile(bench.folder);
    const [record] = file.read();
    file.write([{ ...record!, device: { ...record!.device!, index: 7 } }]);
    await bench.start().restore();
    assert.equal(bench.kernel.only.reconfigurations.length, 1);
    assert.equal(file.read()[0]?.device?.index, 0);
  });

  it('makes a new one where the old one is gone, as after a reboot', async () => {
    await bench.attachments.attach(WITH_DEVICE);
    await bench.attachments.stop(50);
    await bench.kernel.nbdDisconnect(0);
    await bench.start().restore();
    assert.equal(bench.kernel.only.reconfigurations.length, 0);
    assert.equal(bench.attachments.get('v1').device?.path, path.join(bench.machine, 'dev/nbd1'));
    assert.equal(new AttachmentFile(bench.folder).read()[0]?.device?.index, 1);
  });

  it('leaves the device of another daemon alone', async () => {
    await bench.attachments.attach(WITH_DEVICE);
    await bench.attachments.stop(50);
    bench.daemonId = 'daemon-2';
    await bench.start().restore();
    assert.deepEqual(bench.kernel.disconnects, []);
    assert.equal(bench.kernel.devices.get(0)?.reconfigurations.length, 0);
    assert.equal(bench.kernel.devices.size, 2);
  });

  it('ends devices of its own that no record claims', async () => {
    await bench.attachments.attach(WITH_DEVICE);
    await bench.attachments.stop(50);
    new AttachmentFile(bench.folder).write([]);
    await bench.start().restore();
    assert.deepEqual(bench.kernel.disconnects, [0]);
    assert.ok(bench.events().includes('orphan_device_found'));
  });

  it('without its node lets the kernel wait, and goes on when the node is back', async () => {
    await bench.attachments.attach(WITH_DEVICE);
    await bench.attachments.stop(50);
    bench.node.away = new StorageError('unavailable', 'connection refused');
    await bench.start().restore();
    assert.equal(bench.kernel.only.reconfigurations.length, 0);
    bench.node.away = undefined;
    await until(() => bench.kernel.only.reconfigurations.length === 1);
  });
});

describe('a resize of the volume', () => {
  it('reaches the device', async () => {
    await bench.attachments.attach(WITH_DEVICE);
    bench.node.resize(2 * 1024 * 1024);
    await until(() => bench.kernel.only.reconfigurations.length === 1);
    assert.equal(bench.kernel.only.reconfigurations[0]?.sizeBytes, 2 * 1024 * 1024);
  });
});

/** Of the event loop, enough for a detach that does not wait. */
async function turns(): Promise<void> {
  for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}
