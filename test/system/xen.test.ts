/**
 * Guests whose disks are volumes, over the whole way: blkfront, blkback, the nbd driver, blkferryd, gRPC, a
 * storage node and its file. Goal: what a guest wrote is what the node has, failures are readable in xl's
 * output, and a dead daemon is not noticed. Runs in Dom0 only; one boot of Xen serves all of it.
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, it, type TestContext } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { createAdminClient } from '#daemon/cli/admin-client.js';
import { SYSTEM_CLOCK } from '#daemon/runtime/clock.js';
import { createGrpcStorageClient } from '#daemon/transport/grpc-storage-client.js';
import {
  missingPrograms,
  runProgram,
  runSuccessfully,
  RunningProgram,
  type Finished,
} from '#test/support/program.js';
import { temporaryFolder } from '#test/support/temporary-folder.js';
import { XenGuest } from './xen-guest.js';

const MIB = 1024 * 1024;
const VOLUME_BYTES = 64 * MIB;
const PROGRAMS = fileURLToPath(new URL('../../../daemon/dist/program/', import.meta.url));
const SCRIPT = fileURLToPath(new URL('../../../scripts/xen/block-blkferry', import.meta.url));
const NODE_ADDRESS = '127.0.0.1:7600';
/** Where nobody listens. */
const NO_NODE = '127.0.0.1:7999';

/** Everything is emulated: programs start slowly. */
const READY_LIMIT_MS = 180_000;
const COMMAND_LIMIT_MS = 180_000;

/** A guest that makes a file system, fills it, reads it back, and leaves a mark at the end of the disk. */
const FILE_SYSTEM_STORY = `
until_there /dev/xvda
mkfs.ext4 -q -F /dev/xvda 48M
mount -t ext4 /dev/xvda /mnt
dd if=/dev/urandom of=/mnt/data bs=64k count=128 2>/dev/null
sum=$(sha256sum </mnt/data)
sync
umount /mnt
echo 3 >/proc/sys/vm/drop_caches
mount -t ext4 /dev/xvda /mnt
[ "$(sha256sum </mnt/data)" = "$sum" ]
echo "data $sum"
umount /mnt
dd if=/dev/urandom of=/dev/xvda bs=1M seek=56 count=4 2>/dev/null
sync
blkdiscard -o $((56 * 1048576)) -l $((4 * 1048576)) /dev/xvda
echo 3 >/proc/sys/vm/drop_caches
[ "$(dd if=/dev/xvda bs=1M skip=56 count=4 2>/dev/null | tr -d '\\0' | wc -c)" = 0 ]
echo "discarded"
`;

const folder = temporaryFolder();
const skip = missingDom0();
let node: RunningProgram | undefined;
let daemon: RunningProgram | undefined;
const guests: XenGuest[] = [];

const admin = createAdminClient({ address: 'unix:/run/blkferry/admin.sock', timeoutMs: 60_000 });
const storage = createGrpcStorageClient({
  address: NODE_ADDRESS,
  callTimeoutMs: 60_000,
  sessionTimes: { openTimeoutMs: 60_000, probeIntervalMs: 1000, probeTimeoutMs: 60_000 },
  insecure: false,
  clock: SYSTEM_CLOCK,
});

async function blkferry(...words: string[]): Promise<Finished> {
  return runProgram(path.join(PROGRAMS, 'blkferry.js'), words, { timeoutMs: COMMAND_LIMIT_MS });
}

async function blkferryDone(...words: string[]): Promise<string> {
  const { status, stdout, stderr } = await blkferry(...words);
  assert.equal(status, 0, `blkferry ${words.join(' ')}\n${stderr}`);
  return stdout;
}

async function startNode(): Promise<void> {
  const words = ['--data-directory', path.join(folder, 'node'), '--listen', NODE_ADDRESS];
  ({ program: node } = await RunningProgram.start(path.join(PROGRAMS, 'blkferry-node.js'), words, {
    readyLine: /^blkferry-node ready: /,
    timeoutMs: READY_LIMIT_MS,
  }));
}

async function startDaemon(): Promise<void> {
  const words = ['--node', NODE_ADDRESS, '--state-directory', path.join(folder, 'state')];
  ({ program: daemon } = await RunningProgram.start(path.join(PROGRAMS, 'blkferryd.js'), words, {
    readyLine: /^blkferryd ready: /,
    timeoutMs: READY_LIMIT_MS,
  }));
}

function newGuest(name: string, disks: string[], story: string): Promise<XenGuest> {
  return XenGuest.make(name, disks, story).then((guest) => {
    guests.push(guest);
    return guest;
  });
}

function scriptDisk(volume: string, vdev = 'xvda', nodeAddress = NODE_ADDRESS): string {
  return `script=block-blkferry,vdev=${vdev},access=rw,target=${volume}@${nodeAddress}`;
}

