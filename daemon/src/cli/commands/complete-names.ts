/**
 * `blkferry complete-names KIND`: the names that there are now, one a line, for the completion scripts.
 * Not shown in the help.
 */
import { Argument, Command } from 'commander';
import type { CommandContext } from '../command-context.js';
import {
  addDaemonOptions,
  addNodeAddress,
  type DaemonOptions,
  type NodeOptions,
} from '../command-options.js';

/** Somebody has pressed Tab: later is no use. */
const COMPLETION_TIMEOUT_MS = 2000;

type CompleteNamesOptions = DaemonOptions & Omit<NodeOptions, 'timeout'>;

export function completeNamesCommand(context: CommandContext): Command {
  const command = new Command('complete-names').addArgument(
    new Argument('<kind>').choices(['volumes', 'exports']),
  );
  return addDaemonOptions(addNodeAddress(command)).action(
    (kind: 'volumes' | 'exports', options: CompleteNamesOptions) =>
      runCompleteNames(context, kind, options),
  );
}

async function runCompleteNames(
  context: CommandContext,
  kind: 'volumes' | 'exports',
  options: CompleteNamesOptions,
): Promise<void> {
  const names =
    kind === 'volumes' ? await volumes(context, options) : await exports(context, options);
  context.surroundings.stdout.write(names.map((name) => `${name}\n`).join(''));
}

async function volumes(context: CommandContext, options: CompleteNamesOptions): Promise<string[]> {
  const timed = { ...options, timeout: COMPLETION_TIMEOUT_MS };
  const list = await context.withNode(timed, (node) => node.listVolumes());
  return list.map((volume) => volume.name);
}

async function exports(context: CommandContext, options: CompleteNamesOptions): Promise<string[]> {
  const list = await context.withDaemon(options, COMPLETION_TIMEOUT_MS, (daemon) =>
    daemon.listAttachments(),
  );
  return list.map((attachment) => attachment.exportName);
}
