/**
 * `blkferry status`: the daemon, its attachments and the nodes behind them at a glance. The exit code
 * is for monitoring: 5 when the daemon or a node does not answer, 1 when an attachment needs attention.
 */
import { Option, type Command } from 'commander';
import { DEFAULT_DAEMON_CONFIG } from '../../config/default-paths.js';
import { needsAttention } from '../attachment-words.js';
import type { CommandContext } from '../command-context.js';
import { addDaemonOptions, newCommand, type OutputOptions } from '../command-options.js';
import { protectionLike, readSettings } from '../daemon-settings.js';
import { EXIT_CODES } from '../exit-codes.js';
import { addProtectionOptions } from '../protection-options.js';
import { renderStatus, type StatusReport } from '../status-report.js';
import { survey, type SurveyOptions } from '../survey.js';

type StatusOptions = SurveyOptions &
  OutputOptions & {
    /** The daemon's configuration file. */
    readonly config: string;
  };

export function statusCommand(context: CommandContext): Command {
  const command = newCommand('status', 'show the daemon and its nodes at a glance')
    .addOption(
      new Option('--node <address>', 'ask this node too; may be repeated')
        .env('BLKFERRY_NODE')
        .default([], "the daemon's nodes")
        .argParser((address: string, before: readonly string[]) => [...before, address]),
    )
    .option(
      '--config <file>',
      "the daemon's configuration file: nodes are asked with its certificate, if you may read it",
      DEFAULT_DAEMON_CONFIG,
    );
  return addDaemonOptions(addProtectionOptions(command)).action((options: StatusOptions) =>
    runStatus(context, options),
  );
}

async function runStatus(context: CommandContext, options: StatusOptions): Promise<void> {
  const { machine } = context.surroundings;
  const { config } = readSettings(machine, options.config);
  const report = await survey(context, { ...options, ...protectionLike(config, machine, options) });
  context.exitCode = exitCodeOf(report);
  context.print(options, report, () => renderStatus(report, context.columnsMax));
}

function exitCodeOf(report: StatusReport): number {
  const silent = report.daemon === undefined || report.nodes.some(({ node }) => node === undefined);
  if (silent) return EXIT_CODES.unreachable;
  const bad = report.attachments.some(({ state }) => needsAttention(state));
  return bad ? EXIT_CODES.failed : 0;
}
