/**
 * What several checks want to know, asked once: the daemon and its nodes, the settings, and the services as
 * systemd sees them.
 */
import { ConfigError } from '../../config/config-error.js';
import { readDaemonConfig, type DaemonConfig } from '../../config/daemon-config.js';
import type { CommandContext } from '../command-context.js';
import type { DaemonOptions } from '../command-options.js';
import type { StatusReport } from '../status-report.js';
import { survey } from '../survey.js';
import { readServices, type Services } from './service-state.js';
import type { Machine } from './machine.js';

export interface ExaminationOptions extends DaemonOptions {
  /** The daemon's configuration file. */
  readonly config: string;
  readonly insecure?: boolean;
}

export interface Examination {
  readonly machine: Machine;
  readonly report: StatusReport;
  readonly configFile: string;
  /** Undefined when it has problems. */
  readonly config: DaemonConfig | undefined;
  readonly configProblems: readonly string[];
  /** Undefined where systemd does not run. */
  readonly services: Services | undefined;
}

export async function examine(
  context: CommandContext,
  options: ExaminationOptions,
): Promise<Examination> {
  const { machine } = context.surroundings;
  const { config, problems } = readSettings(machine, options.config);
  const insecure = options.insecure ?? config?.insecure ?? false;
  const [report, services] = await Promise.all([
    survey(context, { ...options, insecure, node: [] }),
    readServices(machine),
  ]);
  return {
    machine,
    report,
    configFile: options.config,
    config,
    configProblems: problems,
    services,
  };
}

/** As the daemon would read them at its start, but for its environment and its flags. */
function readSettings(
  machine: Machine,
  file: string,
): { config: DaemonConfig | undefined; problems: readonly string[] } {
  const sources = { file: machine.exists(file) ? file : undefined, environment: {}, flags: {} };
  try {
    return { config: readDaemonConfig(sources), problems: [] };
  } catch (error) {
    const problems = error instanceof ConfigError ? error.problems : [(error as Error).message];
    return { config: undefined, problems };
  }
}
