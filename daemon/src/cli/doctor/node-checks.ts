/** The storage nodes that the daemon uses: whether they answer, and how much room they have. */
import { formatBytes } from '../../config/quantity.js';
import type { NodeMessage } from '../../rpc/storage-messages.js';
import { VERSION } from '../../runtime/version.js';
import type { NodeStatus } from '../status-report.js';
import type { Examination } from './examination.js';
import { note, ok, problem, warning, type Check, type Finding } from './finding.js';

/** Volumes are sparse: a full disk fails the next write of a guest into a new place. */
const FREE_SHARE_LOW = 0.05;
const FREE_BYTES_LEAST = 1024 ** 3;

const NODES: Check = {
  name: 'nodes',
  run: (examination) => examination.report.nodes.flatMap((status) => ofNode(status, examination)),
};

export const NODE_CHECKS: readonly Check[] = [NODES];

function ofNode({ address, node, error = '' }: NodeStatus, { report }: Examination): Finding[] {
  const users = report.attachments.filter((attachment) => attachment.node === address);
  if (node !== undefined) return ofRunningNode(address, node);
  const fix = `start blkferry-node there, or look at the network between`;
  if (users.length === 0) {
    const sentence = `${error}; it is the default node, and nothing attached is on it`;
    return [warning(sentence, 'set node to the one you use, or start blkferry-node there')];
  }
  const names = users.map(({ exportName }) => exportName).join(', ');
  return [problem(`${error}; it keeps ${names}`, fix)];
}

function ofRunningNode(address: string, node: NodeMessage): Finding[] {
  const { software, volumeCount, freeBytes, totalBytes } = node;
  const findings = [ok(`${address} answers: ${software}, ${volumeCount} volumes`)];
  const version = /^blkferry-node (\S+)$/.exec(software)?.[1];
  if (version !== undefined && version !== VERSION) {
    findings.push(note(`${address} is version ${version}, and this command is ${VERSION}`));
  }
  // Zero: the node does not know.
  if (totalBytes === 0) return findings;
  const sentence = `${address} has ${formatBytes(freeBytes)} of ${formatBytes(totalBytes)} free`;
  const fix = 'make room there, or move volumes; a write that finds none fails in the guest';
  if (freeBytes < Math.min(FREE_BYTES_LEAST, totalBytes * FREE_SHARE_LOW)) {
    findings.push(problem(sentence, fix));
  } else if (freeBytes < totalBytes * FREE_SHARE_LOW) findings.push(warning(sentence, fix));
  return findings;
}
