/**
 * What is sent again comes from here: of changes whose client waits, out of the client's buffers, as they may not be in
 * the log's file yet; of answered ones out of the log, as the buffers are the client's again.
 */
import { changesContent, flushRequest, type BlockRequest } from '../block/block-request.js';
import type { InFlightTable } from './in-flight.js';
import type { ReplayLog } from './replay-log.js';
import { partOfRequest } from './request-part.js';
import { isFlushPart, planResend, type ResendPart } from './resend-plan.js';

export class ResendSource {
  constructor(
    readonly log: ReplayLog,
    readonly inFlight: InFlightTable,
  ) {}

  /** @param replayFrom answered changes are owed to the node from this sequence on */
  plan(replayFrom: number): ResendPart[] {
    let from = replayFrom;
    for (const { sequence, request } of this.inFlight.values()) {
      if (changesContent(request.kind)) from = Math.min(from, sequence);
    }
    const isUnanswered = (sequence: number): boolean => this.inFlight.get(sequence) !== undefined;
    return planResend([...this.log.recordsFrom(from)], isUnanswered, replayFrom);
  }

  request(part: ResendPart): BlockRequest {
    const { sequence, offsetBytes, lengthBytes } = part;
    if (isFlushPart(part)) return flushRequest();
    const job = this.inFlight.get(sequence);
    return job === undefined || job.isAnswered
      ? this.log.load(sequence, offsetBytes, lengthBytes)
      : partOfRequest(job.request, offsetBytes, lengthBytes);
  }
}
