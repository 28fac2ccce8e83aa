/** An attachment as people read it. */
import { formatBytes } from '../config/quantity.js';
import type { AttachmentMessage, AttachmentState, CountersMessage } from '../rpc/admin-messages.js';
import type { Column } from './table-output.js';
import { momentInWords } from './time-words.js';

/** True when requests of clients fail or change nothing: somebody has to look. */
export function needsAttention(state: AttachmentState): boolean {
  return state === 'failing' || state === 'fenced';
}

export const ATTACHMENT_COLUMNS: readonly Column<AttachmentMessage>[] = [
  { title: 'EXPORT', value: (attachment) => attachment.exportName },
  { title: 'VOLUME', value: (attachment) => attachment.volume },
  { title: 'NODE', value: (attachment) => attachment.node },
  { title: 'SIZE', value: (attachment) => formatBytes(attachment.sizeBytes), right: true },
  { title: 'MODE', value: (attachment) => modeInWords(attachment) },
  { title: 'STATE', value: (attachment) => attachment.state },
  { title: 'DEVICE', value: ({ device }) => device?.path.replace('/dev/', '') ?? '-' },
];

export function modeInWords(attachment: AttachmentMessage): string {
  return attachment.readOnly ? 'ro' : 'rw';
}

export function attachmentFields(attachment: AttachmentMessage): (readonly [string, string])[] {
  const { detail, counters } = attachment;
  return [
    ['export', attachment.exportName],
    ['volume', `${attachment.volume} (id ${attachment.volumeId})`],
    ['node', attachment.node],
    ['state', detail === '' ? attachment.state : `${attachment.state}: ${detail}`],
    ['mode', modeInFull(attachment)],
    ['size', `${formatBytes(attachment.sizeBytes)} (${attachment.sizeBytes} bytes)`],
    ['block', `${attachment.blockBytes} bytes`],
    ['attached', momentInWords(attachment.attachedUnixMs)],
    ['attachment', attachment.attachmentId],
    ['device', deviceInWords(attachment)],
    ...(attachment.worker === 0 ? [] : [['worker', String(attachment.worker)] as const]),
    ['clients', String(attachment.clientCount)],
    ['reached at', attachment.uris.length === 0 ? 'nowhere' : attachment.uris.join('\n')],
    ...(counters === undefined ? [] : counterFields(counters)),
  ];
}

function modeInFull({ readOnly, standby, generation }: AttachmentMessage): string {
  if (readOnly) return 'read-only';
  return standby
    ? 'standby: read so far, the first write takes it over'
    : `writer, generation ${generation}`;
}

function deviceInWords({ device }: AttachmentMessage): string {
  if (device === undefined) return 'none';
  const { path, link, major, minor, connections, liveConnections, blockBytes } = device;
  const numbers = `${path}, ${major}:${minor}, blocks of ${blockBytes} bytes`;
  const sockets = `${liveConnections} of ${connections} socket${connections === 1 ? '' : 's'}`;
  return link === '' ? `${numbers}, ${sockets}` : `${link}\n${numbers}, ${sockets}`;
}

/** The path to use, or undefined if there is no device. */
export function devicePath({ device }: AttachmentMessage): string | undefined {
  return device === undefined || device.link !== '' ? device?.link : device.path;
}

function counterFields(counters: CountersMessage): (readonly [string, string])[] {
  const { readRequests, readBytes, writeRequests, writeBytes } = counters;
  const inFlight = `${counters.requestsInFlight} requests, ${formatBytes(counters.bytesInFlight)}`;
  return [
    ['reads', `${readRequests} requests, ${formatBytes(readBytes)}`],
    ['writes', `${writeRequests} requests, ${formatBytes(writeBytes)}`],
    ['flushes', String(counters.flushRequests)],
    ['others', String(counters.otherRequests)],
    ['failed', String(counters.failedRequests)],
    ['in flight', inFlight],
    ['unflushed', formatBytes(counters.unflushedBytes)],
    ['reconnects', reconnectWords(counters)],
  ];
}

function reconnectWords({
  reconnects,
  requestsReplayed,
  damagedSessions,
}: CountersMessage): string {
  const words = `${reconnects}, ${requestsReplayed} requests sent again`;
  return damagedSessions === 0
    ? words
    : `${words}; ${damagedSessions} because data arrived damaged`;
}
