/** `blkferry volume resize NAME SIZE`: makes a volume larger or, if told so, smaller. */
import type { Command } from 'commander';
import { formatBytes } from '../../config/quantity.js';
import type { CommandContext } from '../command-context.js';
import {
  addNodeOptions,
  newCommand,
  readBytes,
  type NodeOptions,
  type OutputOptions,
} from '../command-options.js';
import { withVolumeHint } from '../volume-hint.js';

interface VolumeResizeOptions extends NodeOptions, OutputOptions {
  readonly allowShrink?: boolean;
}

export function volumeResizeCommand(context: CommandContext): Command {
  const command = newCommand('resize', 'change the size of a volume')
    .argument('<volume>', 'its name')
    .argument('<size>', 'the new size: bytes, or with a unit: 64KiB, 1G, 20T', readBytes)
    .option('--allow-shrink', 'let the volume become smaller; the data beyond is lost');
  return addNodeOptions(command).action(
    (name: string, sizeBytes: number, options: VolumeResizeOptions) =>
      runVolumeResize(context, name, sizeBytes, options),
  );
}

async function runVolumeResize(
  context: CommandContext,
  name: string,
  sizeBytes: number,
  options: VolumeResizeOptions,
): Promise<void> {
  const { allowShrink = false } = options;
  const volume = await context.withNode(options, (node) =>
    withVolumeHint(node, name, () => node.resizeVolume({ name, sizeBytes, allowShrink })),
  );
  context.print(
    options,
    volume,
    () => `volume ${name} has ${formatBytes(volume.sizeBytes)} at ${options.node}\n`,
  );
  if (volume.sessionCount > 0) {
    context.warn(
      `volume ${name} is in use: block devices show the new size now, NBD clients when they connect again`,
    );
  }
}
