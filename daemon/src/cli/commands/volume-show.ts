/** `blkferry volume show NAME`: everything the node knows about one volume. */
import type { Command } from 'commander';
import type { CommandContext } from '../command-context.js';
import {
  addNodeOptions,
  newCommand,
  type NodeOptions,
  type OutputOptions,
} from '../command-options.js';
import { renderFields } from '../table-output.js';
import { withVolumeHint } from '../volume-hint.js';
import { volumeFields } from '../volume-words.js';

type VolumeShowOptions = NodeOptions & OutputOptions;

export function volumeShowCommand(context: CommandContext): Command {
  const command = newCommand('show', 'show one volume').argument('<volume>', 'its name');
  return addNodeOptions(command).action((name: string, options: VolumeShowOptions) =>
    runVolumeShow(context, name, options),
  );
}

async function runVolumeShow(
  context: CommandContext,
  name: string,
  options: VolumeShowOptions,
): Promise<void> {
  const volume = await context.withNode(options, (node) =>
    withVolumeHint(node, name, () => node.getVolume(name)),
  );
  context.print(options, volume, () => renderFields(volumeFields(volume)));
}
