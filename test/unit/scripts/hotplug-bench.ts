/**
 * A folder that is /etc/xen/scripts, a xenstore and a blkferryd for scripts/xen/block-blkferry. What the
 * script does to them is then looked at by the test.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const SCRIPT = fileURLToPath(new URL('../../../../scripts/xen/block-blkferry', import.meta.url));
const STAND_IN = fileURLToPath(
  new URL('../../../unit/scripts/block-common-stand-in.sh', import.meta.url),
);
const FAKE_BLKFERRY = fileURLToPath(new URL('./fake-blkferry.js', import.meta.url));

/** A script that takes longer than libxl waits has failed. */
const LIBXL_HOTPLUG_TIMEOUT_MS = 40_000;

/** What fake-blkferry.ts keeps in its file. */
export interface FakeWorld {
  /** The device that each volume becomes when it is attached; null: it gets none. */
  readonly volumes: Readonly<Record<string, FakeDevice>>;
  attachments: Record<string, FakeAttachment>;
  /** Made so far; numbers their ids. */
  attachmentCount: number;
  isDaemonAway: boolean;
  isNodeAway: boolean;
  /** blkback has the device open for a moment yet: a detach that does not wait is refused. */
  isHeld: boolean;
  /** This command does not answer. */
  hangingCommand: string;
  /** All calls in order. */
  readonly calls: string[];
}

export interface FakeDevice {
  readonly path: string;
  readonly major: number;
  readonly minor: number;
}

export interface FakeAttachment {
  attachmentId: string;
  readOnly: boolean;
  standby: boolean;
  node: string;
  state: string;
  /** Before it is in its state it is connecting, for so many looks at it. */
  looksUntilActive: number;
  device?: FakeDevice;
}

export interface Outcome {
  readonly status: number | null;
  readonly error: string | undefined;
  readonly hotplugStatus: string | undefined;
}

/** Files of Xen with which the script runs: its own, or the stand-in. */
export interface XenFiles {
  readonly name: string;
  /** Folder of Xen's hotplug scripts; undefined: the stand-in. */
  readonly folder: string | undefined;
}

export class HotplugBench {
  readonly #bin: string;
  readonly #store: string;
  readonly #scripts: string;

  constructor(
    readonly folder: string,
    xen: XenFiles,
    options: { readonly limitSeconds?: number } = {},
  ) {
    this.#bin = this.#makeFolder('bin');
    this.#store = this.#makeFolder('store');
    this.#scripts = this.#makeFolder('scripts');
    this.#makeFolder('locks');
    this.#installXen(xen);
    this.#installScript(options.limitSeconds);
    this.#installPrograms();
    this.changeWorld(() => undefined);
  }

