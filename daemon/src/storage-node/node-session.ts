/**
 * One open session on the node: request batches in, to the backend, reply batches out. Values only: the
 * gRPC stream is session-stream.ts.
 *
 * A batch is looked through as a whole before any of it is executed. The generation is checked in each
 * turn of the event loop in which some of it is executed: nothing of an older writer can be queued behind a
 * newer one. What completes in one turn is answered in one frame, so that batches stay batches on the way
 * back; of several small batches that come together the first is answered at once, and the others a few at a time.
 */
import { changesContent, failed, type BlockResult } from '../block/block-request.js';
import type { BlockDevice } from '../block/block-device.js';
import type { BlockError } from '../block/block-error.js';
import { checkRequest } from '../block/request-check.js';
import { letGoAll } from '../runtime/reused-memory.js';
import type { DeviceFacts } from '../block/device-facts.js';
import { StorageError } from '../rpc/storage-error.js';
import type { ReplyBatchFrame, RequestBatchFrame } from '../rpc/storage-messages.js';
import { FlushFailure } from '../block/flush-failure.js';
import { FlushOrder } from './flush-order.js';
import { GatheredReplies } from './gathered-replies.js';
import { NodeJob, WaitingJobs } from './node-job.js';
import { beyondLimits, notRising } from './session-breach.js';

/** A reply frame is closed when it has this much, so that the client can begin with it. */
export const REPLY_FRAME_BYTES_MAX = 512 * 1024;
/**
 * What is read and written for one session in a turn of the event loop: a fifth of a millisecond. Another session's
 * request waits for so much, not for all that this one sent at once.
 */
const TURN_BYTES = 1024 * 1024;
/**
 * So many answers are a frame, though more may come in the turn. A frame for each of the small batches that a busy client
 * sends was a system call here and two there for three requests; one for all that came left the client idle meanwhile.
 */
const REPLIES_GATHERED = 8;

export interface SessionLimits {
  readonly requestsInFlightMax: number;
  readonly bytesInFlightMax: number;
}

export interface NodeSessionOptions {
  readonly device: BlockDevice;
  readonly readOnly: boolean;
  readonly writeVerifier: bigint;
  readonly limits: SessionLimits;
  /** The client takes holes: they need not be sent as zeroes. */
  readonly leavesHolesOut: boolean;
  /** @throws StorageError 'fenced' when the session's generation is not the volume's any more */
  readonly requireCurrent: () => void;
  /** Runs work in the next turn of the event loop; absent: a batch is executed at once, however much it carries. */
  readonly defer?: ((work: () => void) => void) | undefined;
  /** As what `receive` throws, when that would have been in a later turn. */
  readonly broken: (reason: StorageError) => void;
  /** Takes a frame of about so many bytes. */
  readonly send: (frame: ReplyBatchFrame, bytes: number) => void;
  /** A flush, or the one behind a FUA, failed: what was answered before may be lost. It is answered already. */
  readonly flushFailed: (error: BlockError) => void;
}

export class NodeSession {
  #lastSequence = -1;
  #unanswered = 0;
  #unansweredBytes = 0;
  /** Requests that the backend has. */
  #executing = 0;
  readonly #flushes = new FlushOrder<NodeJob>();
  readonly #waiting = new WaitingJobs();
  /** The next of them are executed in the next turn. */
  #isDeferred = false;
  readonly #replies: GatheredReplies;
  #receiving = false;
  #turnEnds = false;
  #ended = false;
  #whenAnswered: (() => void)[] = [];
  #whenIdle: (() => void)[] = [];
  #facts: DeviceFacts;
  #deviceFacts: DeviceFacts;

  constructor(readonly options: NodeSessionOptions) {
    this.#deviceFacts = options.device.facts;
    this.#facts = this.#restrict(this.#deviceFacts);
    this.#replies = new GatheredReplies(options.writeVerifier, options.leavesHolesOut);
  }

  /** The device's facts as this session may use them. */
  get facts(): DeviceFacts {
    const { facts } = this.options.device;
    if (facts !== this.#deviceFacts) {
      this.#deviceFacts = facts;
      this.#facts = this.#restrict(facts);
    }
    return this.#facts;
  }

