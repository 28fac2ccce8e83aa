/** `blkferry volume delete NAME`: deletes a volume and its data. The node refuses while it is in use. */
import type { Command } from 'commander';
import type { CommandContext } from '../command-context.js';
import {
  addNodeOptions,
  newCommand,
  type NodeOptions,
  type OutputOptions,
} from '../command-options.js';
import { withVolumeHint } from '../volume-hint.js';

interface VolumeDeleteOptions extends NodeOptions, OutputOptions {
  readonly id: string;
}

export function volumeDeleteCommand(context: CommandContext): Command {
  const command = newCommand('delete', 'delete a volume and its data, for good')
    .alias('rm')
    .argument('<volume>', 'its name')
    .option('--id <id>', 'only if the volume has this id', '');
  return addNodeOptions(command).action((name: string, options: VolumeDeleteOptions) =>
    runVolumeDelete(context, name, options),
  );
}

async function runVolumeDelete(
  context: CommandContext,
  name: string,
  options: VolumeDeleteOptions,
): Promise<void> {
  await context.withNode(options, (node) =>
    withVolumeHint(node, name, () => node.deleteVolume({ name, volumeId: options.id })),
  );
  context.print(options, { name, deleted: true }, () => `volume ${name} deleted\n`);
}
