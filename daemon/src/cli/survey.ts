/**
 * Asks the daemon and every node it uses how they do. Looks at everything before anything is said, so that
 * one dead node does not hide the others; who does not answer is part of the result.
 */
import type { CommandContext } from './command-context.js';
import { daemonAddress } from './command-context.js';
import { toCommandError } from './command-failure.js';
import { QUERY_TIMEOUT_MS, type DaemonOptions } from './command-options.js';
import { protectionOf, type ProtectionOptions } from './protection-options.js';
import type { NodeStatus, StatusReport } from './status-report.js';

export interface SurveyOptions extends DaemonOptions, ProtectionOptions {
  /** Nodes to ask beside those of the daemon. */
  readonly node: readonly string[];
}

/** Nodes asked at the same time; a daemon uses a handful. */
const NODES_AT_ONCE = 16;

/** Never rejects because of a peer. @throws CommandError for an address that is none */
export async function survey(
  context: CommandContext,
  options: SurveyOptions,
): Promise<StatusReport> {
  const report = await askDaemon(context, options);
  const addresses = new Set(options.node);
  if (report.daemon !== undefined && report.daemon.defaultNode !== '') {
    addresses.add(report.daemon.defaultNode);
  }
  for (const attachment of report.attachments) addresses.add(attachment.node);
  return { ...report, nodes: await askNodes(context, options, [...addresses].sort()) };
}

async function askDaemon(context: CommandContext, options: SurveyOptions): Promise<StatusReport> {
  const address = daemonAddress(options);
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
  options: SurveyOptions,
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
  options: SurveyOptions,
  address: string,
): Promise<NodeStatus> {
  const { timeout = QUERY_TIMEOUT_MS } = options;
  try {
    const asked = { node: address, timeout, ...protectionOf(options) };
    const node = await context.withNode(asked, (client) => client.getNode());
    return { address, node, error: undefined };
  } catch (error) {
    return { address, node: undefined, error: toCommandError(error).message };
  }
}
