/**
 * `blkferry export VOLUME FILE`: copies a volume's content into a sparse file or to standard output.
 * The order of steps is here; how content is moved is transfer/export-volume.ts.
 */
import type { Command } from 'commander';
import { formatBytes } from '../../config/quantity.js';
import type { VolumeMessage } from '../../rpc/storage-messages.js';
import type { StorageClient } from '../../transport/storage-client.js';
import type { CommandContext } from '../command-context.js';
import {
  addNodeOptions,
  newCommand,
  type NodeOptions,
  type OutputOptions,
} from '../command-options.js';
import { CommandError } from '../exit-codes.js';
import { createProgress } from '../progress.js';
import { stoppable } from '../stop-signal.js';
import { exportVolume, type ExportOutcome } from '../transfer/export-volume.js';
import type { Target } from '../transfer/target.js';
import { TargetFile } from '../transfer/target-file.js';
import { TargetStream } from '../transfer/target-stream.js';
import { newAttachmentId, VolumeSession } from '../transfer/volume-session.js';
import { withVolumeHint } from '../volume-hint.js';

interface ExportCommandOptions extends NodeOptions, OutputOptions {
  readonly force?: boolean;
  readonly verify: boolean;
}

export function exportCommand(context: CommandContext): Command {
  const command = newCommand('export', 'copy the content of a volume into a sparse file')
    .argument('<volume>', "the volume's name")
    .argument('<file>', 'a new file, or - for standard output')
    .option('--force', 'replace the file if it exists')
    .option('--no-verify', 'do not read the file back');
  return addNodeOptions(command).action(
    (volume: string, file: string, options: ExportCommandOptions) =>
      runExport(context, volume, file, options),
  );
}

async function runExport(
  context: CommandContext,
  name: string,
  file: string,
  options: ExportCommandOptions,
): Promise<void> {
  const { surroundings } = context;
  const toStdout = file === '-';
  if (toStdout && options.json === true) {
    throw new CommandError('usage', 'standard output cannot take both the content and --json');
  }
  const startMs = surroundings.clock.nowMs();
  const outcome = await stoppable(surroundings, (signal) =>
    context.withNode(options, async (node) => {
      const volume = await withVolumeHint(node, name, () => node.getVolume(name));
      const target = toStdout
        ? new TargetStream('standard output', surroundings.stdout, signal)
        : await TargetFile.create(file, options.force === true);
      warnAboutWriter(context, volume);
      return await transfer(context, node, volume, target, options, signal);
    }),
  );
  const elapsedMs = Math.round(surroundings.clock.nowMs() - startMs);
  const document = { volume: name, ...outcome, elapsedMs };
  const asText = (): string => outcomeInWords(toStdout ? 'standard output' : file, document);
  if (toStdout) surroundings.stderr.write(asText());
  else context.print(options, document, asText);
}

async function transfer(
  context: CommandContext,
  node: StorageClient,
  volume: VolumeMessage,
  target: Target,
  options: ExportCommandOptions,
  signal: AbortSignal,
): Promise<ExportOutcome> {
  const { verify, json } = options;
  const progress = createProgress(context.surroundings, json === true);
  const open = {
    volumeId: volume.volumeId,
    attachmentId: newAttachmentId('export'),
    generation: 0,
  };
  let session: VolumeSession | undefined;
  try {
    session = await VolumeSession.open(node, open, signal);
    return await exportVolume({ session, target, verify, progress, signal });
  } finally {
    progress.end();
    session?.close();
    await target.abandon();
  }
}

/** An export reads while others write: with a writer there is no one moment that the file shows. */
function warnAboutWriter(context: CommandContext, volume: VolumeMessage): void {
  if (volume.holder?.connected !== true) return;
  context.warn(
    `volume ${volume.name} is being written by ${volume.holder.description}; ` +
      'unless the writer is idle the export mixes old and new content',
  );
}

function outcomeInWords(
  target: string,
  outcome: ExportOutcome & { volume: string; elapsedMs: number },
): string {
  const { sizeBytes, dataBytes, elapsedMs } = outcome;
  const verified = outcome.verified ? 'verified' : 'not verified';
  const seconds = (elapsedMs / 1000).toFixed(1);
  return (
    `exported volume ${outcome.volume} to ${target}: ${formatBytes(sizeBytes)}, ` +
    `${formatBytes(dataBytes)} of it data, ${verified}, ${seconds} s\n`
  );
}