/** Asked through the API: each start of a program keeps the only processor from the hotplug script for seconds. */
async function isAttached(volume: string): Promise<boolean> {
  const attached = await admin.listAttachments();
  return attached.some(({ exportName }) => exportName === volume);
}

/** Removing a disk is xl's to wait for; the guest's own end is not. */
async function untilDetached(volume: string): Promise<void> {
  const untilMs = Date.now() + COMMAND_LIMIT_MS;
  while (await isAttached(volume)) {
    assert.ok(Date.now() < untilMs, `${volume} stays attached\n${hotplugLog()}`);
    await wait(200);
  }
}

/** Prints what a step took, beside the test's result. */
async function timed<Value>(
  context: TestContext,
  what: string,
  step: () => Promise<Value>,
): Promise<Value> {
  const sinceMs = performance.now();
  const value = await step();
  context.diagnostic(`${what}: ${Math.round(performance.now() - sinceMs)} ms`);
  return value;
}

/** What the hotplug scripts said, and what xl said of them when nobody was looking any more. */
function hotplugLog(): string {
  const logs = '/var/log/xen';
  if (!fs.existsSync(logs)) return '';
  const names = fs.readdirSync(logs).filter((name) => /^(xen-hotplug|xl-.*)\.log$/.test(name));
  return names
    .map((name) => `${name}: ${fs.readFileSync(path.join(logs, name), 'latin1').slice(-2000)}`)
    .join('\n');
}

/** What the node has: the whole volume, read without the daemon. */
async function volumeImage(volume: string): Promise<Buffer> {
  const image = path.join(folder, `${volume}.raw`);
  await blkferryDone('export', volume, image, '--node', NODE_ADDRESS);
  const bytes = fs.readFileSync(image);
  fs.rmSync(image);
  return bytes;
}

/** The guest's file system, checked from here, and its file, which must be what the guest said. */
async function checkFileSystem(volume: string, said: string): Promise<void> {
  const sum = /^data ([0-9a-f]{64})/m.exec(said)?.[1];
  assert.ok(sum !== undefined, said);
  assert.match(said, /^discarded\r?$/m);
  const image = path.join(folder, 'checked.raw');
  const bytes = await volumeImage(volume);
  fs.writeFileSync(image, bytes);
  await runSuccessfully('e2fsck', ['-fn', image]);
  const copy = path.join(folder, 'data');
  await runSuccessfully('debugfs', ['-R', `dump /data ${copy}`, image]);
  assert.equal(createHash('sha256').update(fs.readFileSync(copy)).digest('hex'), sum);
  const discarded = bytes.subarray(56 * MIB, 60 * MIB);
  assert.ok(discarded.equals(Buffer.alloc(4 * MIB)), 'the discarded range does not read as zeroes');
}

/** @returns for the `skip` of a suite: false, or why there can be no guests here */
function missingDom0(): string | false {
  const capabilities = '/proc/xen/capabilities';
  const isDom0 =
    fs.existsSync(capabilities) && fs.readFileSync(capabilities, 'latin1').includes('control_d');
  if (!isDom0) return 'not in Dom0 of a Xen host; scripts/lab xen has one';
  return missingPrograms('xl', 'busybox', 'cpio', 'mkfs.ext4', 'e2fsck', 'debugfs');
}

before(async () => {
  if (skip !== false) return;
  fs.copyFileSync(SCRIPT, '/etc/xen/scripts/block-blkferry');
  fs.chmodSync('/etc/xen/scripts/block-blkferry', 0o755);
  fs.mkdirSync('/etc/default', { recursive: true });
  fs.writeFileSync('/etc/default/blkferry', `BLKFERRY=${path.join(PROGRAMS, 'blkferry.js')}\n`);
  await startNode();
  await startDaemon();
  for (const volume of ['script', 'plain', 'second', 'survivor', 'wanted']) {
    const shape = { sizeBytes: VOLUME_BYTES, blockBytes: 512, backend: '' };
    await storage.createVolume({ name: volume, ...shape });
  }
});

after(async () => {
  admin.close();
  storage.close();
  if (skip !== false) return;
  for (const guest of guests) await guest.destroy();
  await daemon?.stop();
  await node?.stop();
});

describe('a guest whose disk is script=block-blkferry', { skip }, () => {
  it('makes a file system, reads back what it wrote, and the node has it', async (context) => {
    const guest = await newGuest('script', [scriptDisk('script')], FILE_SYSTEM_STORY);
    await timed(context, 'xl create', () => guest.start());
    const said = await timed(context, 'the guest', () => guest.ended());
    await timed(context, 'until it is detached', () => untilDetached('script'));
    await checkFileSystem('script', said);
  });

  it('has its volume attached while it runs, and a second guest does not get it', async () => {
    const first = await newGuest('first', [scriptDisk('wanted')], 'until_there /dev/xvdb');
    await first.start();
    assert.ok(await isAttached('wanted'));
    const second = await newGuest('other', [scriptDisk('wanted')], 'echo started');
    const { status, stderr } = await second.create();
    assert.notEqual(status, 0);
    assert.match(stderr, /script: volume wanted is in use by the guest first/);
    assert.ok(await isAttached('wanted'));
    await first.destroy();
    await untilDetached('wanted');
  });
});

