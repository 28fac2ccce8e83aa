/**
 * The way of a volume's requests: admitted, logged, sent, answered; and, after a reconnect, sent again.
 * It knows what is in flight, what is logged and which session there is, and nothing of why: states
 * and time limits are volume.ts's.
 */
import { BlockError } from '../block/block-error.js';
import {
  changesContent,
  failed,
  flushRequest,
  type BlockRequest,
  type BlockResult,
} from '../block/block-request.js';
import type { BlockCompletion } from '../block/block-device.js';
import type { StorageSession } from '../transport/storage-client.js';
import { InFlightTable, Job, type InFlightLimits } from './in-flight.js';
import type { ReplayLog } from './replay-log.js';
import { Resend } from './resend.js';
import { durableBelow, isFlushPart, planResend, type ResendPart } from './resend-plan.js';
import { partOfRequest } from './request-part.js';
import { SendWindow } from './send-window.js';
import { countAnswer, countLost, newCounters, type VolumeCounters } from './volume-counters.js';

export interface PipelineOptions {
  readonly limits: InFlightLimits;
  readonly replayLog: ReplayLog;
  /** Runs a callback at the end of the current turn of the event loop. */
  readonly defer: (callback: () => void) => void;
  /** An answered write is lost, or cannot be kept: nothing may go on. */
  readonly onLoss: (detail: string) => void;
  /** The node answered something that it was not asked. */
  readonly onUnasked: (sequence: number) => void;
  /** Something was answered: there may be room, or nothing left. */
  readonly onProgress: () => void;
}

/** What a session said when it opened. */
export interface SessionTerms {
  readonly requestsInFlightMax: number;
  readonly bytesInFlightMax: number;
  readonly writeVerifier: bigint;
}

export class JobPipeline {
  readonly counters: VolumeCounters = newCounters();
  readonly #inFlight: InFlightTable;
  readonly #log: ReplayLog;
  readonly #window = new SendWindow();
  readonly #resend = new Resend();
  #session: StorageSession | undefined;
  /** Of the node's run that took the writes in the log; undefined: of an unknown run, before the first session. */
  #writeVerifier: bigint | undefined;
  #nextSequence: number;
  #backgroundFlush: Job | undefined;
  #turnEnds = false;

  constructor(readonly options: PipelineOptions) {
    this.#inFlight = new InFlightTable(options.limits);
    this.#log = options.replayLog;
    this.#nextSequence = this.#log.lastSequence + 1;
  }

  get requestsInFlight(): number {
    return this.#inFlight.count;
  }

  get bytesInFlight(): number {
    return this.#inFlight.bytes;
  }

  get writeVerifier(): bigint | undefined {
    return this.#writeVerifier;
  }

  hasRoom(): boolean {
    return this.#inFlight.hasRoom() && this.#log.hasRoom();
  }

