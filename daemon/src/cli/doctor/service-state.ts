/** The two services as systemd sees them. */
import type { Machine } from './machine.js';

/** The words are systemd's own. */
export interface ServiceState {
  /** "loaded", "not-found", "masked", "bad-setting", ... */
  readonly load: string;
  /** "active", "inactive", "activating", "failed", ... */
  readonly active: string;
  /** "enabled", "disabled", ...; whether it is started at boot. */
  readonly unitFile: string;
  readonly needsReload: boolean;
  /** Times that systemd started it again since somebody did. */
  readonly restarts: number;
}

export interface Services {
  readonly daemon: ServiceState;
  readonly node: ServiceState;
}

const PROPERTIES = 'LoadState,ActiveState,UnitFileState,NeedDaemonReload,NRestarts';

/** @returns undefined where systemd does not run, or does not answer */
export async function readServices(machine: Machine): Promise<Services | undefined> {
  if (!machine.exists('/run/systemd/system')) return undefined;
  const [daemon, node] = await Promise.all(
    ['blkferryd.service', 'blkferry-node.service'].map((unit) => readService(machine, unit)),
  );
  return daemon === undefined || node === undefined ? undefined : { daemon, node };
}

async function readService(machine: Machine, unit: string): Promise<ServiceState | undefined> {
  const text = await machine.run('systemctl', ['show', `--property=${PROPERTIES}`, unit]);
  if (text === undefined) return undefined;
  const values = new Map(
    text.split('\n').map((line): [string, string] => {
      const end = line.indexOf('=');
      return [line.slice(0, end), line.slice(end + 1)];
    }),
  );
  return {
    load: values.get('LoadState') ?? '',
    active: values.get('ActiveState') ?? '',
    unitFile: values.get('UnitFileState') ?? '',
    needsReload: values.get('NeedDaemonReload') === 'yes',
    restarts: Number(values.get('NRestarts') ?? 0),
  };
}
