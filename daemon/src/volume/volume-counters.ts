/** What a volume counts for its status; the fields are those of admin.proto, `Counters`. */
import { carriedBytes, type BlockRequest, type BlockResult } from '../block/block-request.js';

export interface VolumeCounters {
  readRequests: number;
  readBytes: number;
  writeRequests: number;
  writeBytes: number;
  flushRequests: number;
  otherRequests: number;
  failedRequests: number;
  reconnects: number;
  requestsReplayed: number;
  damagedSessions: number;
}

export function newCounters(): VolumeCounters {
  return {
    readRequests: 0,
    readBytes: 0,
    writeRequests: 0,
    writeBytes: 0,
    flushRequests: 0,
    otherRequests: 0,
    failedRequests: 0,
    reconnects: 0,
    requestsReplayed: 0,
    damagedSessions: 0,
  };
}

/** Counts a session that was open and has ended. */
export function countLost(counters: VolumeCounters, why: 'lost' | 'damaged'): void {
  counters.reconnects += 1;
  if (why === 'damaged') counters.damagedSessions += 1;
}

/** Counts an answered request. */
export function countAnswer(
  counters: VolumeCounters,
  request: BlockRequest,
  result: BlockResult,
): void {
  if (result.error !== undefined) counters.failedRequests += 1;
  switch (request.kind) {
    case 'read':
      counters.readRequests += 1;
      counters.readBytes += carriedBytes(request);
      return;
    case 'write':
      counters.writeRequests += 1;
      counters.writeBytes += carriedBytes(request);
      return;
    case 'flush':
      counters.flushRequests += 1;
      return;
    default:
      counters.otherRequests += 1;
  }
}
