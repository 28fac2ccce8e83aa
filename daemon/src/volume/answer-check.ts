/**
 * Answers of a node that cannot be: the session that brought one must not go on, as nobody knows what else of it is
 * wrong. What was asked is asked again over the next session. And the words for an answer that the core cannot do without.
 */
import { BlockError } from '../block/block-error.js';
import { payloadBytes, type BlockResult, type Extent } from '../block/block-request.js';
import type { OpenedFrame } from '../rpc/storage-messages.js';
import { StorageError } from '../rpc/storage-error.js';
import type { Job } from './in-flight.js';

/** @returns why a session cannot be of the volume that was asked for; undefined if it is */
export function misopened(opened: OpenedFrame, volumeId: string): StorageError | undefined {
  const { volume, requestsInFlightMax, requestBytesMax } = opened;
  if (volume.volumeId !== volumeId)
    return lie(`opened volume ${volume.volumeId} and not ${volumeId}, which was asked for`);
  if (volume.blockBytes < 1 || volume.sizeBytes % volume.blockBytes !== 0)
    return lie(
      `says that the volume has ${volume.sizeBytes} bytes in blocks of ${volume.blockBytes}`,
    );
  // Nothing would ever be sent.
  if (requestsInFlightMax < 1 || requestBytesMax < volume.blockBytes)
    return lie(`takes ${requestsInFlightMax} requests at a time, of ${requestBytesMax} bytes`);
  return undefined;
}

/** @returns why the answer cannot be; undefined if it fits the request */
export function misfit({ request }: Job, answer: BlockResult): StorageError | undefined {
  if (answer.error !== undefined) return undefined;
  const { kind, lengthBytes } = request;
  const { payload, extents } = answer;
  // A read of the wrong length would shift everything behind it on the client's connection.
  const dueBytes = kind === 'read' ? lengthBytes : 0;
  const gotBytes = payloadBytes(payload);
  if (gotBytes !== dueBytes)
    return lie(`answered a ${kind} of ${lengthBytes} bytes with ${gotBytes} bytes of data`);
  if (kind === 'block-status' && !areInside(extents, lengthBytes))
    return lie(`described ${lengthBytes} bytes by extents that do not fit`);
  return undefined;
}

/** For an answer that nobody waits for. */
export function unasked(sequence: number): StorageError {
  return lie(`answered request ${sequence}, which was not asked`);
}

/** For a replay that failed. */
export function replayDetail({ request }: Job, error: BlockError): string {
  return (
    `an answered ${request.kind} at byte ${request.offsetBytes} could not be sent again after the node lost it: ` +
    error.reason
  );
}

/** For a flush that failed. */
export function flushDetail({ reason }: BlockError): string {
  return `the node could not make answered writes durable: ${reason}`;
}

/** For a log that could not be written. */
export function unwrittenDetail(error: unknown): string {
  const { reason } = BlockError.from(error);
  return `the replay log cannot be written: ${reason}; free space in the runtime directory, then detach and attach again`;
}

/** At least one, none empty, and only the last reaches beyond what was asked. */
function areInside(extents: readonly Extent[], lengthBytes: number): boolean {
  let beginBytes = 0;
  for (const extent of extents) {
    if (extent.lengthBytes <= 0 || beginBytes >= lengthBytes) return false;
    beginBytes += extent.lengthBytes;
  }
  return extents.length > 0;
}

function lie(what: string): StorageError {
  return new StorageError(
    'internal',
    `the node ${what}; it is at fault: look at its log and version, and restart it if this goes on`,
  );
}
