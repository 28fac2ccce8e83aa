/** What `blkferry status` found, and how people read it. */
import { formatBytes } from '../config/quantity.js';
import type { AttachmentMessage, DaemonMessage } from '../rpc/admin-messages.js';
import type { NodeMessage } from '../rpc/storage-messages.js';
import { protectionRemarks } from './protection-words.js';
import { printable, renderFields, renderTable, type Column } from './table-output.js';
import { spanInWords } from './time-words.js';

export interface NodeStatus {
  readonly address: string;
  /** Undefined when it did not answer. */
  readonly node: NodeMessage | undefined;
  readonly error: string | undefined;
}

export interface StatusReport {
  /** Of the daemon's admin socket. */
  readonly address: string;
  /** Undefined when it did not answer. */
  readonly daemon: DaemonMessage | undefined;
  readonly error: string | undefined;
  readonly attachments: readonly AttachmentMessage[];
  readonly nodes: readonly NodeStatus[];
}

const NODE_COLUMNS: readonly Column<NodeStatus>[] = [
  { title: 'NODE', value: ({ address }) => address },
  { title: 'STATE', value: ({ node }) => (node === undefined ? 'away' : 'up') },
  { title: 'VOLUMES', value: ({ node }) => String(node?.volumeCount ?? '-'), right: true },
  { title: 'SESSIONS', value: ({ node }) => sessionsInWords(node), right: true },
  { title: 'FREE', value: ({ node }) => (node === undefined ? '-' : freeInWords(node)) },
  { title: 'UP', value: ({ node }) => (node === undefined ? '-' : spanInWords(node.uptimeMs)) },
];

const ATTACHMENT_COLUMNS: readonly Column<AttachmentMessage>[] = [
  { title: 'EXPORT', value: ({ exportName }) => exportName },
  { title: 'VOLUME', value: ({ volume }) => volume },
  { title: 'NODE', value: ({ node }) => node },
  { title: 'STATE', value: ({ state }) => state },
  { title: 'CLIENTS', value: ({ clientCount }) => String(clientCount), right: true },
  {
    title: 'UNFLUSHED',
    value: ({ counters }) => formatBytes(counters?.unflushedBytes ?? 0),
    right: true,
  },
];

/** @param columnsMax width of the terminal; undefined for no limit */
export function renderStatus(report: StatusReport, columnsMax: number | undefined): string {
  const { attachments, nodes } = report;
  const sections = [renderFields([['daemon', daemonInWords(report)]])];
  if (nodes.length > 0) sections.push(renderTable(NODE_COLUMNS, nodes, columnsMax));
  if (attachments.length > 0) {
    sections.push(renderTable(ATTACHMENT_COLUMNS, attachments, columnsMax));
  } else if (report.daemon !== undefined) {
    sections.push('nothing is attached\n');
  }
  const nowMs = Date.now();
  const remarks = [
    ...(report.daemon === undefined ? [] : protectionRemarks('blkferryd', report.daemon, nowMs)),
    ...nodes.flatMap(({ address, node }) =>
      node === undefined ? [] : protectionRemarks(`node ${address}`, node, nowMs),
    ),
    ...(report.daemon === undefined ? [] : refusalRemarks('blkferryd', report.daemon)),
    ...nodes.flatMap(({ address, node }) =>
      node === undefined ? [] : refusalRemarks(`node ${address}`, node),
    ),
    ...nodes.flatMap(({ error }) => error ?? []),
    ...attachments.flatMap((one) => (one.detail === '' ? [] : `${one.exportName}: ${one.detail}`)),
  ];
  if (remarks.length > 0) sections.push(`${remarks.map(printable).join('\n')}\n`);
  return sections.join('\n');
}

/** As in "node a:7600 turned clients away: tls_refused 12"; the words are those to look for in its log. */
function refusalRemarks(who: string, { refusals }: NodeMessage | DaemonMessage): string[] {
  if (refusals.length === 0) return [];
  const counts = refusals.map(({ event, count }) => `${event} ${count}`).join(', ');
  return [`${who} turned clients away: ${counts}`];
}

function daemonInWords(report: StatusReport): string {
  const { daemon } = report;
  if (daemon === undefined) return report.error ?? `does not answer at ${report.address}`;
  const { version, hostname, uptimeMs, residentBytes, nbdListeners, workers } = daemon;
  const threads = workers > 1 ? `, ${workers} workers` : '';
  return [
    `blkferryd ${version} on ${hostname}, up ${spanInWords(uptimeMs)}, ${formatBytes(residentBytes)} of memory${threads}`,
    report.address,
    ...nbdListeners.map((listener) => `NBD at ${listener}`),
  ].join('\n');
}

/** As in "5 (3, 1)": of two workers, and one session is in neither. */
function sessionsInWords(node: NodeMessage | undefined): string {
  if (node === undefined) return '-';
  const { sessionCount, workerSessions } = node;
  if (workerSessions.length === 0) return String(sessionCount);
  return `${sessionCount} (${workerSessions.join(', ')})`;
}

function freeInWords(node: NodeMessage): string {
  if (node.totalBytes === 0) return 'unknown';
  return `${formatBytes(node.freeBytes)} of ${formatBytes(node.totalBytes)}`;
}
