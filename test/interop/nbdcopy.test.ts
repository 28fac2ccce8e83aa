/**
 * nbdcopy of libnbd moves whole disks in and out, over one connection and over many, with many requests
 * in flight. Goal: every byte arrives, holes stay holes.
 *
 * The disk image: data of different kinds, between holes, with a tail that is no multiple of a block of
 * the copying program.
 */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { closeSync, ftruncateSync, openSync, readFileSync, writeSync } from 'node:fs';
import path from 'node:path';
import { before, describe, it } from 'node:test';
import type { NbdExport } from '#test/support/nbd-server-interface.js';
import { nbdServerForSuite } from '#test/support/nbd-server.js';
import { missingPrograms, runSuccessfully } from '#test/support/program.js';
import { temporaryFolder } from '#test/support/temporary-folder.js';

const MIB = 1024 * 1024;
const SIZE_BYTES = 48 * MIB + 512;

/** Of the 48 MiB, so much is data. */
const DATA_BYTES = 21 * MIB + 512;

function writeImage(file: string): void {
  const fd = openSync(file, 'w');
  ftruncateSync(fd, SIZE_BYTES);
  writeSync(fd, randomBytes(16 * MIB), 0, undefined, 0);
  writeSync(fd, Buffer.alloc(MIB, 0xff), 0, undefined, 20 * MIB);
  writeSync(fd, randomBytes(4 * MIB), 0, undefined, 37 * MIB);
  writeSync(fd, randomBytes(512), 0, undefined, 48 * MIB);
  closeSync(fd);
}

function digest(file: string): string {
  return createHash('sha256').update(readFileSync(file)).digest('hex');
}

describe('nbdcopy', { skip: missingPrograms('nbdcopy', 'nbdinfo') }, () => {
  const server = nbdServerForSuite();
  const folder = temporaryFolder();
  const image = path.join(folder, 'image');

  before(() => {
    writeImage(image);
  });

  async function copyBack(from: NbdExport, ...options: readonly string[]): Promise<string> {
    const target = path.join(folder, `back-${from.name}`);
    await runSuccessfully('nbdcopy', [...options, from.uri, target]);
    return digest(target);
  }

  for (const connections of [1, 8]) {
    it(`copies an image in and out over ${connections} connection(s) without a change`, async () => {
      const disk = await server().newExport({ sizeBytes: SIZE_BYTES });
      const options = [`--connections=${connections}`, '--requests=32', '--flush'];
      await runSuccessfully('nbdcopy', [...options, image, disk.uri]);
      assert.equal(await copyBack(disk, ...options), digest(image));
    });
  }

  it('copies with small and with the largest requests', async () => {
    for (const requestBytes of [4096, 32 * MIB]) {
      const disk = await server().newExport({ sizeBytes: SIZE_BYTES });
      const options = [`--request-size=${requestBytes}`, '--connections=2'];
      await runSuccessfully('nbdcopy', [...options, image, disk.uri]);
      assert.equal(await copyBack(disk, ...options), digest(image));
    }
  });

  it('copies holes that it reads rather than asks for', async () => {
    const disk = await server().newExport({ sizeBytes: SIZE_BYTES });
    await runSuccessfully('nbdcopy', [image, disk.uri]);
    for (const requestBytes of [256 * 1024, 32 * MIB]) {
      const options = ['--no-extents', `--request-size=${requestBytes}`];
      assert.equal(await copyBack(disk, ...options), digest(image));
    }
  });

  it('copies one request after the other', async () => {
    const disk = await server().newExport({ sizeBytes: SIZE_BYTES });
    await runSuccessfully('nbdcopy', ['--synchronous', image, disk.uri]);
    assert.equal(await copyBack(disk, '--synchronous'), digest(image));
  });

  it('overwrites old data with the zeroes of the image', async () => {
    const disk = await server().newExport({ sizeBytes: SIZE_BYTES });
    const old = path.join(folder, 'old');
    const fd = openSync(old, 'w');
    for (let at = 0; at < 48; at += 1) writeSync(fd, Buffer.alloc(MIB, 0xee));
    writeSync(fd, Buffer.alloc(512, 0xee));
    closeSync(fd);
    await runSuccessfully('nbdcopy', [old, disk.uri]);
    await runSuccessfully('nbdcopy', ['--connections=4', image, disk.uri]);
    assert.equal(await copyBack(disk), digest(image));
  });

  it('leaves holes as holes', async () => {
    const disk = await server().newExport({ sizeBytes: SIZE_BYTES });
    await runSuccessfully('nbdcopy', [image, disk.uri]);
    const totals = await runSuccessfully('nbdinfo', ['--map', '--totals', disk.uri]);
    const dataBytes = Number(/^\s*(\d+)\s+\S+\s+0\s+data/m.exec(totals)?.[1]);
    // File systems allocate whole blocks.
    assert(dataBytes >= DATA_BYTES && dataBytes <= DATA_BYTES + 8 * 4096, totals);
  });

  it('copies from one volume to another', async () => {
    const [from, to] = [
      await server().newExport({ sizeBytes: SIZE_BYTES }),
      await server().newExport({ sizeBytes: SIZE_BYTES }),
    ];
    await runSuccessfully('nbdcopy', [image, from.uri]);
    await runSuccessfully('nbdcopy', ['--connections=4', from.uri, to.uri]);
    assert.equal(await copyBack(to), digest(image));
  });
});
