/**
 * `blkferry status`: the daemon, its attachments and the nodes behind them at a glance. Looks at
 * everything before it says anything, so that one dead node does not hide the others. The exit code
 * is for monitoring: 5 when the daemon or a node does not answer, 1 when an attachment needs attention.
 */
import { Option, type Command } from 'commander';
import { needsAttention } from '../attachment-words.js';
import { toCommandError } from '../command-failure.js';
import { daemonAddress, type CommandContext } from '../command-context.js';
import {
  addDaemonOptions,
  insecureOption,
  newCommand,
  QUERY_TIMEOUT_MS,
  type DaemonOptions,
  type OutputOptions,
} from '../command-options.js';
import { EXIT_CODES } from '../exit-codes.js';
import { renderStatus, type NodeStatus, type StatusReport } from '../status-report.js';

interface StatusOptions extends DaemonOptions, OutputOptions {
  readonly node: readonly string[];
  readonly insecure?: boolean;
}

/** Nodes asked at the same time; a daemon uses a handful. */
const NODES_AT_ONCE = 16;

export function statusCommand(context: CommandContext): Command {
  const command = newCommand('status', 'show the daemon and its nodes at a glance')
    .addOption(
      new Option('--node <address>', 'ask this node too; may be repeated')
        .env('BLKFERRY_NODE')
        .default([], "the daemon's nodes")
        .argParser((address: string, before: readonly string[]) => [...before, address]),
    )
    .addOption(insecureOption());
  return addDaemonOptions(command).action((options: StatusOptions) => runStatus(context, options));
}

async function runStatus(context: CommandContext, options: StatusOptions): Promise<void> {
  const report = await askDaemon(context, options);
  const addresses = new Set(options.node);
  if (report.daemon !== undefined && report.daemon.defaultNode !== '') {
    addresses.add(report.daemon.defaultNode);
  }
  for (const attachment of report.attachments) addresses.add(attachment.node);
  const nodes = await askNodes(context, options, [...addresses].sort());
  const whole: StatusReport = { ...report, nodes };
  context.exitCode = exitCodeOf(whole);
  context.print(options, whole, () => renderStatus(whole, context.columnsMax));
}

async function askDaemon(context: CommandContext, options: StatusOptions): Promise<StatusReport> {
  const address = daemonAddress(options.adminSocket);
  try {
    return await context.withDaemon(options, QUERY_TIMEOUT_MS, async (client) => {
      const daemon = await client.getDaemon();
      const attachments = await client.listAttachments();
      return { address, daemon, error: undefined, attachments, nodes: [] };
    });
  } catch (error) {
    const { message } = toCommandError(error);
    return { address, daemon: undefined, error: message, attachments: [], nodes: [] };
  }
}

async function askNodes(
  context: CommandContext,
  options: StatusOptions,
  addresses: readonly string[],
): Promise<NodeStatus[]> {
  const nodes: NodeStatus[] = [];
  for (let index = 0; index < addresses.length; index += NODES_AT_ONCE) {
    const group = addresses.slice(index, index + NODES_AT_ONCE);
    nodes.push(...(await Promise.all(group.map((address) => askNode(context, options, address)))));
  }
  return nodes;
}

async function askNode(
  context: CommandContext,
  options: StatusOptions,
  address: string,
): Promise<NodeStatus> {
  const { timeout = QUERY_TIMEOUT_MS, insecure = false } = options;
  try {
    const node = await context.withNode({ node: address, timeout, insecure }, (client) =>
      client.getNode(),
    );
    return { address, node, error: undefined };
  } catch (error) {
    return { address, node: undefined, error: toCommandError(error).message };
  }
}

function exitCodeOf(report: StatusReport): number {
  const silent = report.daemon === undefined || report.nodes.some(({ node }) => node === undefined);
  if (silent) return EXIT_CODES.unreachable;
  const bad = report.attachments.some(({ state }) => needsAttention(state));
  return bad ? EXIT_CODES.failed : 0;
}
