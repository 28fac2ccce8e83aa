/**
 * Goal: what a FLUSH, or FUA, has answered is there after the node's machine lost its power. Method: a
 * machine of the lab with node, daemon and client on a disk of its own; it resets itself in the middle of
 * writing, without a sync; its next life reads every block. The disk of the lab keeps what it was given; so
 * what is shown is that everything promised had been given to the disk, file system included.
 */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { runProgram, type Finished } from '#test/support/program.js';
import { temporaryFolder } from '#test/support/temporary-folder.js';

const LAB = fileURLToPath(new URL('../../../scripts/lab', import.meta.url));
const STORY = fileURLToPath(new URL('power-loss-story.js', import.meta.url));

const FETCH_LIMIT_MS = 600_000;
/** One life: boot, programs, some seconds of writing or reading, emulated on a busy machine. */
const LIFE_SECONDS = 300;
const MARGIN_MS = 60_000;
const DISK_BYTES = 256 * 1024 * 1024;
/** The machine ended before its command did. */
const EXIT_MACHINE_DIED = 125;

describe('a node whose machine loses its power', () => {
  const folder = temporaryFolder();

  function live(half: 'write' | 'verify'): Promise<Finished> {
    const machine = ['vm', '--timeout', String(LIFE_SECONDS), '--share', folder];
    const disk = ['--disk', path.join(folder, 'disk.img')];
    return runProgram(LAB, [...machine, ...disk, '--', process.execPath, STORY, half, folder], {
      timeoutMs: LIFE_SECONDS * 1000 + MARGIN_MS,
    });
  }

  it('has everything that was flushed, and nothing that was not written', async (t) => {
    const pieces = await runProgram(LAB, ['fetch', '--if-missing', 'vm'], {
      timeoutMs: FETCH_LIMIT_MS,
    });
    if (fs.existsSync('/run/lab/settings') || pieces.status !== 0) {
      t.skip(`the lab cannot be had here: ${pieces.stderr.trim().split('\n').at(-1)}`);
      return;
    }
    fs.writeFileSync(path.join(folder, 'disk.img'), '');
    fs.truncateSync(path.join(folder, 'disk.img'), DISK_BYTES);
    const first = await live('write');
    assert.equal(first.status, EXIT_MACHINE_DIED, first.stdout + first.stderr);
    assert(fs.existsSync(path.join(folder, 'journal.json')), first.stdout + first.stderr);
    const second = await live('verify');
    assert.equal(second.status, 0, second.stdout + second.stderr);
    const durable = Number(/durable blocks found: (\d+)/.exec(second.stdout)?.[1]);
    assert(durable > 100, second.stdout);
  });
});
