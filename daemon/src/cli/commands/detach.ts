/** `blkferry detach NAME`: ends an attachment; everything answered is on the node's disk afterwards. */
import type { Command } from 'commander';
import { formatBytes } from '../../config/quantity.js';
import type { CommandContext } from '../command-context.js';
import {
  addDaemonOptions,
  newCommand,
  readDuration,
  type DaemonOptions,
  type OutputOptions,
} from '../command-options.js';
import { exportHint } from '../export-hint.js';

/** The daemon flushes first, and a slow disk may have a lot in its cache. */
const DETACH_TIMEOUT_MS = 300_000;

interface DetachOptions extends DaemonOptions, OutputOptions {
  readonly force?: boolean;
  readonly wait?: number;
  readonly attachment?: readonly string[];
}

export function detachCommand(context: CommandContext): Command {
  const command = newCommand('detach', 'end an attachment, after a flush')
    .argument('<export>', 'the name NBD clients use')
    .option(
      '--force',
      'also with clients connected, or when the node is away: then what it did not flush is given up',
    )
    .option('--wait <duration>', 'most time for users of the device to let go of it', readDuration)
    .option(
      '--attachment <id...>',
      'only if the attachment has one of these ids, as `show --json` prints it',
    );
  return addDaemonOptions(command).action((exportName: string, options: DetachOptions) =>
    runDetach(context, exportName, options),
  );
}

async function runDetach(
  context: CommandContext,
  exportName: string,
  options: DetachOptions,
): Promise<void> {
  const { force = false, wait: waitMs = 0, attachment = [] } = options;
  const limitMs = DETACH_TIMEOUT_MS + waitMs;
  const { reply, hint } = await context.withDaemon(options, limitMs, async (daemon) => {
    const done = await daemon.detach({ exportName, force, attachmentIds: [...attachment], waitMs });
    return { reply: done, hint: done.absent ? await exportHint(daemon, exportName) : '' };
  });
  context.print(options, reply, () =>
    reply.absent
      ? `${exportName} was not attached${attachment.length === 0 ? hint : ` with the id ${attachment.join(' or ')}`}\n`
      : `${exportName} detached\n`,
  );
  if (reply.discardedBytes > 0) {
    const lost = formatBytes(reply.discardedBytes);
    context.warn(`${lost} of answered writes were given up: they did not reach the node's disk`);
  }
}
