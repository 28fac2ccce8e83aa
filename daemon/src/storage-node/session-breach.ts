/** What is told of a client whose session sent what no client of ours sends, or not as it was sent. */
import { StorageError } from '../rpc/storage-error.js';
import type { Warnings } from '../runtime/repeated-warnings.js';
import type { Caller } from './access-caller.js';

export interface BrokenSession {
  /** Empty before the open frame. */
  readonly volumeId: string;
  readonly caller: Caller;
  readonly call: { getPeer(): string };
}

/** Whoever may not open a session broke nothing: access-gate.ts tells of it. */
export function warnOfBreach(
  refusals: Warnings,
  { volumeId, caller: { label: client }, call }: BrokenSession,
  { kind, message: reason }: StorageError,
): void {
  if (kind === 'denied') return;
  const peer = call.getPeer();
  refusals.warn(
    // The client chooses the rest: with it here, it could fill the log.
    JSON.stringify([client, kind]),
    { event: 'session_broken', client, peer, volumeId, kind, reason },
    `a session of ${client} broke the protocol: ${reason}`,
  );
}

export function notRising(sequence: number, last: number): StorageError {
  return new StorageError(
    'invalid',
    `request ${sequence} came after request ${last}: sequences must rise`,
  );
}

export function beyondLimits({
  requestsInFlightMax,
  bytesInFlightMax,
}: {
  readonly requestsInFlightMax: number;
  readonly bytesInFlightMax: number;
}): StorageError {
  return new StorageError(
    'exhausted',
    `more than ${requestsInFlightMax} requests or ${bytesInFlightMax} bytes are unanswered; ` +
      `the session was opened with these limits`,
  );
}