describe('a guest whose disk is phy:/dev/blkferry/NAME', { skip }, () => {
  it('makes a file system, reads back what it wrote, and the node has it', async (context) => {
    await blkferryDone('attach', 'plain', '--node', NODE_ADDRESS, '--device');
    const guest = await newGuest('plain', ['phy:/dev/blkferry/plain,xvda,w'], FILE_SYSTEM_STORY);
    await timed(context, 'xl create', () => guest.start());
    const said = await timed(context, 'the guest', () => guest.ended());
    assert.ok(await isAttached('plain'));
    await blkferryDone('detach', 'plain');
    await checkFileSystem('plain', said);
  });
});

describe('a running guest', { skip }, () => {
  it('gets a second disk with block-attach and gives it back with block-detach', async (context) => {
    const story = `
until_there /dev/xvda
echo "waiting"
until_there /dev/xvdb
yes blkferry | dd of=/dev/xvdb bs=64k count=16 iflag=fullblock 2>/dev/null
sync
echo "written"
until_gone /dev/xvdb
`;
    const guest = await newGuest('growing', [scriptDisk('script')], story);
    await guest.start();
    await guest.says(/^waiting/m);
    const disk = scriptDisk('second', 'xvdb');
    await timed(context, 'xl block-attach', () =>
      runSuccessfully('xl', ['block-attach', guest.name, disk]),
    );
    await guest.says(/^written/m);
    await timed(context, 'xl block-detach', () =>
      runSuccessfully('xl', ['block-detach', guest.name, 'xvdb']),
    );
    assert.equal(await isAttached('second'), false);
    await guest.ended();
    const written = (await volumeImage('second')).subarray(0, MIB);
    assert.ok(written.equals(Buffer.alloc(MIB, 'blkferry\n')));
  });

  it('goes on writing when the daemon is killed and started again', async (context) => {
    const story = `
until_there /dev/xvda
mkfs.ext4 -q -F /dev/xvda 48M
mount -t ext4 -o errors=panic /dev/xvda /mnt
echo "writing"
for round in 1 2 3 4 5 6 7 8 9 10 11 12; do
  dd if=/dev/urandom of=/mnt/$round bs=64k count=16 conv=fsync 2>/dev/null
  sha256sum /mnt/$round >>/mnt/sums
  echo "round $round"
done
sync
echo 3 >/proc/sys/vm/drop_caches
sha256sum -c -s /mnt/sums
umount /mnt
echo "all rounds right"
`;
    const guest = await newGuest('survivor', [scriptDisk('survivor')], story);
    await guest.start();
    for (const round of [2, 6]) {
      await guest.says(new RegExp(`^round ${round}\\b`, 'm'));
      await timed(context, 'kill and start of the daemon', async () => {
        await daemon?.kill();
        await startDaemon();
      });
    }
    const said = await guest.ended();
    assert.match(said, /^all rounds right/m);
    assert.doesNotMatch(said, /I\/O error|EXT4-fs error/i);
    await untilDetached('survivor');
  });
});

describe('a guest whose disk cannot be had', { skip }, () => {
  it('does not start, and xl says that there is no such volume', async () => {
    const guest = await newGuest('nowhere', [scriptDisk('unheard-of')], 'echo started');
    const { status, stderr } = await guest.create();
    assert.notEqual(status, 0);
    assert.match(stderr, /script: .*unheard-of/);
  });

  it('does not start, and xl says that the node is away', async () => {
    const guest = await newGuest('away', [scriptDisk('script', 'xvda', NO_NODE)], 'echo started');
    const { status, stderr } = await guest.create();
    assert.notEqual(status, 0);
    assert.match(stderr, new RegExp(`script: .*${NO_NODE}`));
    assert.equal(await isAttached('script'), false);
  });

  it('does not start while the volume is mounted here', async () => {
    await blkferryDone('attach', 'plain', '--node', NODE_ADDRESS, '--device');
    const place = path.join(folder, 'mounted');
    fs.mkdirSync(place);
    await runSuccessfully('mount', ['/dev/blkferry/plain', place]);
    const guest = await newGuest('mounted', [scriptDisk('plain')], 'echo started');
    const { status, stderr } = await guest.create();
    await runSuccessfully('umount', [place]);
    assert.notEqual(status, 0);
    assert.match(stderr, /script: volume plain is in use by this host, mounted at \//);
    await blkferryDone('detach', 'plain');
  });
});
