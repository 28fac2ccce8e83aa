/** `blkferry volume list`: the volumes of a node. */
import type { Command } from 'commander';
import type { CommandContext } from '../command-context.js';
import {
  addNodeOptions,
  newCommand,
  type NodeOptions,
  type OutputOptions,
} from '../command-options.js';
import { renderTable } from '../table-output.js';
import { VOLUME_COLUMNS } from '../volume-words.js';

type VolumeListOptions = NodeOptions & OutputOptions;

export function volumeListCommand(context: CommandContext): Command {
  const command = newCommand('list', 'show the volumes of a node').alias('ls');
  return addNodeOptions(command).action((options: VolumeListOptions) =>
    runVolumeList(context, options),
  );
}

async function runVolumeList(context: CommandContext, options: VolumeListOptions): Promise<void> {
  const volumes = await context.withNode(options, (node) => node.listVolumes());
  context.print(options, { volumes }, () =>
    volumes.length === 0
      ? `no volumes at ${options.node}; make one with: blkferry volume create NAME SIZE\n`
      : renderTable(VOLUME_COLUMNS, volumes, context.columnsMax),
  );
}
