/** `blkferry fail-now NAME`: lets the requests of an attachment fail instead of waiting for its node. */
import type { Command } from 'commander';
import type { FailNowReplyMessage } from '../../rpc/admin-messages.js';
import type { CommandContext } from '../command-context.js';
import {
  addDaemonOptions,
  newCommand,
  QUERY_TIMEOUT_MS,
  type DaemonOptions,
  type OutputOptions,
} from '../command-options.js';
import { withExportHint } from '../export-hint.js';

type FailNowOptions = DaemonOptions & OutputOptions;

export function failNowCommand(context: CommandContext): Command {
  const command = newCommand(
    'fail-now',
    'let what waits for a node that is away fail with EIO, until the node is back',
  ).argument('<export>', 'the name NBD clients use');
  return addDaemonOptions(command).action((exportName: string, options: FailNowOptions) =>
    runFailNow(context, exportName, options),
  );
}

async function runFailNow(
  context: CommandContext,
  exportName: string,
  options: FailNowOptions,
): Promise<void> {
  const reply = await context.withDaemon(options, QUERY_TIMEOUT_MS, (daemon) =>
    withExportHint(daemon, exportName, () => daemon.failNow(exportName)),
  );
  context.print(options, reply, () => `${inWords(exportName, reply)}\n`);
}

function inWords(exportName: string, { requestsFailed, attachment }: FailNowReplyMessage): string {
  const { state, detail } = attachment;
  if (state !== 'failing') {
    return `${exportName} is ${state}: nothing waits for its node, nothing was changed`;
  }
  const requests = requestsFailed === 1 ? '1 request' : `${requestsFailed} requests`;
  return (
    `${requests} of ${exportName} failed now, and every further one does until the node is back\n` +
    `why it is away: ${detail}`
  );
}
