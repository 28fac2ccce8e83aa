/** An attachment as NBD clients see it: the export, and what it may be called. */
import type { Export } from '../frontend/export-table.js';
import { StorageError } from '../rpc/storage-error.js';
import { UNKNOWN_FACTS } from '../volume/volume-facts.js';
import type { AttachmentRecord } from './attachment-record.js';
import type { OpenedVolume } from './opened-volume.js';

const EXPORT_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;

export function toExport(record: AttachmentRecord, { volume, host }: OpenedVolume): Export {
  return {
    name: record.exportName,
    description: `volume ${record.volume} of ${record.node}`,
    device: volume,
    host,
    // Also false for a volume that was fenced before its size was known.
    isReady: () => volume.facts !== UNKNOWN_FACTS,
  };
}

/** @throws StorageError 'invalid' with the allowed form */
export function checkExportName(exportName: string): void {
  if (EXPORT_NAME.test(exportName)) return;
  throw new StorageError(
    'invalid',
    `"${exportName}" cannot be an export's name: 1 to 64 characters of A-Z a-z 0-9 . _ - are allowed, the first a letter or digit`,
  );
}
