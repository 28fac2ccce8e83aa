/**
 * A machine in memory for the doctor: files, file systems, programs. As it is made, a Dom0 on which all is
 * well; a test takes away or changes what it is about.
 */
import type { NbdDeviceStatus } from 'blkferry-kernel';
import type { FileSystem, Machine } from '#daemon/cli/doctor/machine.js';

const TMPFS = 0x0102_1994;

export const KERNEL_RELEASE = '6.12.9-amd64';
export const BLOCK_SCRIPT = '/etc/xen/scripts/block-blkferry';

export class FakeMachine implements Machine {
  userId = 0;
  kernelRelease = KERNEL_RELEASE;
  /** Text by path; a folder exists when something is in it. */
  readonly files = new Map<string, string>([
    ['/sys/module/nbd/parameters/nbds_max', '0'],
    ['/sys/module/xen_blkback/version', ''],
    [`/lib/modules/${KERNEL_RELEASE}/modules.dep`, 'kernel/drivers/block/nbd.ko.xz:\n'],
    ['/run/udev/control', ''],
    ['/run/systemd/system/x', ''],
    ['/usr/lib/udev/rules.d/60-blkferry.rules', ''],
    ['/proc/xen/capabilities', 'control_d\n'],
    ['/sys/hypervisor/type', 'xen\n'],
    ['/sys/hypervisor/version/major', '4\n'],
    ['/sys/hypervisor/version/minor', '17\n'],
  ]);
  readonly executables = new Set([BLOCK_SCRIPT]);
  readonly fileSystems = new Map<string, FileSystem>([
    ['/run/blkferry', { type: TMPFS, freeBytes: 1024 ** 3 }],
  ]);
  /** What `systemctl show` says of a unit. */
  readonly units = new Map<string, Record<string, string>>([
    ['blkferryd.service', unit({})],
    ['blkferry-node.service', unit({})],
  ]);
  programsRun: string[] = [];
  addonFailure = '';
  devices: NbdDeviceStatus[] = [
    { index: 0, connected: true },
    { index: 1, connected: false },
  ];
  tlsFailure: string | undefined;
  nbdFailure: Error | undefined;

  wallClockMs(): number {
    return Date.UTC(2027, 0, 31);
  }

  tlsProblem(): string | undefined {
    return this.tlsFailure;
  }

  exists(path: string): boolean {
    return this.files.has(path) || this.list(path).length > 0;
  }

  isExecutable(path: string): boolean {
    return this.executables.has(path);
  }

  readText(path: string): string | undefined {
    return this.files.get(path);
  }

  list(folder: string): string[] {
    const names = [...this.files.keys()]
      .filter((path) => path.startsWith(`${folder}/`))
      .map((path) => path.slice(folder.length + 1).split('/')[0] ?? '');
    return [...new Set(names)];
  }

  fileSystem(path: string): FileSystem | undefined {
    return this.fileSystems.get(path);
  }

  run(program: string, words: readonly string[]): Promise<string | undefined> {
    this.programsRun.push([program, ...words].join(' '));
    const properties = this.units.get(words.at(-1) ?? '');
    if (properties === undefined) return Promise.resolve(undefined);
    const lines = Object.entries(properties).map(([name, value]) => `${name}=${value}\n`);
    return Promise.resolve(lines.join(''));
  }

  addonProblem(): string {
    return this.addonFailure;
  }

  nbdStatus(): Promise<NbdDeviceStatus[]> {
    return this.nbdFailure === undefined
      ? Promise.resolve(this.devices)
      : Promise.reject(this.nbdFailure);
  }

  /** Takes away everything below a path. */
  remove(path: string): void {
    for (const file of [...this.files.keys()]) {
      if (file === path || file.startsWith(`${path}/`)) this.files.delete(file);
    }
  }

  setUnit(name: string, properties: Record<string, string>): void {
    this.units.set(name, unit(properties));
  }
}

function unit(properties: Record<string, string>): Record<string, string> {
  return {
    LoadState: 'loaded',
    ActiveState: 'active',
    UnitFileState: 'enabled',
    NeedDaemonReload: 'no',
    NRestarts: '0',
    ...properties,
  };
}
