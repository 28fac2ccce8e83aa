/**
 * One open session on the node: request batches in → backend → reply batches out. Values only: the gRPC
 * stream is storage-service.ts's.
 *
 * What completes in one turn of the event loop is answered in one frame, so that batches stay batches
 * on the way back. The generation is checked before every batch, in the same turn in which the batch
 * is executed: nothing of an older writer can be queued behind a newer one.
 */
import { BlockError } from '../block/block-error.js';
import {
  BLOCK_FLAG,
  carriedBytes,
  failed,
  type BlockRequest,
  type BlockResult,
} from '../block/block-request.js';
import type { BlockDevice } from '../block/block-device.js';
import { checkRequest } from '../block/request-check.js';
import type { DeviceFacts } from '../block/device-facts.js';
import { StorageError } from '../rpc/storage-error.js';
import type { ChecksumKind, NodeFrame, RequestBatchFrame } from '../rpc/storage-messages.js';

/** A reply frame is closed when it carries this much, so that the client can begin with it. */
const FRAME_BYTES_MAX = 512 * 1024;

export interface SessionLimits {
  readonly requestsInFlightMax: number;
  readonly bytesInFlightMax: number;
}

export interface NodeSessionOptions {
  readonly device: BlockDevice;
  readonly readOnly: boolean;
  readonly checksum: ChecksumKind;
  readonly writeVerifier: bigint;
  readonly limits: SessionLimits;
  /** Whether the session's generation is still the volume's; always true for read-only ones. */
  readonly isCurrent: () => boolean;
  readonly send: (frame: NodeFrame) => void;
}

class NodeJob implements BlockRequest {
  readonly kind: BlockRequest['kind'];
  readonly offsetBytes: number;
  readonly lengthBytes: number;
  readonly flags: number;
  readonly payload: readonly Buffer[];

  constructor(
    readonly sequence: number,
    request: BlockRequest,
  ) {
    this.kind = request.kind;
    this.offsetBytes = request.offsetBytes;
    this.lengthBytes = request.lengthBytes;
    this.flags = request.flags;
    this.payload = request.payload;
  }
}

export class NodeSession {
  #lastSequence = -1;
  #unanswered = 0;
  #unansweredBytes = 0;
  #sequences: number[] = [];
  #results: BlockResult[] = [];
  #replyBytes = 0;
  #verifierDue = false;
  #receiving = false;
  #turnEnds = false;
  /** Once ended nothing is sent any more; what the backend still does completes unheard. */
  #ended = false;
  #idle: (() => void)[] = [];

  constructor(readonly options: NodeSessionOptions) {}

  get requestsInFlight(): number {
    return this.#unanswered;
  }

  /**
   * Executes a batch. @throws StorageError 'fenced', 'invalid' or 'exhausted': the session must end; of
   * this batch, what stands before the offending request may have been executed.
   */
  receive(frame: RequestBatchFrame): void {
    if (this.#ended) return;
    if (!this.options.isCurrent()) {
      throw new StorageError(
        'fenced',
        'another writer has the volume: this generation may not write any more',
      );
    }
    const damaged = frame.damaged ?? [];
    const { facts } = this;
    this.#receiving = true;
    try {
      for (let index = 0; index < frame.requests.length; index += 1) {
        const request = frame.requests[index];
        if (request === undefined) break;
        const job = new NodeJob(frame.sequences[index] ?? 0, request);
        this.#admit(job, frame);
        const refusal = damaged.includes(index) ? DAMAGED_WRITE : checkRequest(job, facts);
        if (refusal === undefined) this.options.device.submit(job, this.#onCompleted);
        else this.#onCompleted(job, failed(refusal));
      }
    } finally {
      this.#receiving = false;
      this.#sendReplies();
    }
  }

  /** The device's facts as this session may use them. */
  get facts(): DeviceFacts {
    const { facts } = this.options.device;
    if (!this.options.readOnly) return facts;
    return { ...facts, capabilities: { ...facts.capabilities, canWrite: false } };
  }

  /** Nothing is executed or sent from now on. */
  end(): void {
    this.#ended = true;
  }

  /** Resolves when everything that was given to the backend has completed. */
  whenIdle(): Promise<void> {
    if (this.#unanswered === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#idle.push(resolve);
    });
  }

  #admit(job: NodeJob, frame: RequestBatchFrame): void {
    const { limits, checksum } = this.options;
    if (job.sequence <= this.#lastSequence) {
      throw new StorageError(
        'invalid',
        `request ${job.sequence} came after request ${this.#lastSequence}: sequences must rise`,
      );
    }
    if (job.kind === 'write' && checksum !== frame.checksum) {
      throw new StorageError(
        'invalid',
        `a write came with checksum ${frame.checksum}, but the session agreed on ${checksum}`,
      );
    }
    const bytes = carriedBytes(job);
    const tooMany = this.#unanswered >= limits.requestsInFlightMax;
    if (
      tooMany ||
      (this.#unanswered > 0 && this.#unansweredBytes + bytes > limits.bytesInFlightMax)
    ) {
      throw new StorageError(
        'exhausted',
        `more than ${limits.requestsInFlightMax} requests or ${limits.bytesInFlightMax} bytes are unanswered; the session was opened with these limits`,
      );
    }
    this.#lastSequence = job.sequence;
    this.#unanswered += 1;
    this.#unansweredBytes += bytes;
  }

  readonly #onCompleted = (job: NodeJob, result: BlockResult): void => {
    this.#unanswered -= 1;
    this.#unansweredBytes -= carriedBytes(job);
    if (this.#unanswered === 0 && this.#idle.length > 0) this.#wakeIdle();
    if (this.#ended) return;
    this.#sequences.push(job.sequence);
    this.#results.push(result);
    this.#replyBytes += result.payload.length;
    if (job.kind === 'flush' || (job.flags & BLOCK_FLAG.FUA) !== 0) this.#verifierDue = true;
    if (this.#replyBytes >= FRAME_BYTES_MAX) this.#sendReplies();
    else if (!this.#receiving && !this.#turnEnds) {
      this.#turnEnds = true;
      queueMicrotask(this.#endTurn);
    }
  };

  readonly #endTurn = (): void => {
    this.#turnEnds = false;
    this.#sendReplies();
  };

  #sendReplies(): void {
    if (this.#ended || this.#sequences.length === 0) return;
    const { writeVerifier, checksum } = this.options;
    const frame = {
      kind: 'replies',
      sequences: this.#sequences,
      results: this.#results,
      writeVerifier: this.#verifierDue ? writeVerifier : 0n,
      checksum,
    } as const;
    this.#sequences = [];
    this.#results = [];
    this.#replyBytes = 0;
    this.#verifierDue = false;
    this.options.send(frame);
  }

  #wakeIdle(): void {
    const waiters = this.#idle;
    this.#idle = [];
    for (const wake of waiters) wake();
  }
}

const DAMAGED_WRITE = new BlockError(
  'EIO',
  'the data of a write was damaged on the way to the node (checksum); it was not applied',
);