  get world(): FakeWorld {
    return JSON.parse(fs.readFileSync(this.#worldFile, 'utf8')) as FakeWorld;
  }

  changeWorld(change: (world: FakeWorld) => void): void {
    const world = fs.existsSync(this.#worldFile) ? this.world : emptyWorld();
    change(world);
    fs.writeFileSync(this.#worldFile, JSON.stringify(world));
  }

  /** What went to the system log. */
  get log(): string {
    const file = path.join(this.folder, 'syslog');
    return fs.existsSync(file) ? fs.readFileSync(file, 'utf8') : '';
  }

  /** Names of attachments, in the order in which they were made. */
  get attached(): string[] {
    return Object.keys(this.world.attachments);
  }

  write(key: string, value: string): void {
    const folder = path.join(this.#store, key);
    fs.mkdirSync(folder, { recursive: true });
    fs.writeFileSync(path.join(folder, '@value'), value);
  }

  read(key: string): string | undefined {
    const file = path.join(this.#store, key, '@value');
    return fs.existsSync(file) ? fs.readFileSync(file, 'utf8') : undefined;
  }

  erase(key: string): void {
    fs.rmSync(path.join(this.#store, key), { recursive: true, force: true });
  }

  /** What libxl writes before it calls the script. @returns the backend path */
  plug(
    domain: number,
    target: string,
    options: { mode?: string; vm?: string; disk?: number; name?: string } = {},
  ): string {
    const { mode = 'w', vm = `/vm/${domain}`, disk = 51712, name = `guest${domain}` } = options;
    const backend = `backend/vbd/${domain}/${disk}`;
    this.write(`/local/domain/${domain}/name`, name);
    this.write(`/local/domain/${domain}/vm`, vm);
    for (const [key, value] of Object.entries({
      params: target,
      mode,
      'frontend-id': String(domain),
      state: '2',
    })) {
      this.write(`${backend}/${key}`, value);
    }
    return backend;
  }

  /** Runs the script as libxl does. @throws Error if it takes longer than libxl waits */
  async run(command: 'add' | 'remove', backend: string): Promise<Outcome> {
    this.erase(`${backend}/hotplug-error`);
    const child = spawn(path.join(this.#scripts, 'block-blkferry'), [command], {
      env: {
        PATH: process.env['PATH'],
        script: '/etc/xen/scripts/block-blkferry',
        XENBUS_TYPE: 'vbd',
        XENBUS_BASE_PATH: 'backend',
        XENBUS_PATH: backend,
        BLKFERRY: path.join(this.#bin, 'blkferry'),
        BLKFERRY_DEFAULTS: path.join(this.folder, 'default'),
        BENCH_WORLD: this.#worldFile,
        BENCH_LOG: path.join(this.folder, 'xen-hotplug.log'),
        LOCK_FOLDER: path.join(this.folder, 'locks'),
      },
      stdio: 'ignore',
      timeout: LIBXL_HOTPLUG_TIMEOUT_MS,
      killSignal: 'SIGKILL',
    });
    const [status, signal] = (await once(child, 'close')) as [number | null, string | null];
    if (signal !== null) throw new Error(`the script was ended with ${signal}: it took too long`);
    return {
      status,
      error: this.read(`${backend}/hotplug-error`),
      hotplugStatus: this.read(`${backend}/hotplug-status`),
    };
  }

  /** Settings of the administrator, as in /etc/default/blkferry. */
  set defaults(text: string) {
    fs.writeFileSync(path.join(this.folder, 'default'), text);
  }

  get #worldFile(): string {
    return path.join(this.folder, 'world.json');
  }

  #makeFolder(name: string): string {
    const folder = path.join(this.folder, name);
    fs.mkdirSync(folder, { recursive: true });
    return folder;
  }

  /** Xen's files name folders of the system: these are replaced by the bench's. */
  #installXen(xen: XenFiles): void {
    if (xen.folder === undefined) {
      fs.copyFileSync(STAND_IN, path.join(this.#scripts, 'block-common.sh'));
    } else {
      for (const name of fs.readdirSync(xen.folder).filter((file) => file.endsWith('.sh'))) {
        const text = fs
          .readFileSync(path.join(xen.folder, name), 'utf8')
          .replaceAll('/var/log/xen', this.folder)
          .replaceAll('/var/run/xen-hotplug', path.join(this.folder, 'locks'));
        fs.writeFileSync(path.join(this.#scripts, name), text);
      }
    }
    const folders = `bindir="${this.#bin}"\nsbindir="${this.#bin}"\nLIBEXEC_BIN="${this.#bin}"\nXEN_LIB_DIR="${this.folder}"\n`;
    fs.writeFileSync(path.join(this.#scripts, 'hotplugpath.sh'), folders);
  }

  #installScript(limitSeconds: number | undefined): void {
    const text = fs.readFileSync(SCRIPT, 'utf8');
    const limited =
      limitSeconds === undefined ? text : text.replace(/^LIMIT_S=\d+$/m, `LIMIT_S=${limitSeconds}`);
    const file = path.join(this.#scripts, 'block-blkferry');
    fs.writeFileSync(file, limited, { mode: 0o755 });
  }

  #installPrograms(): void {
    const store = this.#store;
    const programs = {
      blkferry: `exec "${process.execPath}" "${FAKE_BLKFERRY}" "$@"`,
      logger: `shift 2; [ "$1" != -- ] || shift; echo "$*" >>"${this.folder}/syslog"`,
      'xenstore-read': `cat "${store}/$1/@value"`,
      'xenstore-exists': `[ -e "${store}/$1/@value" ] || [ -n "$(ls "${store}/$1" 2>/dev/null)" ]`,
      'xenstore-list': `cd "${store}/$1" && for key in */; do [ -d "$key" ] && echo "\${key%/}"; done`,
      'xenstore-write': `while [ $# -gt 0 ]; do mkdir -p "${store}/$1"; printf %s "$2" >"${store}/$1/@value"; shift 2; done`,
    };
    for (const [name, body] of Object.entries(programs)) {
      fs.writeFileSync(path.join(this.#bin, name), `#!/bin/bash\n${body}\n`, { mode: 0o755 });
    }
  }
}

function emptyWorld(): FakeWorld {
  return {
    // Devices of every machine: the script compares their numbers with what the daemon says.
    volumes: {
      vm1: { path: '/dev/null', major: 1, minor: 3 },
      vm2: { path: '/dev/zero', major: 1, minor: 5 },
      'other-numbers': { path: '/dev/full', major: 43, minor: 0 },
    },
    attachments: {},
    attachmentCount: 0,
    isDaemonAway: false,
    isNodeAway: false,
    isHeld: false,
    hangingCommand: '',
    calls: [],
  };
}