  /**
   * Executes a batch.
   *
   * @throws StorageError 'fenced', 'invalid' or 'exhausted': nothing of the batch was executed, and the
   *   session must end
   */
  receive(frame: RequestBatchFrame): void {
    if (this.#ended) return;
    this.options.requireCurrent();
    this.#waiting.add(this.#admit(frame, this.facts));
    if (!this.#isDeferred) this.#executeShare();
  }

  /** What a turn may carry; the rest comes in the next ones, so that other sessions have theirs between. */
  #executeShare(): void {
    const { facts } = this;
    let carriedBytes = 0;
    this.#receiving = true;
    try {
      // Ended: a flush among them failed.
      for (let job = this.#waiting.first; job !== undefined && !this.#ended;) {
        if (carriedBytes >= TURN_BYTES && this.#deferred()) break;
        carriedBytes += job.carriedBytes;
        this.#waiting.shift();
        const refusal = checkRequest(job, facts);
        if (refusal === undefined) this.#execute(job);
        else this.#answer(job, failed(refusal));
        job = this.#waiting.first;
      }
    } finally {
      this.#receiving = false;
      if (!this.#turnEnds || this.#replies.count >= REPLIES_GATHERED) this.#sendReplies();
      this.#expectTurnEnd();
    }
  }

  /** @returns false where nothing can be put off */
  #deferred(): boolean {
    const { defer, requireCurrent, broken } = this.options;
    if (defer === undefined) return false;
    this.#isDeferred = true;
    defer(() => {
      this.#isDeferred = false;
      if (this.#ended) return;
      try {
        requireCurrent();
      } catch (error) {
        broken(StorageError.from(error));
        return;
      }
      this.#executeShare();
    });
    return true;
  }

  /** Answers what has completed; from then on nothing is executed or sent. The backend goes on unheard. */
  end(): void {
    this.#sendReplies();
    this.#ended = true;
    wake(this.#whenAnswered.splice(0));
  }

  /** Resolves when everything received is answered, or the session has ended. */
  whenAnswered(): Promise<void> {
    if (this.#unanswered === 0 || this.#ended) return Promise.resolve();
    return new Promise((resolve) => {
      this.#whenAnswered.push(resolve);
    });
  }

  /** Resolves when everything that was given to the backend has completed. */
  whenIdle(): Promise<void> {
    if (this.#executing === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#whenIdle.push(resolve);
    });
  }

  /** All rules of the protocol that a batch can break, before any of it is counted or executed. */
  #admit(frame: RequestBatchFrame, facts: DeviceFacts): NodeJob[] {
    const { limits } = this.options;
    const { sequences, requests } = frame;
    const jobs = new Array<NodeJob>(requests.length);
    let lastSequence = this.#lastSequence;
    let count = this.#unanswered;
    let bytes = this.#unansweredBytes;
    for (let index = 0; index < requests.length; index += 1) {
      const request = requests[index];
      const sequence = sequences[index];
      if (request === undefined || sequence === undefined) throw new Error('uneven batch');
      if (sequence <= lastSequence) throw notRising(sequence, lastSequence);
      const job = new NodeJob(sequence, request, facts.requestBytesMax);
      // A single request always goes, as clients may rely on.
      const tooLong = count > 0 && bytes + job.carriedBytes > limits.bytesInFlightMax;
      if (count >= limits.requestsInFlightMax || tooLong) throw beyondLimits(limits);
      lastSequence = sequence;
      count += 1;
      bytes += job.carriedBytes;
      jobs[index] = job;
    }
    this.#lastSequence = lastSequence;
    this.#unanswered = count;
    this.#unansweredBytes = bytes;
    return jobs;
  }

  #execute(job: NodeJob): void {
    if (changesContent(job.kind)) job.section = this.#flushes.changeStarted();
    else if (job.kind === 'flush' && !this.#flushes.arrived(job)) return;
    this.#submit(job);
  }

  #submit(job: NodeJob): void {
    this.#executing += 1;
    this.options.device.submit(job, this.#onCompleted);
  }

  readonly #onCompleted = (job: NodeJob, result: BlockResult): void => {
    this.#executing -= 1;
    letGoAll(job.payload);
    if (job.section >= 0 && !this.#ended) {
      for (const flush of this.#flushes.changeEnded(job.section)) this.#submit(flush);
    }
    this.#answer(job, result);
    const { error } = result;
    if (error !== undefined && (job.kind === 'flush' || error instanceof FlushFailure))
      this.options.flushFailed(error);
    if (this.#executing === 0 && this.#whenIdle.length > 0) wake(this.#whenIdle.splice(0));
  };

  #answer(job: NodeJob, result: BlockResult): void {
    if (this.#ended) return;
    this.#unanswered -= 1;
    this.#unansweredBytes -= job.carriedBytes;
    this.#replies.add(job, result);
    if (this.#replies.bytes >= REPLY_FRAME_BYTES_MAX) this.#sendReplies();
    else if (!this.#receiving) this.#expectTurnEnd();
  }

  #expectTurnEnd(): void {
    if (this.#turnEnds) return;
    this.#turnEnds = true;
    queueMicrotask(this.#endTurn);
  }

  readonly #endTurn = (): void => {
    this.#turnEnds = false;
    this.#sendReplies();
  };

  #sendReplies(): void {
    if (this.#ended || this.#replies.count === 0) return;
    const { bytes } = this.#replies;
    this.options.send(this.#replies.take(), bytes);
    if (this.#unanswered === 0 && this.#whenAnswered.length > 0) wake(this.#whenAnswered.splice(0));
  }

  #restrict(facts: DeviceFacts): DeviceFacts {
    if (!this.options.readOnly) return facts;
    return { ...facts, capabilities: { ...facts.capabilities, canWrite: false } };
  }
}

function wake(waiters: readonly (() => void)[]): void {
  for (const waiter of waiters) waiter();
}
