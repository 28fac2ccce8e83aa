/**
 * `blkferry selftest [VOLUME]`: proves on the user's own daemon, network and node that promises are kept.
 * The steps are selftest/selftest-story.ts; here are the volume, its attachment, and the end of both.
 */
import { randomBytes, randomInt } from 'node:crypto';
import type { Command } from 'commander';
import type { VolumeMessage } from '../../rpc/storage-messages.js';
import type { StorageClient } from '../../transport/storage-client.js';
import type { AdminClient } from '../admin-client.js';
import type { CommandContext } from '../command-context.js';
import {
  addDaemonOptions,
  addNodeAddress,
  newCommand,
  QUERY_TIMEOUT_MS,
  readBytes,
  readDuration,
  readInteger,
  type DaemonOptions,
  type NodeOptions,
  type OutputOptions,
} from '../command-options.js';
import { CommandError, EXIT_CODES } from '../exit-codes.js';
import { createProgress } from '../progress.js';
import { STAMP_BYTES } from '../selftest/stamp.js';
import { toNbdTarget, type NbdTarget } from '../selftest/nbd-target.js';
import { reportInWords, selftestReport } from '../selftest/selftest-report.js';
import { runSelftest, type SelftestOutcome } from '../selftest/selftest-story.js';
import { stoppable } from '../stop-signal.js';
import { withVolumeHint } from '../volume-hint.js';

/** Larger than what caches of a small node hold for nothing, small enough to be read twice in seconds. */
const SIZE_BYTES = 256 * 1024 * 1024;
const SIZE_BYTES_MAX = 16 * 1024 * 1024 * 1024;
const DURATION_MS = 30_000;
const CONNECTIONS = 4;
const CONNECTIONS_MAX = 16;
/** A detach at the end flushes, and a node may be slow. */
const DETACH_TIMEOUT_MS = 60_000;

interface SelftestOptions extends DaemonOptions, OutputOptions, Omit<NodeOptions, 'timeout'> {
  readonly size: number;
  readonly duration: number;
  readonly connections: number;
  readonly seed?: number;
  readonly destroyData?: boolean;
  readonly waitForRestart?: number;
}

export function selftestCommand(context: CommandContext): Command {
  const command = newCommand(
    'selftest',
    'write, cut, take over and read back on a volume of its own, and say what that proved',
  )
    .argument('[volume]', 'use this one, as NAME or NAME@NODE; only with --destroy-data')
    .option('--destroy-data', 'the volume that is named may lose what it holds')
    .option('--size <size>', 'of the volume that is made and deleted again', readBytes, SIZE_BYTES)
    .option('--duration <duration>', 'of the load', readDuration, DURATION_MS)
    .option(
      '--connections <count>',
      'NBD connections of the load',
      (text) => readInteger(text, 1, CONNECTIONS_MAX),
      CONNECTIONS,
    )
    .option('--seed <number>', 'repeat the requests of an earlier run', (text) =>
      readInteger(text, 0, 2 ** 32 - 1),
    )
    .option(
      '--wait-for-restart <duration>',
      'ask for a restart of the node and wait this long for it',
      readDuration,
    );
  return addDaemonOptions(addNodeAddress(command)).action(
    (volume: string | undefined, options: SelftestOptions) =>
      runSelftestCommand(context, volume, options),
  );
}

async function runSelftestCommand(
  context: CommandContext,
  word: string | undefined,
  given: SelftestOptions,
): Promise<void> {
  const { name, options } = splitNode(word, given);
  const timeout = options.timeout ?? QUERY_TIMEOUT_MS;
  const seed = options.seed ?? randomInt(2 ** 32);
  const report = await context.withNode({ ...options, timeout }, (node) =>
    context.withDaemon(options, DETACH_TIMEOUT_MS, async (daemon) => {
      const volume = await makeOrFind(node, name, options);
      const outcome = await onVolume(context, node, daemon, volume, name === undefined, {
        ...options,
        seed,
      });
      return selftestReport(volume, node.address, seed, outcome);
    }),
  );
  context.print(options, report, () => reportInWords(report));
  if (report.isKept) return;
  context.exitCode = EXIT_CODES['verification-failed'];
}

/** NAME@NODE is --node NODE. */
function splitNode(
  word: string | undefined,
  options: SelftestOptions,
): { name: string | undefined; options: SelftestOptions } {
  const at = word?.indexOf('@') ?? -1;
  if (word === undefined || at === -1) return { name: word, options };
  return { name: word.slice(0, at), options: { ...options, node: word.slice(at + 1) } };
}

