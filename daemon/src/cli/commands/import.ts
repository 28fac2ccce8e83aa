/**
 * `blkferry import FILE VOLUME`: makes a volume's content equal to a file, a block device or standard
 * input. The order of steps is here; how content is moved is transfer/import-volume.ts.
 */
import { Option, type Command } from 'commander';
import { formatBytes } from '../../config/quantity.js';
import type { VolumeMessage } from '../../rpc/storage-messages.js';
import { StorageError } from '../../rpc/storage-error.js';
import type { StorageClient } from '../../transport/storage-client.js';
import type { CommandContext } from '../command-context.js';
import { toCommandError } from '../command-failure.js';
import {
  addNodeOptions,
  newCommand,
  readBytes,
  type NodeOptions,
  type OutputOptions,
} from '../command-options.js';
import { CommandError } from '../exit-codes.js';
import { createProgress } from '../progress.js';
import { stoppable } from '../stop-signal.js';
import { underLease } from '../transfer/held-lease.js';
import {
  importVolume,
  tooSmall,
  type ImportOutcome,
  type VerifyMode,
} from '../transfer/import-volume.js';
import { roundUp } from '../transfer/piece.js';
import type { Source } from '../transfer/source.js';
import { SourceFile } from '../transfer/source-file.js';
import { openPipe, SourceStream } from '../transfer/source-stream.js';
import { newAttachmentId, VolumeSession } from '../transfer/volume-session.js';
import { withVolumeHint } from '../volume-hint.js';

/** A created volume is a multiple of this, which every block size divides. */
const CREATED_SIZE_MULTIPLE_BYTES = 4096;

interface ImportCommandOptions extends NodeOptions, OutputOptions {
  readonly create?: boolean;
  readonly size?: number;
  readonly takeOver?: boolean;
  /** False for --no-verify. */
  readonly verify: VerifyMode | false;
}

export function importCommand(context: CommandContext): Command {
  const command = newCommand(
    'import',
    'replace the whole content of a volume by a file followed by zeroes',
  )
    .argument('<file>', 'a file, a block device, or - for standard input')
    .argument('<volume>', "the volume's name")
    .option('--create', 'make the volume if it does not exist')
    .option(
      '--size <size>',
      'size of a volume made by --create; the size of the file if left out',
      readBytes,
    )
    .option('--take-over', 'take the volume away from another writer, dead or alive')
    .addOption(
      new Option('--verify <how>', 'read back every byte, or only what the node calls data')
        .choices(['full', 'data'])
        .default('full'),
    )
    .option('--no-verify', 'do not read back');
  return addNodeOptions(command).action(
    (file: string, volume: string, options: ImportCommandOptions) =>
      runImport(context, file, volume, options),
  );
}

async function runImport(
  context: CommandContext,
  file: string,
  name: string,
  options: ImportCommandOptions,
): Promise<void> {
  const { surroundings } = context;
  const startMs = surroundings.clock.nowMs();
  const source = await openSource(context, file);
  try {
    const outcome = await stoppable(surroundings, (signal) =>
      context.withNode(options, async (node) => {
        const volume = await findOrCreate(node, name, source, options);
        if (source.sizeBytes !== undefined && source.sizeBytes > volume.sizeBytes) {
          throw tooSmall(volume, source);
        }
        return await transfer(context, node, volume, source, options, signal);
      }),
    );
    const elapsedMs = Math.round(surroundings.clock.nowMs() - startMs);
    const verified = options.verify === false ? 'none' : options.verify;
    const document = { volume: name, ...outcome, verified, elapsedMs };
    context.print(options, document, () => outcomeInWords(source.name, document));
  } finally {
    await source.close();
  }
}

async function openSource(context: CommandContext, file: string): Promise<Source> {
  if (file === '-') return new SourceStream('standard input', context.surroundings.stdin);
  return (await SourceFile.open(file)) ?? openPipe(file);
}

async function findOrCreate(
  node: StorageClient,
  name: string,
  source: Source,
  options: ImportCommandOptions,
): Promise<VolumeMessage> {
  if (options.create !== true) {
    if (options.size !== undefined) {
      throw new CommandError('usage', '--size is the size of a volume to be made; add --create');
    }
    return await withVolumeHint(node, name, () => node.getVolume(name));
  }
  try {
    return await node.getVolume(name);
  } catch (error) {
    if (!(error instanceof StorageError) || error.kind !== 'not-found') throw error;
  }
  const wantedBytes = options.size ?? source.sizeBytes;
  if (wantedBytes === undefined) {
    throw new CommandError('usage', `the size of ${source.name} is not known: add --size SIZE`);
  }
  if (source.sizeBytes !== undefined && wantedBytes < source.sizeBytes) {
    const has = formatBytes(source.sizeBytes);
    throw new CommandError('usage', `--size is too small: ${source.name} has ${has}`);
  }
  if (wantedBytes === 0) {
    throw new CommandError('refused', `${source.name} is empty: add --size SIZE`);
  }
  const sizeBytes = roundUp(wantedBytes, CREATED_SIZE_MULTIPLE_BYTES);
  const reply = await node.createVolume({ name, sizeBytes, blockBytes: 0, backend: '' });
  return reply.volume;
}

async function transfer(
  context: CommandContext,
  node: StorageClient,
  volume: VolumeMessage,
  source: Source,
  options: ImportCommandOptions,
  signal: AbortSignal,
): Promise<ImportOutcome> {
  const { hostname, processId } = context.surroundings;
  const attachmentId = newAttachmentId('import');
  const progress = createProgress(context.surroundings, options.json === true);
  const wish = {
    volume,
    attachmentId,
    description: `blkferry import on ${hostname} pid ${processId}`,
    takeOver: options.takeOver === true,
    warn: (sentence: string) => {
      context.warn(sentence);
    },
  };
  return await underLease(node, wish, async ({ generation }) => {
    const { volumeId } = volume;
    const session = await VolumeSession.open(node, { volumeId, attachmentId, generation }, signal);
    try {
      const verify = options.verify === false ? 'none' : options.verify;
      return await importVolume({ session, source, verify, progress });
    } catch (error) {
      throw incomplete(error, volume.name);
    } finally {
      progress.end();
      session.close();
    }
  });
}

/** After the first write every failure leaves a volume that must not be used. */
function incomplete(error: unknown, name: string): CommandError {
  const failure = toCommandError(error);
  if (failure.code === 'verification-failed') return failure;
  const sentence = `volume ${name} is incomplete, run the import again: ${failure.message}`;
  return new CommandError(failure.code, sentence, { cause: error });
}

function outcomeInWords(
  sourceName: string,
  outcome: ImportOutcome & { volume: string; verified: VerifyMode; elapsedMs: number },
): string {
  const { sourceBytes, dataBytes, elapsedMs } = outcome;
  const verified = outcome.verified === 'none' ? 'not verified' : 'verified';
  const seconds = (elapsedMs / 1000).toFixed(1);
  return (
    `imported ${sourceName} into volume ${outcome.volume}: ${formatBytes(sourceBytes)}, ` +
    `${formatBytes(dataBytes)} of it data, ${verified}, ${seconds} s\n`
  );
}
