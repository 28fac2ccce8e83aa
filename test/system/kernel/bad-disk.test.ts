/**
 * Goal: a node whose disk fails says so, and what was answered is there when the disk works again. Method: the
 * node's volumes are on a file system on a device-mapper device that can be told to fail; a load judges every
 * read. All blocks were written before, and the file system has no journal: it is the data that fails.
 */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { submitAsync } from '#daemon/block/block-device.js';
import { flushRequest, writeRequest } from '#daemon/block/block-request.js';
import type { CheckedLoad } from '#daemon/cli/selftest/checked-load.js';
import { FaultStack } from '#test/faults/fault-stack.js';
import { assertKept, FaultTable, newLoad, randomPause, waitFor } from '#test/faults/fault-table.js';
import { PATIENCE, missingPrograms, runProgram, runSuccessfully } from '#test/support/program.js';
import { temporaryFolder } from '#test/support/temporary-folder.js';

const MIB = 1024 * 1024;
const VOLUME_BYTES = 16 * MIB;
const DISK_BYTES = 64 * MIB;
const SECTOR_BYTES = 512;
const NAME = `blkferry-${process.pid}`;
const ROUNDS = 4;

/** A disk that works, or fails as it is told (dmsetup(8)). */
class MappedDisk {
  #loop = '';

  constructor(readonly image: string) {}

  get device(): string {
    return `/dev/mapper/${NAME}`;
  }

  async make(): Promise<void> {
    fs.writeFileSync(this.image, '');
    fs.truncateSync(this.image, DISK_BYTES);
    this.#loop = (await runSuccessfully('losetup', ['--find', '--show', this.image])).trim();
    await this.#dmsetup('create', NAME, '--table', this.#table('linear'));
    // Where no udev does it.
    await this.#dmsetup('mknodes', NAME);
  }

  /** From now on every request is answered so: `linear` works, `error` fails, `flakey` does one after the other. */
  async become(target: 'linear' | 'error' | 'flakey'): Promise<void> {
    await this.#dmsetup('load', NAME, '--table', this.#table(target));
    // What is on its way meets the new disk.
    await this.#dmsetup('suspend', '--nolockfs', '--noflush', NAME);
    await this.#dmsetup('resume', NAME);
  }

  async remove(): Promise<void> {
    await runProgram('dmsetup', ['remove', '--force', '--noudevsync', NAME]);
    if (this.#loop !== '') await runProgram('losetup', ['--detach', this.#loop]);
  }

  #table(target: 'linear' | 'error' | 'flakey'): string {
    const words = {
      linear: `linear ${this.#loop} 0`,
      error: 'error',
      // One second of work, one of failing writes, for ever.
      flakey: `flakey ${this.#loop} 0 1 1 1 error_writes`,
    };
    return `0 ${DISK_BYTES / SECTOR_BYTES} ${words[target]}`;
  }

  async #dmsetup(...words: readonly string[]): Promise<void> {
    await runSuccessfully('dmsetup', [words[0] ?? '', '--noudevsync', ...words.slice(1)]);
  }
}

function missing(): string | false {
  if (process.getuid?.() !== 0) return 'needs root: block devices are made';
  if (!fs.existsSync('/dev/mapper/control'))
    return 'the kernel module dm-mod is not loaded here; scripts/lab vm has it';
  return missingPrograms('dmsetup', 'losetup', 'mkfs.ext4');
}

describe('a node whose disk fails', { skip: missing() }, () => {
  const folder = temporaryFolder();
  // Not in the folder, which is removed while the file system is still mounted.
  const mountPoint = path.join(os.tmpdir(), `${NAME}-disk`);
  const dataDirectory = path.join(mountPoint, 'data');
  const disk = new MappedDisk(path.join(folder, 'image'));
  const table = new FaultTable('disks');
  let stack: FaultStack | undefined;
  let load: CheckedLoad;

  before(async () => {
    await disk.make();
    await runSuccessfully('mkfs.ext4', ['-q', '-O', '^has_journal', disk.device]);
    fs.mkdirSync(mountPoint);
    await runSuccessfully('mount', ['-o', 'errors=continue', disk.device, mountPoint]);
    const started = await FaultStack.start(folder, VOLUME_BYTES, { dataDirectory });
    load = newLoad(VOLUME_BYTES, () => started.daemon.connect('v1'));
    stack = started;
    await writeAll(started);
    await load.start();
  });
  after(async () => {
    try {
      if (stack !== undefined) await load.abandon();
      await stack?.stop();
    } finally {
      await runProgram('umount', ['--lazy', mountPoint]);
      fs.rmdirSync(mountPoint);
      await disk.remove();
    }
  });

  const errors = (): number => load.record.counters.errors['EIO'] ?? 0;

  it('says EIO to whoever flushes, and loses nothing that it answered before or after', async () => {
    for (let round = 0; round < ROUNDS; round += 1) {
      await randomPause(0, 300 * PATIENCE);
      await table.inject('every request fails', load, async () => {
        const errorsBefore = errors();
        await disk.become('error');
        await waitFor(() => errors() > errorsBefore, 'a client was told EIO');
        await disk.become('linear');
      });
    }
    assert.deepEqual(Object.keys(load.record.counters.errors), ['EIO']);
  });

  it('does so too when writes fail and work in turn', async () => {
    const errorsBefore = errors();
    await table.inject('writes fail in turn', load, async () => {
      await disk.become('flakey');
      await waitFor(() => errors() > errorsBefore, 'a client was told EIO');
      await randomPause(1000, 3000);
      await disk.become('linear');
    });
    assert.deepEqual(Object.keys(load.record.counters.errors), ['EIO']);
  });

  it('is well again afterwards: no flush fails, and every block is as it was promised', async () => {
    const errorsBefore = errors();
    await table.inject('disk well again', load, () => randomPause(1000, 2000));
    assert.equal(errors(), errorsBefore);
    await load.stop();
    await load.verify();
    assertKept(load, 'the end');
  });
});

/** So that nothing is allocated while the disk fails. */
async function writeAll({ daemon }: FaultStack): Promise<void> {
  const device = await daemon.connect('v1');
  try {
    for (let offset = 0; offset < VOLUME_BYTES; offset += MIB)
      await submitAsync(device, writeRequest(offset, [Buffer.alloc(MIB)]));
    await submitAsync(device, flushRequest());
  } finally {
    await device.close();
  }
}
