/** `blkferry show NAME`: one attachment with its counters. */
import type { Command } from 'commander';
import { StorageError } from '../../rpc/storage-error.js';
import type { AdminClient } from '../admin-client.js';
import { attachmentFields } from '../attachment-words.js';
import type { CommandContext } from '../command-context.js';
import {
  addDaemonOptions,
  newCommand,
  QUERY_TIMEOUT_MS,
  type DaemonOptions,
  type OutputOptions,
} from '../command-options.js';
import { CommandError } from '../exit-codes.js';
import { exportHint } from '../export-hint.js';
import { renderFields } from '../table-output.js';
import type { AttachmentMessage } from '../../rpc/admin-messages.js';

type ShowOptions = DaemonOptions & OutputOptions;

export function showCommand(context: CommandContext): Command {
  const command = newCommand('show', 'show one attachment and its counters').argument(
    '<export>',
    'the name NBD clients use',
  );
  return addDaemonOptions(command).action((exportName: string, options: ShowOptions) =>
    runShow(context, exportName, options),
  );
}

async function runShow(
  context: CommandContext,
  exportName: string,
  options: ShowOptions,
): Promise<void> {
  const attachment = await context.withDaemon(options, QUERY_TIMEOUT_MS, (daemon) =>
    findAttachment(daemon, exportName),
  );
  context.print(options, attachment, () => renderFields(attachmentFields(attachment)));
}

async function findAttachment(daemon: AdminClient, exportName: string): Promise<AttachmentMessage> {
  try {
    return await daemon.getAttachment(exportName);
  } catch (error) {
    if (!(error instanceof StorageError) || error.kind !== 'not-found') throw error;
    const hint = await exportHint(daemon, exportName);
    const sentence = `nothing is attached as ${exportName}${hint}`;
    throw new CommandError('not-found', sentence, { cause: error });
  }
}
