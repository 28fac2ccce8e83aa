/**
 * qemu-img as the judge: the block layer that most virtual machines have under them, here without a
 * machine. It negotiates differently from libnbd and aligns requests by the block sizes it is told.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { closeSync, ftruncateSync, openSync, writeSync } from 'node:fs';
import path from 'node:path';
import { before, describe, it } from 'node:test';
import { nbdServerForSuite } from '#test/support/nbd-server.js';
import { missingPrograms, runProgram, runSuccessfully } from '#test/support/program.js';
import { temporaryFolder } from '#test/support/temporary-folder.js';

const MIB = 1024 * 1024;
const SIZE_BYTES = 32 * MIB;

interface Extent {
  readonly start: number;
  readonly length: number;
  readonly zero: boolean;
  readonly data: boolean;
}

describe('qemu-img', { skip: missingPrograms('qemu-img', 'qemu-io') }, () => {
  const server = nbdServerForSuite();
  const folder = temporaryFolder();
  const image = path.join(folder, 'image');

  //  MiB   0        8        16       24       32
  //        [random ][  hole  ][random ][  hole  ]
  before(() => {
    const fd = openSync(image, 'w');
    ftruncateSync(fd, SIZE_BYTES);
    writeSync(fd, randomBytes(8 * MIB), 0, undefined, 0);
    writeSync(fd, randomBytes(8 * MIB), 0, undefined, 16 * MIB);
    closeSync(fd);
  });

  async function importedImage(): Promise<string> {
    const { uri } = await server().newExport({ sizeBytes: SIZE_BYTES });
    await runSuccessfully('qemu-img', ['convert', '-n', '-f', 'raw', '-O', 'raw', image, uri]);
    return uri;
  }

  async function compare(left: string, right: string): Promise<void> {
    const answer = await runSuccessfully('qemu-img', [
      ...['compare', '-f', 'raw', '-F', 'raw'],
      ...[left, right],
    ]);
    assert.match(answer, /Images are identical/);
  }

  it('info tells the virtual size', async () => {
    const { uri } = await server().newExport({ sizeBytes: SIZE_BYTES });
    const args = ['info', '--output=json', '-f', 'raw', uri];
    const info = JSON.parse(await runSuccessfully('qemu-img', args)) as Record<string, unknown>;
    assert.equal(info['virtual-size'], SIZE_BYTES);
  });

  it('convert brings an image in, and compare finds no difference', async () => {
    await compare(image, await importedImage());
  });

  it('convert brings an image out, and compare finds no difference', async () => {
    const uri = await importedImage();
    const out = path.join(folder, 'out');
    await runSuccessfully('qemu-img', ['convert', '-f', 'raw', '-O', 'raw', uri, out]);
    await compare(image, out);
  });

  it('convert works with 16 requests at once and out of order', async () => {
    const { uri } = await server().newExport({ sizeBytes: SIZE_BYTES });
    const args = ['convert', '-n', '-m', '16', '-W', '-f', 'raw', '-O', 'raw', image, uri];
    await runSuccessfully('qemu-img', args);
    await compare(image, uri);
  });

  it('compare finds a single changed byte', async () => {
    const uri = await importedImage();
    await runSuccessfully('qemu-io', ['-f', 'raw', '-c', 'write -P 1 9M 1', uri]);
    const { status, stdout } = await runProgram('qemu-img', [
      ...['compare', '-f', 'raw', '-F', 'raw'],
      ...[image, uri],
    ]);
    assert.equal(status, 1);
    assert.match(stdout, /Content mismatch at offset 9437184/);
  });

  it('map shows data and holes where they are', async () => {
    const uri = await importedImage();
    const args = ['map', '--output=json', '-f', 'raw', uri];
    const map = JSON.parse(await runSuccessfully('qemu-img', args)) as Extent[];
    assert.deepEqual(
      map.map(({ start, length, zero, data }) => ({ start, length, zero, data })),
      [0, 8, 16, 24].map((startMib, index) => ({
        start: startMib * MIB,
        length: 8 * MIB,
        zero: index % 2 === 1,
        data: index % 2 === 0,
      })),
    );
  });

  it('keeps a qcow2 image on a volume, and check finds it sound', async () => {
    const { uri } = await server().newExport({ sizeBytes: 64 * MIB });
    await runSuccessfully('qemu-img', ['create', '-f', 'qcow2', uri, '32M']);
    const args = ['convert', '-n', '-f', 'raw', '-O', 'qcow2', image, uri];
    await runSuccessfully('qemu-img', args);
    await runSuccessfully('qemu-img', ['check', '-f', 'qcow2', uri]);
    const same = ['compare', '-f', 'raw', '-F', 'qcow2', image, uri];
    assert.match(await runSuccessfully('qemu-img', same), /Images are identical/);
  });

  it('works on a volume with 4096-byte blocks', async () => {
    const { uri } = await server().newExport({ sizeBytes: SIZE_BYTES, blockBytes: 4096 });
    await runSuccessfully('qemu-img', ['convert', '-n', '-f', 'raw', '-O', 'raw', image, uri]);
    await compare(image, uri);
  });
});
