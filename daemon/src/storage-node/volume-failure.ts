/**
 * What follows when a volume could not be made durable. Linux may drop the pages of a failed write-back from its
 * cache at any time, so a read may return older data than was answered. The volume's sessions end with the
 * answer that told of the failure, before they can read or write anything more; those who come back find the
 * volume opened anew, under another write verifier, and send again what no flush had covered.
 */
import type { BlockError } from '../block/block-error.js';
import { StorageError } from '../rpc/storage-error.js';
import type { BackendVolume } from './backend/backend.js';
import type { SessionHost } from './session-host.js';

/** A flush, or a request with FUA, failed on this device. */
export function flushFailed(
  { verifiers, sessions, options }: Pick<SessionHost, 'verifiers' | 'sessions' | 'options'>,
  volumeId: string,
  device: BackendVolume,
  error: BlockError,
): void {
  if (!verifiers.flushFailed(volumeId, device)) return;
  const name = options.catalog.byId(volumeId)?.name ?? volumeId;
  options.log.warn(
    { event: 'flush_failed', volumeId, volume: name, errno: error.errno },
    `volume ${name} could not be made durable: ${error.reason}; ${adviceFor(error)}. Its sessions are ended, so that ` +
      'their daemons send again what no flush has covered',
  );
  sessions.endAll(volumeId, new StorageError('unavailable', failureSentence(name, error)));
}

/** What ends the sessions of a volume that could not be made durable. */
export function failureSentence(volumeName: string, error: BlockError): string {
  return `the node could not make volume ${volumeName} durable: ${error.reason}; ${adviceFor(error)}`;
}

function adviceFor({ errno }: BlockError): string {
  return errno === 'ENOSPC'
    ? "free space where the node's data directory is"
    : "look at the kernel log and the disk of the node's machine";
}

/** Resolves when no session holds the device of a failure any more: the next one to open gets a new one. */
export async function failedDeviceClosed(
  { verifiers, sessions }: Pick<SessionHost, 'verifiers' | 'sessions'>,
  volumeId: string,
): Promise<void> {
  if (verifiers.mustReopen(volumeId)) await sessions.allGone(volumeId);
}
