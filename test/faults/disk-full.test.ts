/**
 * Goal: a node's disk that is full is told to clients as such, nothing that was answered is lost by it, and
 * all is well again when there is room. Method: the node's volumes on a small tmpfs, which is then enlarged.
 */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { temporaryFolder } from '#test/support/temporary-folder.js';
import { runProgram } from '#test/support/program.js';
import { FaultStack } from './fault-stack.js';
import { assertKept, FaultTable, newLoad, waitFor } from './fault-table.js';

const MIB = 1024 * 1024;
const VOLUME_BYTES = 32 * MIB;

describe('a node whose disk is full', () => {
  const folder = temporaryFolder();
  const dataDirectory = path.join(folder, 'small');
  const table = new FaultTable('disk full');
  async function mount(...options: readonly string[]): Promise<string> {
    const { status, stderr } = await runProgram('mount', [...options, 'tmpfs', dataDirectory]);
    return status === 0 ? '' : stderr.trim();
  }

  it('says ENOSPC, keeps what it answered, and goes on when there is room', async (t) => {
    fs.mkdirSync(dataDirectory);
    const problem = await mount('-t', 'tmpfs', '-o', 'size=16m,mode=700');
    if (problem !== '') {
      t.skip(`a tmpfs cannot be mounted here: ${problem}`);
      return;
    }
    const stack = await FaultStack.start(folder, VOLUME_BYTES, { dataDirectory });
    const load = newLoad(VOLUME_BYTES, () => stack.daemon.connect('v1'));
    t.after(async () => {
      await load.abandon();
      await stack.stop();
      await runProgram('umount', [dataDirectory]);
    });
    await load.start();
    const errors = (): number => load.record.counters.errors['ENOSPC'] ?? 0;
    for (const size of ['24m', '64m']) {
      const before = errors();
      await table.inject('disk full, freed', load, async () => {
        await waitFor(() => errors() > before + 20, 'writes fail because the disk is full');
        assert.equal(await mount('-o', `remount,size=${size}`), '');
      });
    }
    const atEnd = errors();
    await table.inject('disk with room', load, () => Promise.resolve());
    assert.deepEqual(Object.keys(load.record.counters.errors), ['ENOSPC']);
    assert(errors() - atEnd < 60, 'there is room again');
    await load.stop();
    await load.verify();
    assertKept(load, 'the end');
  });
});
