/** What the core makes of an answer that does not fit, and the words for one that it cannot do without. */
import { BlockError } from '../block/block-error.js';
import { failed, type BlockResult } from '../block/block-request.js';
import type { Job } from './in-flight.js';

/** A read of the wrong length would shift everything behind it on the client's connection. */
export function checkedAnswer({ request }: Job, answer: BlockResult): BlockResult {
  if (request.kind !== 'read' || answer.error !== undefined) return answer;
  if (answer.payload.length === request.lengthBytes) return answer;
  const sentence = `the node answered a read of ${request.lengthBytes} bytes with ${answer.payload.length}`;
  return failed(new BlockError('EIO', sentence));
}

/** For a replay that failed. */
export function replayDetail({ request }: Job, error: BlockError): string {
  return (
    `an answered ${request.kind} at byte ${request.offsetBytes} could not be sent again after the node lost it: ` +
    error.reason
  );
}
