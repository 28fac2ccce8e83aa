/** The device as file systems see it: made, mounted, filled, checked, attached again, grown, and trimmed. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { runSuccessfully } from '#test/support/program.js';
import {
  DeviceBench,
  KernelLog,
  SLOW_MS,
  attribute,
  missingNbd,
  mounted,
  until,
} from './device-bench.js';

const MIB = 1024 * 1024;
const TREE = fs.realpathSync(new URL('../../../../proto', import.meta.url));

function run(name: string, ...words: readonly string[]): Promise<string> {
  return runSuccessfully(name, words, { timeoutMs: SLOW_MS });
}

describe('a kernel device', { skip: missingNbd() }, () => {
  const bench = new DeviceBench();
  const mountPoint = path.join(bench.folder, 'mnt');

  before(() => bench.start());
  after(() => bench.stop());

  it('is there when attach has printed its path, with size, blocks and numbers', async () => {
    await bench.createVolume('sizes', 64 * MIB);
    const { status, stdout } = await bench.blkferry('attach', 'sizes', '--device');
    assert.equal(status, 0);
    assert.match(stdout, /^volume sizes attached as sizes\n\/dev\/blkferry\/sizes\n/);
    const device = (await bench.device('sizes'))!;
    assert.equal(device.link, '/dev/blkferry/sizes');
    assert.equal(fs.realpathSync(device.link), device.path);
    const { rdev } = fs.statSync(device.path);
    assert.deepEqual([rdev >> 8, rdev & 0xff], [device.major, device.minor]);
    assert.equal((await run('blockdev', '--getsize64', device.link)).trim(), String(64 * MIB));
    assert.equal((await run('blockdev', '--getss', device.link)).trim(), '512');
    assert.equal(attribute(device.link, 'queue/write_cache'), 'write back');
    assert.equal(attribute(device.link, 'queue/fua'), '1');
    assert.notEqual(attribute(device.link, 'queue/discard_max_bytes'), '0');
    assert.equal((await run('blockdev', '--getro', device.link)).trim(), '0');
    await bench.detach('sizes');
    assert.equal(fs.existsSync(device.link), false);
  });

  it('has blocks of 4096 bytes if asked to', async () => {
    const device = await bench.newDevice('blocks', 64 * MIB, { blockBytes: 4096 });
    assert.equal((await run('blockdev', '--getss', device)).trim(), '4096');
    assert.equal((await run('blockdev', '--getpbsz', device)).trim(), '4096');
    await bench.detach('blocks');
  });

  it('that is read-only cannot be written', async () => {
    await bench.createVolume('ro', 64 * MIB);
    const { link } = await bench.attach('ro', { readOnly: true });
    assert.equal((await run('blockdev', '--getro', link)).trim(), '1');
    await bench.detach('ro');
  });

  it('may have 20 TiB', async () => {
    const device = await bench.newDevice('large', 20 * 1024 ** 4);
    assert.equal((await run('blockdev', '--getsize64', device)).trim(), String(20 * 1024 ** 4));
    const last = 20 * 1024 ** 2 - 1;
    const input = path.join(bench.folder, 'block');
    fs.writeFileSync(input, Buffer.alloc(MIB, 'end of the disk '));
    await run('dd', `if=${input}`, `of=${device}`, 'bs=1M', `seek=${last}`, 'oflag=direct');
    const output = path.join(bench.folder, 'read');
    await run('dd', `if=${device}`, `of=${output}`, 'bs=1M', `skip=${last}`, 'iflag=direct');
    assert.deepEqual(fs.readFileSync(output), fs.readFileSync(input));
    await bench.detach('large');
  });

  for (const [kind, size, check] of [
    ['ext4', 128 * MIB, ['e2fsck', '-fn']],
    ['xfs', 320 * MIB, ['xfs_repair', '-n']],
  ] as const) {
    it(`keeps a file tree on ${kind} over detach and attach`, async () => {
      const log = new KernelLog();
      const first = await bench.newDevice(kind, size);
      await run(`mkfs.${kind}`, '-q', first);
      await mounted(first, mountPoint, async () => {
        await run('cp', '-a', TREE, path.join(mountPoint, 'tree'));
      });
      await run(check[0], check[1], first);
      await bench.detach(kind);
      const { link } = await bench.attach(kind);
      await mounted(link, mountPoint, async () => {
        await run('diff', '-r', TREE, path.join(mountPoint, 'tree'));
      });
      await bench.detach(kind);
      assert.deepEqual(await log.errors(), []);
    });
  }

  it('gives the node its space back by discard and by fstrim', async () => {
    const device = await bench.newDevice('space', 256 * MIB);
    const allocatedMiB = (): Promise<number> => bench.allocatedMiB('space');
    await run('dd', 'if=/dev/urandom', `of=${device}`, 'bs=1M', 'count=64', 'oflag=direct');
    assert.ok((await allocatedMiB()) >= 64);
    await run('blkdiscard', device);
    assert.equal(await allocatedMiB(), 0);
    await run('mkfs.ext4', '-q', device);
    await mounted(device, mountPoint, async () => {
      await run(
        'dd',
        'if=/dev/urandom',
        `of=${mountPoint}/file`,
        'bs=1M',
        'count=48',
        'conv=fsync',
      );
      const full = await allocatedMiB();
      fs.rmSync(path.join(mountPoint, 'file'));
      await run('sync');
      await run('fstrim', mountPoint);
      const trimmed = await allocatedMiB();
      assert.ok(full - trimmed >= 47, `${full} MiB before, ${trimmed} MiB after`);
    });
    await bench.detach('space');
  });

  it('shows a new size while it is mounted', async () => {
    const device = await bench.newDevice('grows', 64 * MIB);
    await run('mkfs.ext4', '-q', device);
    await mounted(device, mountPoint, async () => {
      await bench.resize('grows', 128 * MIB);
      const sectors = String((128 * MIB) / 512);
      await until('the new size', 10_000, () => attribute(device, 'size') === sectors);
      await run('resize2fs', device);
      const { blocks, bsize } = fs.statfsSync(mountPoint);
      assert.ok(blocks * bsize > 100 * MIB);
    });
    await run('e2fsck', '-fn', device);
    await bench.detach('grows');
  });

  it('becomes smaller only when the volume is told to lose data', async () => {
    const device = await bench.newDevice('shrinks', 128 * MIB);
    await assert.rejects(bench.resize('shrinks', 64 * MIB), /shrink|smaller/);
    assert.equal(attribute(device, 'size'), String((128 * MIB) / 512));
    await bench.resize('shrinks', 64 * MIB, true);
    const sectors = String((64 * MIB) / 512);
    await until('the new size', 10_000, () => attribute(device, 'size') === sectors);
    await bench.detach('shrinks');
  });

  it('passes fio with verification, 4 jobs of direct random reads and writes', async () => {
    const device = await bench.newDevice('fio', 64 * MIB, { connections: 2 });
    const output = await run(
      'fio',
      ...['--name=job', `--filename=${device}`, '--ioengine=libaio', '--direct=1', '--rw=randrw'],
      ...['--numjobs=4', '--size=2M', '--offset_increment=16M', '--iodepth=16', '--bsrange=4k-64k'],
      ...['--verify=crc32c', '--verify_fatal=1', '--verify_state_save=0', '--group_reporting'],
    );
    assert.match(output, /err= 0/);
    await bench.detach('fio');
  });
});
