/** `blkferry retry-now NAME`: tries to reach the node of an attachment at once. Succeeds if it is there. */
import type { Command } from 'commander';
import type { CommandContext } from '../command-context.js';
import {
  addDaemonOptions,
  newCommand,
  type DaemonOptions,
  type OutputOptions,
} from '../command-options.js';
import { EXIT_CODES } from '../exit-codes.js';
import { withExportHint } from '../export-hint.js';

/** The try itself ends by the daemon's connect_timeout and rpc_timeout, together well below this. */
const RETRY_TIMEOUT_MS = 60_000;

type RetryNowOptions = DaemonOptions & OutputOptions;

export function retryNowCommand(context: CommandContext): Command {
  const command = newCommand(
    'retry-now',
    'try to reach the node of an attachment at once',
  ).argument('<export>', 'the name NBD clients use');
  return addDaemonOptions(command).action((exportName: string, options: RetryNowOptions) =>
    runRetryNow(context, exportName, options),
  );
}

async function runRetryNow(
  context: CommandContext,
  exportName: string,
  options: RetryNowOptions,
): Promise<void> {
  const reply = await context.withDaemon(options, RETRY_TIMEOUT_MS, (daemon) =>
    withExportHint(daemon, exportName, () => daemon.retryNow(exportName)),
  );
  const { state, detail, node } = reply.attachment;
  const isThere = state === 'active' || state === 'draining';
  context.print(options, reply, () =>
    isThere
      ? `${exportName} is ${state}: its node ${node} answers\n`
      : `${exportName} is ${state}: ${detail}\n`,
  );
  if (!isThere) context.exitCode = EXIT_CODES[state === 'fenced' ? 'refused' : 'unreachable'];
}
