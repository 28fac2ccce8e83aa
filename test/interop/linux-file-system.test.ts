/**
 * A real file system of the Linux kernel on a volume: ext4, mounted through a loop device, with the
 * volume's blocks as a file by nbdfuse. What is written through the kernel's page cache must be there
 * after unmounting, in a new mount, and fsck must find nothing.
 */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { after, before, describe, it } from 'node:test';
import { mayMount } from '#test/support/mount-right.js';
import { nbdServerForSuite } from '#test/support/nbd-server.js';
import { RunningProgram, missingPrograms, runSuccessfully } from '#test/support/program.js';
import { temporaryFolder } from '#test/support/temporary-folder.js';

const MIB = 1024 * 1024;

/** nbdfuse needs a fraction of a second to mount. */
const MOUNT_TRIES = 200;
const MOUNT_TRY_MS = 50;

function whyNotHere(): string | false {
  const missing = missingPrograms('nbdfuse', 'fusermount3', 'mkfs.ext4', 'e2fsck');
  if (missing !== false) return missing;
  if (!mayMount()) return 'mounting a file system needs root with CAP_SYS_ADMIN';
  for (const device of ['/dev/fuse', '/dev/loop-control']) {
    if (!fs.existsSync(device)) return `this machine has no ${device}`;
  }
  return false;
}

describe('ext4 on a volume', { skip: whyNotHere() }, () => {
  // Hooks run in the order in which they stand: first this, then the server ends and the folder goes.
  after(async () => {
    if (fs.readdirSync(mountPoint).length > 0) await unmount();
    await endShowing();
  });

  const server = nbdServerForSuite();
  const folder = temporaryFolder();
  const fuseFolder = path.join(folder, 'fuse');
  const disk = path.join(fuseFolder, 'disk');
  const mountPoint = path.join(folder, 'mounted');
  let fuse: RunningProgram;
  let uri: string;

  before(async () => {
    fs.mkdirSync(fuseFolder);
    fs.mkdirSync(mountPoint);
    ({ uri } = await server().newExport({ sizeBytes: 256 * MIB }));
    await showAsFile();
  });

  async function showAsFile(): Promise<void> {
    ({ program: fuse } = await RunningProgram.start('nbdfuse', [disk, uri]));
    for (let tries = 0; !fs.existsSync(disk) && fuse.isRunning; tries += 1) {
      assert(tries < MOUNT_TRIES, `nbdfuse did not mount ${fuseFolder}`);
      await wait(MOUNT_TRY_MS);
    }
    assert(fuse.isRunning, fuse.stderr());
  }

  async function endShowing(): Promise<void> {
    if (!fuse.isRunning) return;
    await runSuccessfully('fusermount3', ['-u', fuseFolder]);
    assert.equal(await fuse.ended(), 0);
  }

  const mount = (): Promise<string> => runSuccessfully('mount', ['-o', 'loop', disk, mountPoint]);
  const unmount = (): Promise<string> => runSuccessfully('umount', [mountPoint]);

  /** A tree of files of many lengths, some sparse, some links. */
  function writeTree(root: string): void {
    for (let directory = 0; directory < 8; directory += 1) {
      const here = path.join(root, `directory-${directory}`);
      fs.mkdirSync(here);
      for (let file = 0; file < 24; file += 1) {
        fs.writeFileSync(path.join(here, `file-${file}`), randomBytes(file * file * 700));
      }
      fs.symlinkSync('file-3', path.join(here, 'link'));
    }
    const sparse = fs.openSync(path.join(root, 'sparse'), 'w');
    fs.writeSync(sparse, 'end', 40 * MIB);
    fs.fsyncSync(sparse);
    fs.closeSync(sparse);
  }

  function digestOf(root: string): string {
    const hash = createHash('sha256');
    for (const name of (fs.readdirSync(root, { recursive: true }) as string[]).sort()) {
      const file = path.join(root, name);
      hash.update(name);
      if (fs.lstatSync(file).isFile()) hash.update(fs.readFileSync(file));
    }
    return hash.digest('hex');
  }

  it('keeps a tree of files over unmounting and a new connection, and fsck finds nothing', async () => {
    await runSuccessfully('mkfs.ext4', ['-F', '-q', disk]);
    await mount();
    writeTree(mountPoint);
    const written = digestOf(mountPoint);
    await unmount();
    await runSuccessfully('e2fsck', ['-f', '-n', disk]);
    await endShowing();

    await showAsFile();
    await mount();
    assert.equal(digestOf(mountPoint), written);
    await unmount();
    await runSuccessfully('e2fsck', ['-f', '-n', disk]);
  });

  it('gives space back when files are deleted and the file system is trimmed', async (t) => {
    const missing = missingPrograms('fstrim');
    if (missing !== false) {
      t.skip(missing);
      return;
    }
    await mount();
    fs.writeFileSync(path.join(mountPoint, 'large'), randomBytes(64 * MIB));
    await runSuccessfully('sync', ['-f', mountPoint]);
    const dataBytes = async (): Promise<number> => {
      const totals = await runSuccessfully('nbdinfo', ['--map', '--totals', uri]);
      return Number(/^\s*(\d+)\s+\S+\s+0\s+data/m.exec(totals)?.[1]);
    };
    const fullBytes = await dataBytes();
    fs.rmSync(path.join(mountPoint, 'large'));
    await runSuccessfully('sync', ['-f', mountPoint]);
    await runSuccessfully('fstrim', [mountPoint]);
    await unmount();
    const trimmedBytes = await dataBytes();
    assert(
      fullBytes - trimmedBytes >= 60 * MIB,
      `${fullBytes} bytes before, ${trimmedBytes} after`,
    );
    await runSuccessfully('e2fsck', ['-f', '-n', disk]);
  });
});
