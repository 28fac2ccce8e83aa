/**
 * A paravirtual guest of a few megabytes, made and started inside Dom0: this kernel, busybox, mke2fs and the
 * modules for disks, with a shell story instead of an init system. Its words come back through its console,
 * of which xenconsoled keeps a log.
 */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { findProgram, runProgram, runSuccessfully, type Finished } from '#test/support/program.js';

/** Emulated machines are some fifty times slower than real ones. */
const GUEST_LIMIT_MS = 180_000;

/** A console log is looked at this often. */
const LOOK_INTERVAL_MS = 100;

const MODULES = ['xen-blkfront', 'crc32c_generic', 'ext4'];

const CONSOLE_FOLDER = '/var/log/xen/console';

/**
 * What the guest runs before its story. Disks come when xenbus says so, a moment after the driver. Looks seldom: each
 * look is a process, and hotplug scripts need the same processor.
 */
const INIT = `#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
for module in $(cat /modules); do insmod $module 2>/dev/null; done
until_there() { while [ ! -b $1 ]; do sleep 1; done; }
until_gone() { while [ -b $1 ]; do sleep 1; done; }
. /story
echo "story ended"
sync
poweroff -f
`;

export class XenGuest {
  private constructor(
    readonly name: string,
    readonly config: string,
  ) {}

  /**
   * @param disks as in xl.cfg
   * @param story lines of busybox's shell; a command that fails ends it with "story failed"
   */
  static async make(name: string, disks: readonly string[], story: string): Promise<XenGuest> {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), `${name}-`));
    const image = path.join(folder, 'initrd');
    commonImage ??= makeCommonImage();
    fs.writeFileSync(path.join(folder, 'story'), guarded(story));
    // Archives one after the other are one root for the kernel.
    const pack = 'cat "$0" >"$1"; cd "$2" && echo story | cpio --quiet -o -H newc >>"$1"';
    await runSuccessfully('bash', ['-c', pack, await commonImage, image, folder]);
    const config = path.join(folder, `${name}.cfg`);
    const lines = [
      `name = "${name}"`,
      'type = "pv"',
      'memory = 192',
      'vcpus = 1',
      `kernel = "/boot/vmlinuz-${os.release()}"`,
      `ramdisk = "${image}"`,
      'extra = "console=hvc0 panic=-1 quiet"',
      'on_crash = "destroy"',
      `disk = [ ${disks.map((disk) => `'${disk}'`).join(', ')} ]`,
    ];
    fs.writeFileSync(config, `${lines.join('\n')}\n`);
    return new XenGuest(name, config);
  }

  /** `xl create`, whatever comes of it. Returns when the guest runs, or cannot. */
  create(): Promise<Finished> {
    fs.rmSync(this.#consoleLog, { force: true });
    return runProgram('xl', ['create', this.config], { timeoutMs: GUEST_LIMIT_MS });
  }

  async start(): Promise<void> {
    const { status, stderr } = await this.create();
    assert.equal(status, 0, stderr);
  }

  /** Waits until the guest has switched itself off. @returns what it said */
  async ended(): Promise<string> {
    await this.#until('does not end', async () => {
      const { status } = await runProgram('xl', ['domid', this.name]);
      return status !== 0;
    });
    assert.match(this.said, /^story ended\r?$/m, this.said);
    return this.said;
  }

  /** Waits until the guest has said something that matches. */
  async says(pattern: RegExp): Promise<void> {
    await this.#until(`does not say ${String(pattern)}`, () =>
      Promise.resolve(pattern.test(this.said)),
    );
  }

  get said(): string {
    try {
      return fs.readFileSync(this.#consoleLog, 'latin1');
    } catch {
      return '';
    }
  }

  /** For the end of a test that failed; nothing happens if it is gone. */
  async destroy(): Promise<void> {
    await runProgram('xl', ['destroy', this.name]);
  }

  get #consoleLog(): string {
    return path.join(CONSOLE_FOLDER, `guest-${this.name}.log`);
  }

  async #until(failure: string, isSo: () => Promise<boolean>): Promise<void> {
    const untilMs = Date.now() + GUEST_LIMIT_MS;
    while (!(await isSo())) {
      assert.ok(Date.now() < untilMs, `guest ${this.name} ${failure}\n${this.said}`);
      await wait(LOOK_INTERVAL_MS);
    }
  }
}

/** Everything but the story; made once, as a slow machine takes its time. */
let commonImage: Promise<string> | undefined;

async function makeCommonImage(): Promise<string> {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'guest-'));
  const root = path.join(folder, 'root');
  for (const name of ['bin', 'proc', 'sys', 'dev', 'mnt', 'lib/modules', 'etc']) {
    fs.mkdirSync(path.join(root, name), { recursive: true });
  }
  fs.copyFileSync(findProgram('busybox') ?? '/bin/busybox', path.join(root, 'bin/busybox'));
  await copyProgram(root, 'mkfs.ext4');
  fs.copyFileSync('/etc/mke2fs.conf', path.join(root, 'etc/mke2fs.conf'));
  fs.writeFileSync(path.join(root, 'modules'), (await copyModules(root)).join('\n'));
  fs.writeFileSync(path.join(root, 'init'), INIT, { mode: 0o755 });
  const image = path.join(folder, 'image');
  const pack = 'cd "$0" && find . | cpio --quiet -o -H newc >"$1"';
  await runSuccessfully('bash', ['-c', pack, root, image]);
  fs.rmSync(root, { recursive: true });
  return image;
}

/** A command that fails ends the story, and with it the guest. */
function guarded(story: string): string {
  return `trap 'echo "story failed"; poweroff -f' EXIT\nset -e\n${story}\nset +e\ntrap - EXIT\n`;
}

/** With the libraries it is linked to. */
async function copyProgram(root: string, name: string): Promise<void> {
  const program = findProgram(name);
  assert.ok(program !== undefined, `${name} is not installed`);
  const libraries = (await runSuccessfully('ldd', [program])).match(/\/\S+/g) ?? [];
  for (const file of libraries) {
    const copy = path.join(root, file);
    fs.mkdirSync(path.dirname(copy), { recursive: true });
    fs.copyFileSync(file, copy);
  }
  fs.copyFileSync(program, path.join(root, 'bin', name));
}

/** Unpacked, in the order in which they are to be loaded. @returns their paths in the guest */
async function copyModules(root: string): Promise<string[]> {
  const shown = await runSuccessfully('modprobe', ['--show-depends', '-a', ...MODULES]);
  const files = [...new Set([...shown.matchAll(/^insmod (\S+)/gm)].map(([, file]) => file ?? ''))];
  for (const file of files) {
    const name = path.basename(file).replace(/\.xz$/, '');
    const unpack = file.endsWith('.xz') ? 'xz -dc "$0" >"$1"' : 'cp "$0" "$1"';
    await runSuccessfully('bash', ['-c', unpack, file, path.join(root, 'lib/modules', name)]);
  }
  return files.map((file) => `/lib/modules/${path.basename(file).replace(/\.xz$/, '')}`);
}
