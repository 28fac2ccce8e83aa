/** Whether anybody uses a volume, for those who want to be rid of it. */
import { StorageError } from '../rpc/storage-error.js';
import type { SessionTable } from './session-table.js';
import type { VolumeRecord } from './volume-record.js';

/**
 * A holder that is away comes back for its data: only giving the lease up makes a volume free.
 *
 * @throws StorageError 'refused'
 */
export function requireUnused(record: VolumeRecord, sessions: SessionTable): void {
  if (record.holder !== undefined) {
    throw new StorageError(
      'refused',
      `volume ${record.name} is attached by ${record.holder.description}; detach it there ` +
        `(if that is impossible: attach it with --take-over, then detach)`,
    );
  }
  if (sessions.ofVolume(record.volumeId).size > 0) {
    throw new StorageError(
      'refused',
      `volume ${record.name} is being read; detach its readers first`,
    );
  }
}
