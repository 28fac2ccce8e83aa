/** The answers of one session that go out together: what has completed since the last frame. */
import { BLOCK_FLAG, payloadBytes, type BlockResult } from '../block/block-request.js';
import { isZeroPiece } from '../block/zeroes.js';
import type { ReplyBatchFrame } from '../rpc/storage-messages.js';
import type { NodeJob } from './node-job.js';

/** What an extent takes in a frame. */
const EXTENT_BYTES = 9;
/**
 * What a hole that is left out counts: more than it takes with the data around it, so that a frame stays below
 * READ_EXTENTS_PER_BATCH_MAX.
 */
const HOLE_BYTES = 128;

export class GatheredReplies {
  #sequences: number[] = [];
  #results: BlockResult[] = [];
  #bytes = 0;
  #verifierDue = false;

  constructor(
    readonly writeVerifier: bigint,
    readonly leavesHolesOut: boolean,
  ) {}

  get count(): number {
    return this.#sequences.length;
  }

  /** About as many as the frame will have. */
  get bytes(): number {
    return this.#bytes;
  }

  add(job: NodeJob, result: BlockResult): void {
    this.#sequences.push(job.sequence);
    this.#results.push(result);
    this.#bytes += this.#sentBytes(result.payload) + result.extents.length * EXTENT_BYTES;
    if (result.error !== undefined) this.#bytes += result.error.reason.length;
    if (isDurabilityRequest(job)) this.#verifierDue = true;
  }

  take(): ReplyBatchFrame {
    const frame: ReplyBatchFrame = {
      kind: 'replies',
      sequences: this.#sequences,
      results: this.#results,
      writeVerifier: this.#verifierDue ? this.writeVerifier : 0n,
      leavesHolesOut: this.leavesHolesOut,
    };
    this.#sequences = [];
    this.#results = [];
    this.#bytes = 0;
    this.#verifierDue = false;
    return frame;
  }

  #sentBytes(payload: readonly Buffer[]): number {
    if (!this.leavesHolesOut) return payloadBytes(payload);
    let bytes = 0;
    for (const piece of payload) bytes += isZeroPiece(piece) ? HOLE_BYTES : piece.length;
    return bytes;
  }
}

/** Its success promises that data is on stable storage. */
function isDurabilityRequest({ kind, flags }: NodeJob): boolean {
  return kind === 'flush' || (flags & BLOCK_FLAG.FUA) !== 0;
}
