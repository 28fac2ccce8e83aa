/**
 * The way of a volume's requests: admitted, logged, sent, answered; after a reconnect, sent again. It knows what is in
 * flight, what is logged and which session there is, and nothing of why: states and time limits are volume.ts's.
 */
import type { BlockError } from '../block/block-error.js';
import {
  DONE,
  changesContent,
  failed,
  flushRequest,
  type BlockRequest,
  type BlockResult,
} from '../block/block-request.js';
import type { BlockCompletion } from '../block/block-device.js';
import { StorageError } from '../rpc/storage-error.js';
import { letGoAll } from '../runtime/reused-memory.js';
import { TurnEnd } from '../runtime/turn-end.js';
import type { StorageSession } from '../transport/storage-client.js';
import { flushDetail, misfit, replayDetail, unasked, unwrittenDetail } from './answer-check.js';
import { ClientWaits } from './client-waits.js';
import { InFlightTable, Job } from './in-flight.js';
import type { PipelineOptions, SessionTerms } from './pipeline-options.js';
import type { ReplayLog } from './replay-log.js';
import { Resend } from './resend.js';
import { durableBelow, isFlushPart, type ResendPart } from './resend-plan.js';
import { ResendSource } from './resend-source.js';
import { SendWindow } from './send-window.js';
import { WriteCache } from './write-cache.js';
import { countAnswer, countLost, newCounters, type VolumeCounters } from './volume-counters.js';

export class JobPipeline {
  readonly counters: VolumeCounters = newCounters();
  readonly inFlight: InFlightTable;
  readonly clients: ClientWaits;
  readonly #log: ReplayLog;
  readonly #window = new SendWindow();
  readonly #resend = new Resend();
  readonly #source: ResendSource;
  readonly #cache: WriteCache;
  #session: StorageSession | undefined;
  /** Of the node's run that took the writes in the log; undefined before the first session. */
  #writeVerifier: bigint | undefined;
  #nextSequence: number;
  #backgroundFlush: Job | undefined;
  readonly #turn: TurnEnd;

  constructor(readonly options: PipelineOptions) {
    this.inFlight = new InFlightTable(options.limits);
    this.clients = new ClientWaits(options.expectation);
    this.#log = options.replayLog;
    this.#source = new ResendSource(this.#log, this.inFlight);
    this.#cache = new WriteCache(options.writeCache, options.clock, this.#sendGathered);
    // Where writes wait for the log and not for the node, it is written at once.
    this.#turn = new TurnEnd(options.writeCache ? queueMicrotask : options.defer, this.#endTurn);
    this.#nextSequence = this.#log.lastSequence + 1;
  }

  get writeVerifier(): bigint | undefined {
    return this.#writeVerifier;
  }

  hasRoom(): boolean {
    return this.inFlight.hasRoom() && this.#log.hasRoom();
  }

