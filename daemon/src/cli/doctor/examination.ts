/**
 * What several checks want to know, asked once: the daemon and its nodes, the settings, and the services as
 * systemd sees them.
 */
import type { DaemonConfig } from '../../config/daemon-config.js';
import type { CommandContext } from '../command-context.js';
import type { DaemonOptions } from '../command-options.js';
import { protectionLike, readSettings } from '../daemon-settings.js';
import type { ProtectionOptions } from '../protection-options.js';
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
    survey(context, { ...options, ...protectionLike(config, machine, options), node: [] }),
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
