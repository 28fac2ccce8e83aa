/** `blkferry attach VOLUME`: makes a volume a block device of this machine, and an export for NBD clients. */
import { Option, type Command } from 'commander';
import { StorageError } from '../../rpc/storage-error.js';
import type { AttachRequestMessage } from '../../rpc/admin-messages.js';
import type { AdminClient } from '../admin-client.js';
import { devicePath } from '../attachment-words.js';
import type { CommandContext } from '../command-context.js';
import {
  addDaemonOptions,
  newCommand,
  QUERY_TIMEOUT_MS,
  readInteger,
  type DaemonOptions,
  type OutputOptions,
} from '../command-options.js';
import { noSuchVolume } from '../volume-hint.js';

/** Connecting to a node that is just starting takes seconds, and the lease may have to expire. */
const ATTACH_TIMEOUT_MS = 60_000;

interface AttachOptions extends DaemonOptions, OutputOptions {
  readonly node: string;
  readonly name: string;
  readonly readOnly?: boolean;
  readonly takeOver?: boolean;
  readonly standby?: boolean;
  /** Undefined: the daemon decides. */
  readonly device?: boolean;
  readonly connections?: number;
  readonly blockSize?: number;
  readonly id?: string;
}

export function attachCommand(context: CommandContext): Command {
  const command = newCommand('attach', 'make a volume a block device of this machine')
    .argument('<volume>', "the volume's name on its node")
    .addOption(
      new Option(
        '--node <address>',
        'the storage node, as host:port or unix:/path, or several addresses of it with commas between',
      )
        .env('BLKFERRY_NODE')
        .default('', "the daemon's own"),
    )
    .addOption(
      new Option('--name <export>', 'what NBD clients ask for').default('', "the volume's name"),
    )
    .option('--read-only', 'refuse writes; needs no lease')
    .option('--take-over', 'take the volume away from another writer, dead or alive')
    .option(
      '--standby',
      'take it over only when something is written: for the destination of a live migration',
    )
    .option('--device', 'fail where the kernel cannot show it as a block device')
    .option('--no-device', 'for NBD clients only')
    .addOption(
      new Option(
        '--connections <count>',
        "sockets between kernel and daemon (default: the daemon's)",
      ).argParser((text) => readInteger(text, 1, 16)),
    )
    .addOption(
      new Option(
        '--block-size <bytes>',
        "the device's logical block size (default: the volume's, at least 512)",
      ).argParser((text) => readInteger(text, 512, 4096)),
    )
    .option('--id <uuid>', 'what the attachment is known by (default: made by the daemon)');
  return addDaemonOptions(command).action((volume: string, options: AttachOptions) =>
    runAttach(context, volume, options),
  );
}

async function runAttach(
  context: CommandContext,
  volume: string,
  options: AttachOptions,
): Promise<void> {
  const { node, name: exportName, readOnly = false, takeOver = false, standby = false } = options;
  const { device } = options;
  const request: AttachRequestMessage = {
    volume,
    node,
    exportName,
    readOnly,
    takeOver,
    device: device === undefined ? 'unspecified' : device ? 'kernel' : 'none',
    deviceConnections: options.connections ?? 0,
    deviceBlockBytes: options.blockSize ?? 0,
    attachmentId: options.id ?? '',
    standby,
  };
  const reply = await context.withDaemon(options, ATTACH_TIMEOUT_MS, async (daemon) => {
    try {
      return await daemon.attach(request);
    } catch (error) {
      throw await withNearNames(context, daemon, volume, node, error);
    }
  });
  context.print(options, reply, () => {
    const { attachment } = reply;
    const done = reply.existed ? 'was attached already' : 'attached';
    const places = [devicePath(attachment) ?? [], attachment.uris].flat();
    const lines = [`volume ${volume} ${done} as ${attachment.exportName}`, ...places];
    return `${lines.join('\n')}\n`;
  });
  if (reply.deviceProblem !== '') context.warn(`no block device: ${reply.deviceProblem}`);
}

/** @returns a better sentence for an unknown volume if the node can be asked from here, else the error */
async function withNearNames(
  context: CommandContext,
  daemon: AdminClient,
  volume: string,
  node: string,
  error: unknown,
): Promise<unknown> {
  if (!(error instanceof StorageError) || error.kind !== 'not-found') return error;
  try {
    const address = node === '' ? (await daemon.getDaemon()).defaultNode : node;
    const nodeOptions = { node: address, timeout: QUERY_TIMEOUT_MS };
    return await context.withNode(nodeOptions, (client) => noSuchVolume(client, volume, error));
  } catch {
    // The daemon's own sentence is good enough.
    return error;
  }
}
