/**
 * A disk as slow as one that turns, made where there is none: ext4 on a loop device, on a file that nbdfuse shows of an
 * nbdkit that delays every request. A whole file system on a device, because between a program and its disk stands the
 * page cache: the questions are what happens when a read is not in it, and when it is full of what is not written yet
 * (which one file over FUSE would not ask: each write waits there).
 *
 * Needs root with the right to mount, nbdfuse, nbdkit and ext4; what is missing the failure says.
 */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { BenchFailure } from './bench-failure.mjs';
import { run, start } from './program.mjs';

const MIB = 2 ** 20;

/** A seek and half a turn of a disk. */
export const DELAY_MS = 10;

/** The file system's own, and its journal. */
const METADATA_BYTES = 64 * MIB;

/**
 * What this one device may have in the page cache and not written. Without it the cache would take a tenth of the
 * machine's memory before anybody waits: some gigabytes, and the measurement would be over. Little, so that the disk is
 * done with it a second after a measurement.
 */
export const UNWRITTEN_BYTES_MAX = 4 * MIB;

/** A program that has just been ended may hold a file of it for a moment. */
const UNMOUNT_TRIES = 20;
const UNMOUNT_POLL_MS = 100;

/** A Ctrl-C must not end a step in its middle, or take the disk away from under the file system. */
const APART = { isDetached: true };

export class SlowDisk {
  /** What to do at the end, the last first. */
  #undoing = [];
  #step = Promise.resolve();
  #isStopping = false;

  /** @param folder on a fast file system; is made */
  constructor(folder) {
    this.folder = folder;
    this.mounted = path.join(folder, 'mounted');
  }

  /**
   * @param files names of the files that are on it from the beginning, each with the content of `source`
   * @throws BenchFailure if it cannot be made here, with the first reason; `stop` removes what was made
   */
  async start(files, source, sizeBytes) {
    const [image, shown] = ['image', 'shown'].map((name) => path.join(this.folder, name));
    // Asked before anything is written: it is what is missing most often.
    await this.#do(() => run('nbdfuse', ['--version']));
    await this.#do(() => makeImage(image, files, source, sizeBytes));
    const disk = await this.#do(() => this.#delay(image, shown));
    const loop = await this.#do(() => this.#attachLoop(disk));
    await this.#do(() => this.#mount(loop));
    await this.#do(() => Promise.resolve(this.#limitUnwritten(path.basename(loop))));
  }

  pathOf(file) {
    return path.join(this.mounted, file);
  }

  /** The next reads of the file come from the disk. */
  async forget(file) {
    await run('dd', [`if=${this.pathOf(file)}`, 'iflag=nocache', 'count=0', 'status=none']);
  }

  /** Resolves when the disk is done with what was written. */
  async settle(file) {
    await run('sync', ['--data', this.pathOf(file)]);
  }

  /** Whoever has a file on it must have ended. */
  async stop() {
    this.#isStopping = true;
    await this.#step.catch(() => undefined);
    while (this.#undoing.length > 0) await this.#undoing.pop()();
  }

  /** One step at a time: a stop waits for it, and nothing is made after that. */
  #do(work) {
    if (this.#isStopping) throw new BenchFailure('stopped before the slow disk was there');
    this.#step = work();
    return this.#step;
  }

  async #delay(image, folder) {
    mkdirSync(folder);
    const disk = path.join(folder, 'disk');
    const server = ['nbdkit', '-s', '--exit-with-parent', '--filter=delay', 'file', image];
    const delays = [`rdelay=${DELAY_MS}ms`, `wdelay=${DELAY_MS}ms`];
    const words = [disk, '--command', ...server, ...delays];
    const fuse = await start('nbdfuse', words, () => existsSync(disk), APART);
    this.#undoing.push(async () => {
      await unmounted('fusermount3', ['-u'], ['-u', '-z'], folder);
      await fuse.stop();
    });
    return disk;
  }

  async #attachLoop(disk) {
    const words = ['--find', '--show', '--direct-io=on', disk];
    const loop = (await run('losetup', words, APART)).trim();
    this.#undoing.push(() => run('losetup', ['--detach', loop], APART));
    return loop;
  }

  async #mount(loop) {
    mkdirSync(this.mounted);
    await run('mount', [loop, this.mounted], APART);
    this.#undoing.push(() => unmounted('umount', [], ['--lazy'], this.mounted));
  }

  /** The setting is the loop device's, which outlives its file: so it is put back. */
  #limitUnwritten(loop) {
    const settings = `/sys/block/${loop}/bdi`;
    const file = (name) => path.join(settings, name);
    if (!existsSync(file('strict_limit')))
      throw new BenchFailure('Linux before 6.2 cannot limit what one device has in the page cache');
    const before = readFileSync(file('max_ratio_fine'), 'utf8');
    this.#undoing.push(() => {
      writeFileSync(file('strict_limit'), '0');
      writeFileSync(file('max_ratio_fine'), before);
      return Promise.resolve();
    });
    writeFileSync(file('max_bytes'), String(UNWRITTEN_BYTES_MAX));
    writeFileSync(file('strict_limit'), '1');
  }
}

/** With the files in it: to copy them there through the delay would take longer than what is measured. */
async function makeImage(image, files, source, sizeBytes) {
  const content = path.join(path.dirname(image), 'content');
  mkdirSync(content, { recursive: true });
  for (const file of files) await run('cp', [source, path.join(content, file)]);
  const kibibytes = (files.length * sizeBytes + METADATA_BYTES) / 1024;
  // Lazy initialization would keep the disk busy behind everybody's back.
  const settings = ['-b', '4096', '-E', 'lazy_itable_init=0,lazy_journal_init=0'];
  await run('mkfs.ext4', ['-q', ...settings, '-d', content, image, `${kibibytes}k`]);
  rmSync(content, { recursive: true });
}

/** Politely for a while, then lazily: the kernel removes it when the last user is gone. */
async function unmounted(program, words, lazily, folder) {
  for (let tries = 0; tries < UNMOUNT_TRIES; tries += 1) {
    try {
      await run(program, [...words, folder], APART);
      return;
    } catch {
      await wait(UNMOUNT_POLL_MS);
    }
  }
  await run(program, [...lazily, folder], APART);
}
