/** A volume as people read it. */
import { formatBytes } from '../config/quantity.js';
import type { LeaseHolderMessage, VolumeMessage } from '../rpc/storage-messages.js';
import type { Column } from './table-output.js';
import { momentInWords } from './time-words.js';

export const VOLUME_COLUMNS: readonly Column<VolumeMessage>[] = [
  { title: 'NAME', value: (volume) => volume.name },
  { title: 'SIZE', value: (volume) => formatBytes(volume.sizeBytes), right: true },
  { title: 'USED', value: (volume) => formatBytes(volume.allocatedBytes), right: true },
  { title: 'BLOCK', value: (volume) => String(volume.blockBytes), right: true },
  { title: 'BACKEND', value: (volume) => volume.backend },
  { title: 'WRITER', value: (volume) => volume.holder?.description ?? '-', words: true },
];

export function volumeFields(volume: VolumeMessage): (readonly [string, string])[] {
  return [
    ['name', volume.name],
    ['id', volume.volumeId],
    ['size', `${formatBytes(volume.sizeBytes)} (${volume.sizeBytes} bytes)`],
    ['used', formatBytes(volume.allocatedBytes)],
    ['block', `${volume.blockBytes} bytes`],
    ['backend', volume.backend],
    ['created', momentInWords(volume.createdUnixMs)],
    ['writer', volume.holder === undefined ? 'nobody' : holderInWords(volume.holder)],
    ['generation', String(volume.generation)],
    ['sessions', String(volume.sessionCount)],
  ];
}

/** Who writes, since when, and whether it is there now. */
export function holderInWords(holder: LeaseHolderMessage): string {
  const now = holder.connected ? 'connected' : 'not connected';
  return `${holder.description}, since ${momentInWords(holder.sinceUnixMs)}, ${now}`;
}