async function makeOrFind(
  node: StorageClient,
  name: string | undefined,
  { destroyData = false, size }: SelftestOptions,
): Promise<VolumeMessage> {
  if (name === undefined) {
    if (size < STAMP_BYTES || size > SIZE_BYTES_MAX || size % STAMP_BYTES !== 0) {
      throw new CommandError('usage', '--size is a multiple of 4 KiB and 16 GiB at most');
    }
    const newName = `selftest-${randomBytes(4).toString('hex')}`;
    const wish = { name: newName, sizeBytes: size, blockBytes: STAMP_BYTES, backend: '' };
    return (await node.createVolume(wish)).volume;
  }
  if (!destroyData) {
    const sentence = `volume ${name} would lose what it holds; say --destroy-data, or name no volume`;
    throw new CommandError('usage', sentence);
  }
  const volume = await withVolumeHint(node, name, () => node.getVolume(name));
  if (volume.sizeBytes > SIZE_BYTES_MAX || volume.sizeBytes % STAMP_BYTES !== 0) {
    const sentence = `volume ${name} is not fit for it: a multiple of 4 KiB is wanted, 16 GiB at most`;
    throw new CommandError('refused', sentence);
  }
  return volume;
}

/** Attaches the volume for the time of the test. One that was made for it goes, unless it is evidence. */
async function onVolume(
  context: CommandContext,
  node: StorageClient,
  daemon: AdminClient,
  volume: VolumeMessage,
  isOurs: boolean,
  options: SelftestOptions & { readonly seed: number },
): Promise<SelftestOutcome> {
  const { surroundings } = context;
  const { name } = volume;
  const progress = createProgress(surroundings, options.json === true);
  let outcome: SelftestOutcome | undefined;
  let isAttached = false;
  try {
    const target = await attach(daemon, name, options.node);
    isAttached = true;
    outcome = await stoppable(surroundings, (signal) =>
      runSelftest(
        {
          ...{ node, daemon, clock: surroundings.clock, progress, signal },
          connect: (where) => surroundings.connectNbd(where),
          tell: (sentence) => {
            context.warn(sentence);
          },
        },
        {
          ...{ volume, target, clearFirst: !isOurs, seed: options.seed },
          ...{ durationMs: options.duration, connections: options.connections },
          description: `blkferry selftest on ${surroundings.hostname} pid ${surroundings.processId}`,
          restartWaitMs: options.waitForRestart,
        },
      ),
    );
    return outcome;
  } finally {
    progress.end();
    const isEvidence = outcome !== undefined && outcome.problemCount > 0;
    await cleanUp(context, node, daemon, name, { isAttached, isOurs, isEvidence });
  }
}

async function attach(daemon: AdminClient, name: string, node: string): Promise<NbdTarget> {
  const { attachment, existed } = await daemon.attach({
    ...{ volume: name, node, exportName: name, readOnly: false, takeOver: false },
    standby: false,
    ...{ device: 'none', deviceConnections: 0, deviceBlockBytes: 0, attachmentId: '' },
  });
  if (existed) {
    throw new CommandError(
      'refused',
      `volume ${name} is attached and perhaps used; detach it first`,
    );
  }
  const targets = attachment.uris.map(toNbdTarget).filter((target) => target !== undefined);
  const [target] = targets;
  if (target !== undefined) return target;
  await daemon.detach({ exportName: name, force: true });
  throw new CommandError('failed', 'the daemon names no NBD address; set nbd_socket or nbd_listen');
}

/** What cannot be put away is named, and does not hide why the test failed. */
async function cleanUp(
  context: CommandContext,
  node: StorageClient,
  daemon: AdminClient,
  name: string,
  state: { readonly isAttached: boolean; readonly isOurs: boolean; readonly isEvidence: boolean },
): Promise<void> {
  try {
    if (state.isAttached) await daemon.detach({ exportName: name, force: true });
    if (!state.isOurs) return;
    if (state.isEvidence) context.warn(`volume ${name} was kept, for whoever looks for the cause`);
    else await node.deleteVolume({ name, volumeId: '' });
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    context.warn(
      `volume ${name} could not be put away (${why}); later: blkferry detach ${name}` +
        (state.isOurs ? `, blkferry volume delete ${name}` : ''),
    );
  }
}
