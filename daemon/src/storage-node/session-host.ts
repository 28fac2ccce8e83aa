/** What the admission of a session needs of its node: the tables and whom to ask. StorageService is one. */
import type { VolumeMessage } from '../rpc/storage-messages.js';
import type { RepeatedWarnings } from '../runtime/repeated-warnings.js';
import type { Caller } from './access-caller.js';
import type { AccessGate } from './access-gate.js';
import type { LeaseTable } from './lease-table.js';
import type { StorageServiceOptions } from './service-options.js';
import type { SessionTable } from './session-table.js';
import type { VolumeRecord } from './volume-record.js';
import type { VolumeTurns } from './volume-turns.js';
import type { WriteVerifiers } from './write-verifiers.js';

export interface SessionHost {
  readonly options: Pick<StorageServiceOptions, 'catalog' | 'clock' | 'sessionLimits' | 'log'>;
  readonly turns: VolumeTurns;
  readonly gate: AccessGate;
  readonly refusals: RepeatedWarnings;
  readonly leases: LeaseTable;
  readonly sessions: SessionTable;
  readonly verifiers: WriteVerifiers;
  /** @throws StorageError 'unavailable' when the node has begun to stop */
  requireSessionsAccepted(): void;
  /** @throws StorageError 'not-found' */
  requireVolume(volumeId: string): VolumeRecord;
  describe(record: VolumeRecord): Promise<VolumeMessage>;
  /** Called once for each stream, when nothing of it is left. */
  streamEnded(caller: Caller): void;
}
