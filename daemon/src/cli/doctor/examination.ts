/**
 * What several checks want to know, asked once: the daemon and its nodes, the settings, and the services as
 * systemd sees them.
 */
import { ConfigError } from '../../config/config-error.js';
import { readDaemonConfig, type DaemonConfig } from '../../config/daemon-config.js';
import type { CommandContext } from '../command-context.js';
import type { DaemonOptions } from '../command-options.js';
import { tlsFiles } from '../../config/tls-settings.js';
import { protectionOf, type ProtectionOptions } from '../protection-options.js';
import type { StatusReport } from '../status-report.js';
import { survey } from '../survey.js';
import { readServices, type Services } from './service-state.js';
import type { Machine } from './machine.js';

export interface ExaminationOptions extends DaemonOptions, ProtectionOptions {
  /** The daemon's configuration file. */
  readonly config: string;
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
  const [report, services] = await Promise.all([
    survey(context, { ...options, ...protectionLike(config, options), node: [] }),
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

/** What was not said on the command line is as the daemon has it. */
function protectionLike(
  config: DaemonConfig | undefined,
  given: ProtectionOptions,
): ProtectionOptions {
  const files = config === undefined ? undefined : tlsFiles(config);
  return {
    insecure: config?.insecure ?? false,
    ...(files === undefined
      ? {}
      : { tlsCertificate: files.certificate, tlsKey: files.key, tlsCa: files.ca }),
    ...protectionOf(given),
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
