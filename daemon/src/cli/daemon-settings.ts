/** The settings of the daemon on this machine, for commands that ask its nodes as it does. */
import { ConfigError } from '../config/config-error.js';
import { readDaemonConfig, type DaemonConfig } from '../config/daemon-config.js';
import { tlsFiles } from '../config/tls-settings.js';
import type { DaemonOptions } from './command-options.js';
import type { Machine } from './doctor/machine.js';
import { protectionOf, type ProtectionOptions } from './protection-options.js';

/**
 * How the nodes of this machine's daemon are asked: as it asks them itself, unless the command line says anything
 * about it, or names a daemon elsewhere, whose settings are not here. Files that this user cannot use are left out:
 * the daemon's key is for its own user.
 */
export function protectionLike(
  config: DaemonConfig | undefined,
  machine: Machine,
  given: ProtectionOptions & Pick<DaemonOptions, 'adminAddress'>,
): ProtectionOptions {
  const own = protectionOf(given);
  const isElsewhere = (given.adminAddress ?? '') !== '';
  if (config === undefined || isElsewhere || Object.keys(own).length > 0) return own;
  const files = tlsFiles(config);
  return {
    insecure: config.insecure,
    ...(files === undefined || machine.tlsProblem(files) !== undefined
      ? {}
      : { tlsCertificate: files.certificate, tlsKey: files.key, tlsCa: files.ca }),
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
