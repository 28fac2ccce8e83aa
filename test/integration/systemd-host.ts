/**
 * systemd as process 1 of a small machine in namespaces (systemd-host.sh), on which the installed units run
 * as they do anywhere. Its files are looked at below /proc; its unix sockets can be connected to from here.
 */
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  PATIENCE,
  RunningProgram,
  missingPrograms,
  runProgram,
  type Finished,
} from '#test/support/program.js';

const SCRIPT = fileURLToPath(new URL('../../../test/integration/systemd-host.sh', import.meta.url));

/** The targets that units name come from this machine. */
const SYSTEM_UNITS = '/usr/lib/systemd/system';

/** A service starts within a second or two; the machine may be busy. */
const WAIT_LIMIT_MS = 30_000 * PATIENCE;
const LOOK_INTERVAL_MS = 50;

export class SystemdHost {
  private constructor(
    readonly folder: string,
    readonly pid: number,
    readonly program: RunningProgram,
  ) {}

  /**
   * @param destdir with an installation
   * @param folder for the units
   * @param options `sharesNetwork`: with this machine, as is needed to configure NBD devices
   * @returns or a sentence: why there can be no such machine here
   */
  static async start(
    destdir: string,
    folder: string,
    options: { readonly sharesNetwork?: boolean } = {},
  ): Promise<SystemdHost | string> {
    if (process.getuid?.() !== 0) return 'namespaces for systemd need root';
    if (!fs.existsSync('/lib/systemd/systemd')) return 'systemd is not installed';
    const missing = missingPrograms('unshare', 'nsenter', 'pgrep', 'systemd-sysusers');
    if (missing !== false) return missing;
    const units = path.join(folder, 'units');
    fs.mkdirSync(units);
    for (const source of [SYSTEM_UNITS, path.join(destdir, SYSTEM_UNITS)]) {
      const names = fs.readdirSync(source).filter((name) => /\.(target|service)$/.test(name));
      const isOurs = source !== SYSTEM_UNITS;
      for (const name of names.filter((one) => isOurs || one.endsWith('.target'))) {
        const target = path.join(units, name);
        fs.cpSync(path.join(source, name), target, { verbatimSymlinks: true });
      }
    }
    const words = [destdir, folder, ...(options.sharesNetwork === true ? ['--share-network'] : [])];
    const { program, readyLine } = await RunningProgram.start(SCRIPT, words, {
      readyLine: /^(ready|cannot)/,
    });
    const pid = /^ready (\d+)$/.exec(readyLine)?.[1];
    if (pid === undefined) {
      await program.stop();
      return `systemd cannot run in namespaces here (${readyLine})`;
    }
    return new SystemdHost(folder, Number(pid), program);
  }

  /** A unit of the test's, or settings for one as `systemctl edit` makes them: "x.service.d/test.conf". */
  async writeUnit(name: string, text: string): Promise<void> {
    const file = path.join(this.folder, 'units', name);
    fs.mkdirSync(path.dirname(file), { recursive: true });
    fs.writeFileSync(file, text);
    await this.systemctl('daemon-reload');
  }

  /** A path of that machine as this one sees it. */
  at(file: string): string {
    return `/proc/${this.pid}/root${file}`;
  }

  /** Runs a program there to its end. */
  run(...words: string[]): Promise<Finished> {
    return runProgram('nsenter', ['-t', String(this.pid), '--all', '--', ...words]);
  }

  /** @throws Error with its messages unless it succeeds */
  async systemctl(...words: string[]): Promise<void> {
    const { status, stderr } = await this.run('systemctl', ...words);
    if (status === 0) return;
    throw new Error(`systemctl ${words.join(' ')}: status ${status ?? 'none'}\n${stderr}`);
  }

  /** @returns a property of a unit, as systemd words it */
  async show(unit: string, property: string): Promise<string> {
    const { stdout } = await this.run(
      'systemctl',
      'show',
      '--value',
      `--property=${property}`,
      unit,
    );
    return stdout.trim();
  }

  /** Waits until a property has a value. @throws Error with the value it has in the end */
  async until(unit: string, property: string, wanted: RegExp): Promise<void> {
    const untilMs = performance.now() + WAIT_LIMIT_MS;
    for (;;) {
      const value = await this.show(unit, property);
      if (wanted.test(value)) return;
      if (performance.now() > untilMs) {
        const { stdout } = await this.run('systemctl', 'status', '--full', unit);
        throw new Error(`${property} is ${value}, not ${String(wanted)}\n${stdout}`);
      }
      await new Promise((resolve) => {
        setTimeout(resolve, LOOK_INTERVAL_MS);
      });
    }
  }

  /** Fields of /proc/PID/status of a service's main process. */
  async statusOf(unit: string): Promise<ReadonlyMap<string, string>> {
    const text = fs.readFileSync(
      this.at(`/proc/${await this.show(unit, 'MainPID')}/status`),
      'utf8',
    );
    return new Map(
      text.split('\n').map((line): [string, string] => {
        const [name = '', value = ''] = line.split(/:\s*/);
        return [name, value];
      }),
    );
  }

  async stop(): Promise<void> {
    await this.program.stop();
  }
}