  /** The request has been checked. Without a session it waits for the next one. */
  submit(request: BlockRequest, complete: BlockCompletion<BlockRequest>): void {
    const job = new Job(this.#nextSequence++, request, complete, 'client');
    this.inFlight.add(job);
    this.clients.asked();
    if (changesContent(request.kind)) {
      this.#log.append(job.sequence, request);
      this.#turn.expect();
    }
    const canGo = this.#session !== undefined && this.#window.isClear;
    if (!canGo || !this.#cache.admit(job)) this.#send(job);
  }

  /** A read whose client has not asked yet: it is not counted, and fails when the session does not come back. */
  submitAhead(request: BlockRequest, complete: BlockCompletion<BlockRequest>): void {
    const job = new Job(this.#nextSequence++, request, complete, 'read-ahead');
    this.inFlight.add(job);
    this.#send(job);
  }

  /** Makes the log empty, as far as the node can. One at a time. */
  flushInBackground(): void {
    if (this.#backgroundFlush !== undefined) return;
    const job = new Job(this.#nextSequence++, flushRequest(), () => undefined, 'background-flush');
    this.inFlight.add((this.#backgroundFlush = job));
    this.#turn.expect();
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
    const parts = this.#source.plan(nodeLostWrites ? 0 : this.#resend.owedFrom);
    this.#resend.begin(this.#nextSequence, parts);
    const sequences = parts.map((_part, index) => this.#nextSequence + index);
    this.#nextSequence += parts.length;
    for (const { before, after } of this.inFlight.renumberOthers(this.#nextSequence)) {
      if (before === this.#backgroundFlush) this.#backgroundFlush = after;
      sequences.push(after.sequence);
      this.#nextSequence = after.sequence + 1;
    }
    this.#window.open(terms.requestsInFlightMax, terms.bytesInFlightMax, sequences);
    this.#pump();
    this.#flushIfWanted();
  }

  /** The session is gone. Requests stay; what is sent again is planned anew when the next one opens. */
  suspend(why: 'lost' | 'damaged'): void {
    if (this.#session !== undefined) countLost(this.counters, why);
    this.#session = undefined;
    this.#window.shut();
    this.#cache.forget();
    this.#resend.interrupt();
  }

  /** The node answered. */
  completed(sequence: number, answer: BlockResult): void {
    const isPart = sequence < this.#resend.endSequence;
    const lie = isPart ? this.#partDone(sequence, answer) : this.#jobDone(sequence, answer);
    if (lie !== undefined) {
      this.options.onBroken(lie);
      return;
    }
    this.#pump();
    this.#flushIfWanted();
    this.options.onProgress();
  }

  /**
   * Answers everything in flight with the error; clients then have no promise. What of it is logged is forgotten,
   * unless the log is kept as it is for a later run. What was answered stays: in flight, or in that log.
   */
  failAll(error: BlockError, log: 'forget' | 'keep'): void {
    this.#session = undefined;
    this.#window.shut();
    this.#cache.forget();
    this.#backgroundFlush = undefined;
    const jobs = [...this.inFlight.values()].sort((left, right) => left.sequence - right.sequence);
    for (const job of jobs) {
      if (job.isAnswered && log === 'forget') continue;
      this.inFlight.take(job.sequence);
      if (job.origin === 'read-ahead') job.complete(job.request, failed(error));
      if (job.origin !== 'client' || job.isAnswered) continue;
      if (log === 'forget' && changesContent(job.request.kind)) this.#log.remove(job.sequence);
      const result = failed(error);
      countAnswer(this.counters, job.request, result);
      this.clients.answered();
      job.complete(job.request, result);
    }
    this.options.onProgress();
  }

  /** @returns why the answer cannot be */
  #jobDone(sequence: number, answer: BlockResult): StorageError | undefined {
    const job = this.inFlight.get(sequence);
    if (job === undefined) return unasked(sequence);
    const lie = misfit(job, answer);
    if (lie !== undefined) return lie;
    this.inFlight.take(sequence);
    this.#window.release(job);
    this.#settle(job, answer);
    // It went out on this session alone, and the log has it. A part's data may be on its way on an older one, too.
    letGoAll(job.request.payload);
    return undefined;
  }

  /** @returns why the answer cannot be */
  #partDone(sequence: number, answer: BlockResult): StorageError | undefined {
    const settled = this.#resend.completed(sequence, answer);
    if (settled === undefined) return unasked(sequence);
    const { part, job, result } = settled;
    this.#window.release(job);
    if (part.isReplay) {
      if (answer.error !== undefined) this.#undurable(replayDetail(job, answer.error));
      return undefined;
    }
    if (result === undefined) return undefined;
    const owner = this.inFlight.take(part.sequence);
    if (owner !== undefined) this.#settle(owner, result);
    if (isFlushPart(part) && answer.error !== undefined) this.#undurable(flushDetail(answer.error));
    return undefined;
  }

  #settle(job: Job, result: BlockResult): void {
    if (job === this.#backgroundFlush) this.#backgroundFlush = undefined;
    const { kind } = job.request;
    if (job.isAnswered) {
      this.#cache.judge(job, result, this.options.onLoss);
      return;
    }
    if (result.error !== undefined && changesContent(kind)) this.#log.remove(job.sequence);
    if (result.error === undefined && kind === 'flush') this.#flushed(job);
    if (job.origin === 'client') this.#answer(job, result);
    else if (job.origin === 'read-ahead') job.complete(job.request, result);
    if (result.error !== undefined && kind === 'flush') this.#undurable(flushDetail(result.error));
  }

  #flushed({ sequence }: Job): void {
    const below = durableBelow(sequence, this.inFlight.values());
    this.#log.dropBelow(Math.min(below, this.#resend.owedFrom));
  }

  /**
   * What a node could not make durable it may forget at any time, so nothing more is read from it before the log has been
   * sent again, should it not have thought of that (storage.proto, contract 4). Who asked for a flush is told.
   */
  #undurable(sentence: string): void {
    this.#writeVerifier = undefined;
    this.options.onBroken(new StorageError('unavailable', sentence));
  }

  #answer(job: Job, result: BlockResult): void {
    // In the log before it is answered. Nothing to do unless the answer came in the turn of the request.
    this.#commitLog();
    countAnswer(this.counters, job.request, result);
    this.clients.answered();
    job.complete(job.request, result);
  }

  #answerEarly(job: Job): void {
    if (this.inFlight.get(job.sequence) !== job) return;
    job.isAnswered = true;
    countAnswer(this.counters, job.request, DONE);
    this.clients.answered();
    job.complete(job.request, DONE);
  }

  /** To the node, behind what was gathered for it; without a session it waits for the next one. */
  #send(job: Job): void {
    this.#sendGathered();
    this.#sendNow(job);
  }

  readonly #sendGathered = (): void => {
    for (const job of this.#cache.takeGathered()) this.#sendNow(job);
  };

  #sendNow(job: Job): void {
    if (this.#session === undefined) return;
    if (this.#window.admits(job)) this.#session.send(job.sequence, job.request);
    else this.#window.queue(job.sequence);
  }

  /** Once per turn of the event loop in which something was submitted; after the session has sent its frame. */
  readonly #endTurn = (): void => {
    this.#commitLog();
    for (const job of this.#cache.takeDue()) this.#answerEarly(job);
    // Clients are answered first: what they write next may go along.
    if (this.#cache.hasGathered) this.options.defer(this.#sendWhenDue);
    this.#flushIfWanted();
  };

  /** What clients were answered for goes when it fills a frame or the limits, or has waited for its time. */
  readonly #sendWhenDue = (): void => {
    if (this.#cache.isFull || !this.hasRoom()) this.#sendGathered();
    else this.#cache.wait();
  };

  #commitLog(): void {
    try {
      this.#log.commit();
    } catch (error) {
      this.options.onLoss(unwrittenDetail(error));
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
      const job = this.#resend.jobAt(sequence, this.#partRequest) ?? this.inFlight.get(sequence);
      if (job === undefined) this.#window.skip();
      else if (this.#window.admitsNext(job)) this.#session.send(sequence, job.request);
      else return;
    }
  }

  readonly #partRequest = (part: ResendPart): BlockRequest => {
    if (part.isReplay) this.counters.requestsReplayed += 1;
    return this.#source.request(part);
  };
}