  /** The request has been checked. Without a session it waits for the next one. */
  submit(request: BlockRequest, complete: BlockCompletion<BlockRequest>): void {
    const job = new Job(this.#nextSequence++, request, complete, 'client');
    this.#inFlight.add(job);
    if (changesContent(request.kind)) this.#log.append(job.sequence, request);
    this.#send(job);
  }

  /** Makes the log empty, as far as the node can. One at a time. */
  flushInBackground(): void {
    if (this.#backgroundFlush !== undefined) return;
    const job = new Job(this.#nextSequence++, flushRequest(), () => undefined, 'background-flush');
    this.#backgroundFlush = job;
    this.#inFlight.add(job);
    this.#send(job);
  }

  /**
   * A session has opened: first goes what has to be sent again. Everything that waits gets a new number,
   * behind that: an unanswered read may see what was answered meanwhile, an unanswered flush cover it.
   */
  begin(session: StorageSession, terms: SessionTerms): void {
    const nodeLostWrites = this.#writeVerifier !== terms.writeVerifier;
    this.#writeVerifier = terms.writeVerifier;
    this.#session = session;
    const parts = this.#planResend(nodeLostWrites ? 0 : this.#resend.owedFrom);
    this.#resend.begin(this.#nextSequence, parts);
    const sequences = parts.map((_part, index) => this.#nextSequence + index);
    this.#nextSequence += parts.length;
    sequences.push(...this.#renumberOthers());
    this.#window.open(terms.requestsInFlightMax, terms.bytesInFlightMax, sequences);
    this.#pump();
    this.#flushIfWanted();
  }

  /** The session is gone. Requests stay; what is sent again is planned anew when the next one opens. */
  suspend(why: 'lost' | 'damaged'): void {
    if (this.#session !== undefined) countLost(this.counters, why);
    this.#session = undefined;
    this.#window.shut();
    this.#resend.interrupt();
  }

  /** The node answered. */
  completed(sequence: number, answer: BlockResult): void {
    if (sequence < this.#resend.endSequence) this.#completedPart(sequence, answer);
    else {
      const job = this.#inFlight.take(sequence);
      if (job === undefined) {
        this.options.onUnasked(sequence);
        return;
      }
      this.#window.release(job);
      this.#settle(job, checkedAnswer(job, answer));
    }
    this.#pump();
    this.#flushIfWanted();
    this.options.onProgress();
  }

  /**
   * Answers everything in flight with the error; clients then know that they have no promise. What of it
   * is logged is forgotten, unless the log is to be kept as it is for a later run.
   */
  failAll(error: BlockError, log: 'forget' | 'keep'): void {
    this.#session = undefined;
    this.#window.shut();
    this.#backgroundFlush = undefined;
    const jobs = [...this.#inFlight.values()].sort((left, right) => left.sequence - right.sequence);
    for (const job of jobs) {
      this.#inFlight.take(job.sequence);
      if (job.origin !== 'client') continue;
      if (log === 'forget' && changesContent(job.request.kind)) this.#log.remove(job.sequence);
      const result = failed(error);
      countAnswer(this.counters, job.request, result);
      job.complete(job.request, result);
    }
    this.options.onProgress();
  }

  #completedPart(sequence: number, answer: BlockResult): void {
    const settled = this.#resend.completed(sequence, answer);
    if (settled === undefined) {
      this.options.onUnasked(sequence);
      return;
    }
    const { part, job, result } = settled;
    this.#window.release(job);
    if (part.isReplay) {
      if (answer.error !== undefined)
        this.options.onLoss(`${replayDetail(job)}: ${answer.error.reason}`);
      return;
    }
    if (result === undefined) return;
    const owner = this.#inFlight.take(part.sequence);
    if (owner !== undefined) this.#settle(owner, result);
  }

  #settle(job: Job, result: BlockResult): void {
    if (job === this.#backgroundFlush) this.#backgroundFlush = undefined;
    if (result.error === undefined) {
      if (job.request.kind === 'flush') {
        const below = durableBelow(job.sequence, this.#inFlight.values());
        this.#log.dropBelow(Math.min(below, this.#resend.owedFrom));
      }
    } else if (job.origin !== 'client') {
      this.options.onLoss(
        `the node could not make answered writes durable: ${result.error.reason}`,
      );
    } else if (changesContent(job.request.kind)) {
      this.#log.remove(job.sequence);
    }
    if (job.origin === 'client') this.#answer(job, result);
  }

  #answer(job: Job, result: BlockResult): void {
    // In the log before it is answered. Nothing to do unless the answer came in the turn of the request.
    this.#commitLog();
    countAnswer(this.counters, job.request, result);
    job.complete(job.request, result);
  }

  #send(job: Job): void {
    if (this.#session !== undefined) {
      if (this.#window.admits(job)) this.#session.send(job.sequence, job.request);
      else this.#window.queue(job.sequence);
    }
    if (this.#turnEnds) return;
    this.#turnEnds = true;
    this.options.defer(this.#endTurn);
  }

  /** Once per turn of the event loop in which something was sent; after the session has sent its frame. */
  readonly #endTurn = (): void => {
    this.#turnEnds = false;
    this.#commitLog();
    this.#flushIfWanted();
  };

  #commitLog(): void {
    try {
      this.#log.commit();
    } catch (error) {
      const { reason } = BlockError.from(error);
      this.options.onLoss(
        `the replay log cannot be written: ${reason}; free space in the runtime directory, then detach and attach again`,
      );
    }
  }

  #flushIfWanted(): void {
    if (this.#session !== undefined && this.#log.wantsFlush()) this.flushInBackground();
  }

  /** Sends what waits, as far as the node's window goes; replays are read back only here. */
  #pump(): void {
    while (this.#session !== undefined) {
      const sequence = this.#window.next();
      if (sequence === undefined) return;
      const isPart = sequence < this.#resend.endSequence;
      const job = isPart
        ? this.#resend.jobAt(sequence, (part) => this.#partJob(sequence, part))
        : this.#inFlight.get(sequence);
      if (job === undefined) {
        this.#window.skip();
      } else {
        if (!this.#window.admitsNext(job)) return;
        this.#session.send(sequence, job.request);
      }
    }
  }

  #planResend(replayFrom: number): ResendPart[] {
    let from = replayFrom;
    for (const { sequence, request } of this.#inFlight.values()) {
      if (changesContent(request.kind)) from = Math.min(from, sequence);
    }
    const isUnanswered = (sequence: number): boolean => this.#inFlight.get(sequence) !== undefined;
    return planResend([...this.#log.recordsFrom(from)], isUnanswered, replayFrom);
  }

  /** @returns the new sequences of what is in flight and changes nothing */
  #renumberOthers(): number[] {
    const others = [...this.#inFlight.values()].filter(
      ({ request }) => !changesContent(request.kind),
    );
    others.sort((left, right) => left.sequence - right.sequence);
    return others.map(({ sequence, request, complete, origin }) => {
      const job = new Job(this.#nextSequence++, request, complete, origin);
      if (this.#inFlight.take(sequence) === this.#backgroundFlush) this.#backgroundFlush = job;
      this.#inFlight.add(job);
      return job.sequence;
    });
  }

  #partJob(sequence: number, part: ResendPart): Job {
    if (part.isReplay) this.counters.requestsReplayed += 1;
    return new Job(sequence, this.#partRequest(part), () => undefined, 'resend');
  }

  #partRequest(part: ResendPart): BlockRequest {
    const { sequence, offsetBytes, lengthBytes } = part;
    if (isFlushPart(part)) return flushRequest();
    // What is not answered may not have been written to the log's file yet.
    const unanswered = this.#inFlight.get(sequence);
    return unanswered === undefined
      ? this.#log.load(sequence, offsetBytes, lengthBytes)
      : partOfRequest(unanswered.request, offsetBytes, lengthBytes);
  }
}

/** A read of the wrong length would shift everything behind it on the client's connection. */
function checkedAnswer({ request }: Job, answer: BlockResult): BlockResult {
  if (request.kind !== 'read' || answer.error !== undefined) return answer;
  if (answer.payload.length === request.lengthBytes) return answer;
  const sentence = `the node answered a read of ${request.lengthBytes} bytes with ${answer.payload.length}`;
  return failed(new BlockError('EIO', sentence));
}

function replayDetail({ request }: Job): string {
  return `an answered ${request.kind} at byte ${request.offsetBytes} could not be sent again after the node lost it`;
}
