/** The settings of the daemon on this machine, for commands that ask its nodes as it does. */
import { ConfigError } from '../config/config-error.js';
import { readDaemonConfig, type DaemonConfig } from '../config/daemon-config.js';
import { tlsFiles } from '../config/tls-settings.js';
import type { Machine } from './doctor/machine.js';
import { protectionOf, type ProtectionOptions } from './protection-options.js';

/** What was not said on the command line is as the daemon has it. */
export function protectionLike(
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
export function readSettings(
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
