/**
 * How a session comes into the node, and leaves it. What its stream needs for that, whichever thread serves it: beside
 * the tables of the node it is session-admission.ts, in a worker workers/distant-entry.ts, which asks there.
 */
import type { BlockError } from '../block/block-error.js';
import type { OpenFrame, VolumeMessage } from '../rpc/storage-messages.js';
import type { Clock } from '../runtime/clock.js';
import type { Warnings } from '../runtime/repeated-warnings.js';
import type { BackendVolume } from './backend/backend.js';
import type { NodeSessionOptions, SessionLimits } from './node-session.js';
import type { ServiceLog } from './service-options.js';
import type { TableSession } from './session-table.js';

/** A session that comes in. */
export interface EnteringSession extends TableSession {
  /** It has ended, and wants nothing more. */
  readonly isOver: boolean;
}

/** A session that is in. */
export interface AdmittedSession {
  readonly device: BackendVolume;
  readonly volume: VolumeMessage;
  readonly writeVerifier: bigint;
  /** Asked before each batch. @throws StorageError 'fenced' when the session's generation is not the volume's any more */
  readonly requireCurrent: () => void;
  /** A flush, or the one behind a FUA, failed on the device. Ends the device's sessions. */
  readonly flushFailed: (error: BlockError) => void;
}

export interface SessionEntry {
  /** Before anything else. @throws StorageError: the client may not open it, or broke the protocol */
  check(open: OpenFrame): void;
  /**
   * Once. Calls `opened` when the session is in, unless it is over before; ends it with the reason when it cannot be.
   * Until `opened` returns the volume's lease does not move, and no other session of the volume opens.
   */
  enter(open: OpenFrame, opened: (admitted: AdmittedSession) => void): void;
  /**
   * Once, of every stream: it is over, executes nothing more, and everything that it had given to the device has
   * completed. Resolves when nothing of it is left.
   */
  leave(): Promise<void>;
}

/** What a stream needs of the thread that serves it. */
export interface StreamHost {
  readonly clock: Clock;
  readonly sessionLimits: SessionLimits;
  /** As NodeSession's. */
  readonly defer: NodeSessionOptions['defer'];
  readonly log: ServiceLog;
  readonly refusals: Warnings;
  entryOf(session: EnteringSession): SessionEntry;
}
