/** What both servers do around their own work: flags, configuration, the log, the sentence when they cannot begin. */
import { existsSync } from 'node:fs';
import { Command } from 'commander';
import { ConfigError } from '../config/config-error.js';
import { DAEMON_SETTINGS, type DaemonConfig } from '../config/daemon-config.js';
import { NODE_SETTINGS } from '../config/node-config.js';
import { printConfig, type FixedLimit } from '../config/print-config.js';
import { unknownVariables, type ConfigSources } from '../config/read-config.js';
import type { Settings } from '../config/setting.js';
import { SYSTEM_CLOCK } from '../runtime/clock.js';
import { keepMemoryPrivate } from '../runtime/core-dumps.js';
import { logCrashes } from '../runtime/crash.js';
import { createLogger, type Logger } from '../runtime/logger.js';
import { serviceManager } from '../runtime/service-manager.js';
import { stopOnSignals } from '../runtime/shutdown.js';
import { VERSION } from '../runtime/version.js';

export interface Program {
  readonly name: string;
  readonly summary: string;
  readonly settings: Settings;
  /** What cannot be set, for --print-config. */
  readonly limits: readonly FixedLimit[];
  /** Read if it exists and --config names no other. */
  readonly defaultFile: string;
  /** The settings that have a flag of their own, by key. */
  readonly flags: Readonly<Record<string, string>>;
  /** Runs until a signal; resolves when it is ready, with the line that says so. */
  readonly run: (sources: ConfigSources) => Promise<string>;
}

/** Wrong usage or configuration. */
const EXIT_USAGE = 2;
const EXIT_FAILED = 1;

/**
 * What a stop may take beyond shutdown_timeout before the process is ended by force: closing files and
 * sockets needs milliseconds, seconds on a machine that is busy.
 */
const STOP_SPARE_MS = 5000;

/** The program's log, which is also told of core dumps, crashes and of settings in the environment that are none. */
export function openLog(program: string, level: DaemonConfig['log.level']): Logger {
  const logger = createLogger(program, level);
  logCrashes(logger);
  keepMemoryPrivate(logger);
  for (const sentence of unknownVariables(process.env, [DAEMON_SETTINGS, NODE_SETTINGS])) {
    logger.warn({ event: 'unknown_setting_found' }, sentence);
  }
  return logger;
}

export interface Serving {
  readonly logger: Logger;
  /** The setting shutdown_timeout: how long `stop` waits for others. */
  readonly shutdownTimeoutMs: number;
  /** One line for `systemctl status`: what the program does now. */
  readonly describe: () => string;
  /** Whether all threads of the program do their work; absent: it has one. */
  readonly isAlive?: () => boolean;
  /** Whether what is to be there after a start is there; absent: from the beginning. */
  readonly isComplete?: () => boolean;
  readonly stop: () => Promise<void>;
}

/**
 * Guests are started when the service manager takes the daemon for ready. When all machines of a site boot
 * together, nodes are there a minute later than the daemon; guests do not wait longer than that for one
 * that does not come.
 */
const COMPLETE_WAIT_MS = 60_000;
const COMPLETE_LOOK_MS = 200;

/** A server whose clients can connect: tells the service manager, and stops in order at a signal. */
export function serve(serving: Serving): void {
  const { logger, shutdownTimeoutMs, describe, stop } = serving;
  const manager = serviceManager(logger);
  const limitMs = shutdownTimeoutMs + STOP_SPARE_MS;
  stopOnSignals({
    logger,
    clock: SYSTEM_CLOCK,
    limitMs,
    stop: () => {
      // The manager's patience ends after ours.
      manager.stopping(limitMs + STOP_SPARE_MS);
      return stop();
    },
  });
  const untilMs = SYSTEM_CLOCK.nowMs() + COMPLETE_WAIT_MS;
  const look = (): void => {
    if (serving.isComplete?.() === false && SYSTEM_CLOCK.nowMs() < untilMs) {
      manager.starting(describe());
      SYSTEM_CLOCK.setTimer(COMPLETE_LOOK_MS, look);
    } else manager.ready(describe, serving.isAlive);
  };
  look();
}

export async function main(program: Program): Promise<void> {
  // Sockets and data are for the owner alone, also in the moment before their mode is set.
  process.umask(0o077);
  const command = new Command(program.name)
    .description(program.summary)
    .version(VERSION)
    .option('--config <file>', `configuration file (default: ${program.defaultFile}, if it exists)`)
    .option('--print-config', 'print a commented configuration file with every default, and end')
    .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : EXIT_USAGE));
  for (const [key, flag] of Object.entries(program.flags)) {
    command.option(flag, `setting ${key}: ${program.settings[key]?.form ?? ''}`);
  }
  command.addHelpText(
    'after',
    '\nEvery setting can also be given as an environment variable, BLKFERRY_ and its key in\ncapitals with _ for dots. Order: defaults, file, environment, flags.',
  );
  command.parse();
  const options = command.opts<Record<string, string | boolean | undefined>>();
  if (options['printConfig'] === true) {
    process.stdout.write(printConfig(program.name, program.settings, program.limits));
    return;
  }
  // Whoever waits for the line below may be gone before it is written.
  process.stdout.on('error', () => undefined);
  try {
    process.stdout.write(`${await program.run(sourcesOf(program, options))}\n`);
  } catch (error) {
    const problems = error instanceof ConfigError ? error.problems : [(error as Error).message];
    for (const problem of problems) process.stderr.write(`${program.name}: ${problem}\n`);
    process.exit(error instanceof ConfigError ? EXIT_USAGE : EXIT_FAILED);
  }
}

function sourcesOf(
  program: Program,
  options: Record<string, string | boolean | undefined>,
): ConfigSources {
  const flags: Record<string, string | boolean | undefined> = {};
  for (const [key, flag] of Object.entries(program.flags)) {
    const name = flag.replace(/^--/, '').replace(/ .*$/, '');
    flags[key] =
      options[name.replace(/-([a-z])/g, (_match, letter: string) => letter.toUpperCase())];
  }
  const named = options['config'];
  const file =
    typeof named === 'string'
      ? named
      : existsSync(program.defaultFile)
        ? program.defaultFile
        : undefined;
  return { file, environment: process.env, flags };
}
