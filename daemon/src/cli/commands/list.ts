/** `blkferry list`: the daemon's attachments. */
import type { Command } from 'commander';
import { ATTACHMENT_COLUMNS } from '../attachment-words.js';
import type { CommandContext } from '../command-context.js';
import {
  addDaemonOptions,
  newCommand,
  QUERY_TIMEOUT_MS,
  type DaemonOptions,
  type OutputOptions,
} from '../command-options.js';
import { renderTable } from '../table-output.js';

type ListOptions = DaemonOptions & OutputOptions;

export function listCommand(context: CommandContext): Command {
  const command = newCommand('list', 'show what is attached').alias('ls');
  return addDaemonOptions(command).action((options: ListOptions) => runList(context, options));
}

async function runList(context: CommandContext, options: ListOptions): Promise<void> {
  const attachments = await context.withDaemon(options, QUERY_TIMEOUT_MS, (daemon) =>
    daemon.listAttachments(),
  );
  context.print(options, { attachments }, () =>
    attachments.length === 0
      ? 'nothing is attached; attach a volume with: blkferry attach VOLUME\n'
      : renderTable(ATTACHMENT_COLUMNS, attachments, context.columnsMax),
  );
}
