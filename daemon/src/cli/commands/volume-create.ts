/** `blkferry volume create NAME SIZE`: makes a volume that reads as zeroes. */
import { Option, type Command } from 'commander';
import { formatBytes } from '../../config/quantity.js';
import type { CommandContext } from '../command-context.js';
import {
  addNodeOptions,
  newCommand,
  readBytes,
  type NodeOptions,
  type OutputOptions,
} from '../command-options.js';

interface VolumeCreateOptions extends NodeOptions, OutputOptions {
  readonly block: number;
  readonly backend: string;
}

export function volumeCreateCommand(context: CommandContext): Command {
  const command = newCommand('create', 'make a volume that reads as zeroes')
    .argument('<name>', '1 to 64 of A-Z a-z 0-9 . _ - ; begins with a letter or digit')
    .argument('<size>', 'bytes, or with a unit: 64KiB, 1G, 20T', readBytes)
    .addOption(
      new Option('--block <bytes>', 'smallest unit of reads and writes')
        .default(0, "the node's choice")
        .argParser(readBytes),
    )
    .addOption(
      new Option('--backend <backend>', 'engine that keeps the data').default(
        '',
        "the node's choice",
      ),
    );
  return addNodeOptions(command).action(
    (name: string, sizeBytes: number, options: VolumeCreateOptions) =>
      runVolumeCreate(context, name, sizeBytes, options),
  );
}

/** The size is sent as it is: whether it suits the block size, the node says. */
async function runVolumeCreate(
  context: CommandContext,
  name: string,
  sizeBytes: number,
  options: VolumeCreateOptions,
): Promise<void> {
  const { block: blockBytes, backend } = options;
  const reply = await context.withNode(options, (node) =>
    node.createVolume({ name, sizeBytes, blockBytes, backend }),
  );
  context.print(options, reply, () => {
    const size = formatBytes(reply.volume.sizeBytes);
    return reply.existed
      ? `volume ${name} is there already, with ${size} at ${options.node}\n`
      : `volume ${name} created: ${size} at ${options.node}\n`;
  });
}
