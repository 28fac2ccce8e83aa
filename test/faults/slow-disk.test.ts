/**
 * Goal: a disk that is slow holds up its own volume and no other. Method: of two volumes of one node, one has its data
 * on a file system whose reads take half a second each (nbdfuse before an nbdkit that delays); while it reads there, the
 * other one reads, writes and flushes, thousands of times between two answers of the first.
 */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { submitAsync } from '#daemon/block/block-device.js';
import { flushRequest, readRequest, writeRequest, joined } from '#daemon/block/block-request.js';
import { attachRequest } from '#test/support/attach-request.js';
import { mayMount } from '#test/support/mount-right.js';
import { RunningProgram, missingPrograms, runSuccessfully } from '#test/support/program.js';
import { temporaryFolder } from '#test/support/temporary-folder.js';
import { FaultStack } from './fault-stack.js';
import { waitFor } from './fault-table.js';

const MIB = 1024 * 1024;
const VOLUME_BYTES = 16 * MIB;
const READ_BYTES = 4096;
const DELAY_MS = 500;
/** More than the volume may have on other threads at a time. */
const SLOW_READS = 24;
const QUICK_ROUNDS_MIN = 50;

function whyNotHere(): string | false {
  const missing = missingPrograms('nbdfuse', 'nbdkit', 'fusermount3');
  if (missing !== false) return missing;
  if (!mayMount()) return 'mounting a file system needs root with CAP_SYS_ADMIN';
  return fs.existsSync('/dev/fuse') ? false : 'this machine has no /dev/fuse';
}

describe('a slow disk under one volume', { skip: whyNotHere() }, () => {
  // Hooks run in the order in which they stand: the folder goes last.
  after(async () => {
    await stack.stop();
    await runSuccessfully('fusermount3', ['-u', mounted]);
    assert.equal(await fuse.ended(), 0);
  });

  const folder = temporaryFolder();
  const mounted = path.join(folder, 'slow');
  const disk = path.join(mounted, 'disk');
  let stack: FaultStack;
  let fuse: RunningProgram;

  before(async () => {
    stack = await FaultStack.start(folder, VOLUME_BYTES);
    const { volume } = await stack.storage.createVolume({
      ...{ name: 'slow', sizeBytes: VOLUME_BYTES, blockBytes: 0, backend: '' },
    });
    fs.mkdirSync(mounted);
    const server = ['nbdkit', '-s', '--filter=delay', 'memory', String(VOLUME_BYTES)];
    ({ program: fuse } = await RunningProgram.start('nbdfuse', [
      ...[disk, '--command', ...server, `rdelay=${DELAY_MS}ms`],
    ]));
    await waitFor(() => fs.existsSync(disk), 'nbdfuse has mounted');
    const data = path.join(stack.dataDirectory, 'volumes', volume.volumeId, 'data');
    fs.unlinkSync(data);
    fs.symlinkSync(disk, data);
    await stack.daemon.admin.attach(attachRequest('slow'));
  });
  it('holds up no other volume', async () => {
    const slow = await stack.daemon.connect('slow');
    const quick = await stack.daemon.connect('v1');
    const data = Buffer.alloc(READ_BYTES, 7);
    let answered = 0;
    const reads = Array.from({ length: SLOW_READS }, async (_, index) => {
      // Far from each other: nothing is read ahead.
      await submitAsync(slow, readRequest(index * 512 * 1024, READ_BYTES));
      answered += 1;
    });
    const between: number[] = [];
    while (answered < SLOW_READS) {
      const seen = answered;
      let rounds = 0;
      while (answered === seen) {
        await submitAsync(quick, writeRequest(0, data));
        await submitAsync(quick, flushRequest());
        assert.equal(joined((await submitAsync(quick, readRequest(0, READ_BYTES))).payload)[0], 7);
        rounds += 1;
      }
      between.push(rounds);
    }
    await Promise.all(reads);
    const most = Math.max(...between);
    console.log(`between two answers of the slow disk: up to ${most} writes, flushes and reads`);
    assert.ok(most >= QUICK_ROUNDS_MIN, `only ${most}`);
    await slow.close();
    await quick.close();
  });
});
