/**
 * The core: one object owns one volume. Requests of all its clients enter through `submit`, the node's
 * answers through the link's events, and nothing else changes its state.
 *
 * The pipeline of a request, in order, is `submit`: check → admit → log → send; and back in
 * `#completed`: take → account for durability → answer. Limits on the way are told to the clients by
 * `hasRoom`, so that they stop reading their sockets.
 *
 * The four invariants, in README.md of this room, are what the order of these lines is for.
 */
import { BlockError } from '../block/block-error.js';
import {
  changesContent,
  failed,
  flushRequest,
  type BlockRequest,
  type BlockResult,
} from '../block/block-request.js';
import type { BlockCompletion, PacedBlockDevice } from '../block/block-device.js';
import type { DeviceFacts } from '../block/device-facts.js';
import { checkRequest } from '../block/request-check.js';
import type { Clock } from '../runtime/clock.js';
import { StorageError } from '../rpc/storage-error.js';
import type { OpenedFrame } from '../rpc/storage-messages.js';
import type { StorageSession } from '../transport/storage-client.js';
import { InFlightTable, Job, type InFlightLimits } from './in-flight.js';
import type { ReplayLog } from './replay-log.js';
import { durableBelow, sequencesToSend } from './resend-plan.js';
import { SendWindow } from './send-window.js';
import { countAnswer, newCounters, type VolumeCounters } from './volume-counters.js';
import { UNKNOWN_FACTS, toDeviceFacts } from './volume-facts.js';
import { VolumeLink, type LinkOptions } from './volume-link.js';
import { moveTo, type VolumeState } from './volume-state.js';
import { Waiters } from './waiters.js';

export interface VolumeOptions {
  readonly link: LinkOptions;
  readonly limits: InFlightLimits;
  readonly replayLog: ReplayLog;
  /** How long requests wait for a node that is away before they fail with EIO; Infinity waits for ever. */
  readonly ioHoldTimeoutMs: number;
  readonly clock: Clock;
  /** Runs a callback at the end of the current turn of the event loop; queueMicrotask outside tests. */
  readonly defer: (callback: () => void) => void;
  /** Every change of state, for the log. */
  readonly onState: (state: VolumeState) => void;
}

export class Volume implements PacedBlockDevice {
  readonly counters: VolumeCounters = newCounters();
  readonly #link: VolumeLink;
  readonly #inFlight: InFlightTable;
  readonly #log: ReplayLog;
  readonly #window = new SendWindow();
  #state: VolumeState = { name: 'connecting', detail: '' };
  /** Whether clients may submit. */
  #intake: 'open' | 'draining' = 'open';
  #facts = UNKNOWN_FACTS;
  #session: StorageSession | undefined;
  /** Of the node's run that took the writes in the log; undefined: of an unknown run, before the first session. */
  #writeVerifier: bigint | undefined;
  #nextSequence: number;
  #backgroundFlush: Job | undefined;
  #turnEnds = false;
  #cancelHold: (() => void) | undefined;
  readonly #roomWaiters = new Waiters();
  readonly #idleWaiters = new Waiters();

  constructor(readonly options: VolumeOptions) {
    this.#inFlight = new InFlightTable(options.limits);
    this.#log = options.replayLog;
    this.#nextSequence = this.#log.lastSequence + 1;
    this.#link = new VolumeLink(options.link, {
      leased: (generation) => {
        this.#log.store.setGeneration(generation);
      },
      up: (session, facts) => {
        this.#up(session, facts);
      },
      completed: (sequence, result) => {
        this.#completed(sequence, result);
      },
      verifierSeen: (writeVerifier) => {
        this.#verifierSeen(writeVerifier);
      },
      down: (reason) => {
        this.#down(reason);
      },
      fenced: (reason) => {
        this.#fence(reason.message);
      },
    });
  }

  get facts(): DeviceFacts {
    return this.#facts;
  }

  get state(): VolumeState {
    return this.#state;
  }

  get draining(): boolean {
    return this.#intake === 'draining';
  }

  get volumeId(): string {
    return this.#link.volumeId;
  }

  get generation(): number {
    return this.#link.generation;
  }

  get requestsInFlight(): number {
    return this.#inFlight.count;
  }

  get bytesInFlight(): number {
    return this.#inFlight.bytes;
  }

  /** Payload bytes of answered or unanswered writes that no flush has covered. */
  get unflushedBytes(): number {
    return this.#log.bytes;
  }

  /**
   * Begins to reach the node. Settles with the outcome of the first try: after a rejection (with
   * StorageError) the volume goes on trying until it is closed.
   */
  start(): Promise<void> {
    return this.#link.start();
  }

  submit<Request extends BlockRequest>(request: Request, complete: BlockCompletion<Request>): void {
    const refusal = this.#refusal() ?? checkRequest(request, this.#facts);
    if (refusal !== undefined) {
      const result = failed(refusal);
      countAnswer(this.counters, request, result);
      complete(request, result);
      return;
    }
    const job = new Job(
      this.#nextSequence++,
      request,
      complete as BlockCompletion<BlockRequest>,
      'client',
    );
    this.#inFlight.add(job);
    if (changesContent(request.kind)) this.#log.append(job.sequence, request);
    this.#send(job);
  }

  /** Also true while everything is refused: then nobody has to wait for an answer. */
  hasRoom(): boolean {
    return (this.#inFlight.hasRoom() && this.#log.hasRoom()) || this.#refusal() !== undefined;
  }

  whenRoom(callback: () => void): void {
    this.#roomWaiters.add(callback);
    this.#wakeWaiters();
  }

  /**
   * Refuses new requests, waits for those in flight and makes everything durable.
   * @throws StorageError when that was not possible before the deadline; what was answered but not
   *   flushed is then still in the replay log.
   */
  async drain(deadlineMs: number): Promise<void> {
    this.#intake = 'draining';
    const expired = { now: false };
    const cancel = this.options.clock.setTimer(deadlineMs, () => {
      expired.now = true;
      this.#idleWaiters.wake();
    });
    try {
      await this.#untilIdle(expired);
      if (this.#log.count > 0 && this.#state.name !== 'fenced') {
        this.#flushInBackground();
        await this.#untilIdle(expired);
      }
    } finally {
      cancel();
    }
    if (this.#log.count === 0) return;
    const detail =
      'detail' in this.#state && this.#state.detail !== '' ? `: ${this.#state.detail}` : '';
    throw new StorageError(
      'unavailable',
      `volume ${this.options.link.volumeName} could not be flushed within ${deadlineMs} ms${detail}; ` +
        `${this.#log.bytes} bytes of answered writes wait in the replay log`,
    );
  }

  /** Takes requests again after a drain that failed. */
  resume(): void {
    this.#intake = 'open';
  }

  /** Tries to reach the node now instead of at the next scheduled try. */
  retryNow(): void {
    this.#link.retryNow();
  }

  /** Gives up the lease, after `close`. @throws StorageError */
  release(): Promise<void> {
    return this.#link.release();
  }

  /** Ends at once: what is in flight is answered with ESHUTDOWN. The replay log is kept as it is. */
  close(): Promise<void> {
    if (this.#state.name === 'closed') return Promise.resolve();
    this.#link.stop();
    this.#cancelHold?.();
    this.#moveTo({ name: 'closed' });
    this.#failAll(new BlockError('ESHUTDOWN', 'the volume was closed'));
    return Promise.resolve();
  }

  /** Why no request is accepted now, or undefined. */
  #refusal(): BlockError | undefined {
    switch (this.#state.name) {
      case 'active':
      case 'holding':
        return this.#intake === 'open'
          ? undefined
          : new BlockError('ESHUTDOWN', 'the volume is being detached');
      case 'connecting':
      case 'failing':
      case 'fenced':
        return new BlockError('EIO', this.#state.detail);
      case 'closed':
        return new BlockError('ESHUTDOWN', 'the volume was closed');
    }
  }

  #send(job: Job): void {
    // Without a session nothing is queued: the next one begins with everything that is in flight.
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
      this.#fence(
        `the replay log cannot be written: ${BlockError.from(error).reason}; free space in the runtime directory, then detach and attach again`,
      );
    }
  }

  #flushIfWanted(): void {
    if (this.#session !== undefined && this.#log.wantsFlush()) this.#flushInBackground();
  }

  #flushInBackground(): void {
    if (this.#backgroundFlush !== undefined) return;
    const job = new Job(this.#nextSequence++, flushRequest(), () => undefined, 'background-flush');
    this.#backgroundFlush = job;
    this.#inFlight.add(job);
    this.#send(job);
  }

  /** Sends what waits, as far as the node's window goes; replays are read back only here. */
  #pump(): void {
    while (this.#session !== undefined) {
      const sequence = this.#window.next();
      if (sequence === undefined) return;
      const job = this.#inFlight.get(sequence) ?? this.#replayJob(sequence);
      if (job === undefined) {
        this.#window.skip();
      } else {
        if (!this.#window.admitsNext(job)) return;
        this.#session.send(sequence, job.request);
      }
    }
  }

  #replayJob(sequence: number): Job | undefined {
    const request = this.#log.load(sequence);
    if (request === undefined) return undefined;
    const job = new Job(sequence, request, () => undefined, 'replay');
    this.#inFlight.add(job);
    this.counters.requestsReplayed += 1;
    return job;
  }

  #completed(sequence: number, result: BlockResult): void {
    const job = this.#inFlight.take(sequence);
    if (job === undefined) {
      this.#link.restart(
        new StorageError('internal', `the node answered request ${sequence}, which was not asked`),
      );
      return;
    }
    this.#window.release(job);
    if (result.error === undefined) {
      if (job.request.kind === 'flush')
        this.#log.dropBelow(durableBelow(sequence, this.#inFlight.values()));
    } else if (job.origin === 'client') {
      if (changesContent(job.request.kind)) this.#log.remove(sequence);
    } else {
      this.#fence(`${this.#lossDetail(job)}: ${result.error.reason}`);
    }
    if (job === this.#backgroundFlush) this.#backgroundFlush = undefined;
    if (job.origin === 'client') this.#answer(job, result);
    this.#pump();
    this.#flushIfWanted();
    this.#wakeWaiters();
  }

  #answer(job: Job, result: BlockResult): void {
    // Invariant 2: in the log before it is answered. Nothing to do unless the answer came in the same turn.
    this.#commitLog();
    countAnswer(this.counters, job.request, result);
    job.complete(job.request, result);
  }

  #lossDetail(job: Job): string {
    return job.origin === 'replay'
      ? `an answered ${job.request.kind} at byte ${job.request.offsetBytes} could not be sent again after the node lost it`
      : 'the node could not make answered writes durable';
  }

  #up(session: StorageSession, facts: OpenedFrame): void {
    const lost = this.#writeVerifier !== facts.writeVerifier;
    this.#writeVerifier = facts.writeVerifier;
    this.#session = session;
    this.#facts = toDeviceFacts(facts, this.options.link.readOnly);
    this.#cancelHold?.();
    this.#cancelHold = undefined;
    this.#window.open(
      facts.requestsInFlightMax,
      facts.bytesInFlightMax,
      sequencesToSend(this.#inFlight.values(), this.#log, lost),
    );
    this.#moveTo({ name: 'active' });
    this.#pump();
    this.#flushIfWanted();
    this.#wakeWaiters();
  }

  /** Another run of the node than the session was opened with: what it has not flushed may be gone. */
  #verifierSeen(writeVerifier: bigint): void {
    if (writeVerifier === this.#writeVerifier) return;
    this.#link.restart(
      new StorageError('unavailable', 'the node lost its unflushed writes; sending them again'),
    );
  }

  #down(reason: StorageError): void {
    if (this.#session !== undefined) this.counters.reconnects += 1;
    this.#session = undefined;
    this.#window.shut();
    for (const job of [...this.#inFlight.values()]) {
      if (job.origin === 'replay') this.#inFlight.take(job.sequence);
    }
    const name = this.#state.name === 'active' ? 'holding' : this.#state.name;
    if (name === 'connecting' || name === 'holding' || name === 'failing') {
      this.#moveTo({ name, detail: reason.message });
    }
    if (this.#state.name === 'holding') this.#startHold();
  }

  #startHold(): void {
    if (this.#cancelHold !== undefined || this.options.ioHoldTimeoutMs === Infinity) return;
    this.#cancelHold = this.options.clock.setTimer(this.options.ioHoldTimeoutMs, () => {
      if (this.#state.name !== 'holding') return;
      const detail = `${this.#state.detail}; away for more than ${this.options.ioHoldTimeoutMs} ms (io_hold_timeout)`;
      this.#moveTo({ name: 'failing', detail });
      this.#failAll(new BlockError('EIO', detail));
    });
  }

  #fence(detail: string): void {
    if (this.#state.name === 'fenced' || this.#state.name === 'closed') return;
    this.#link.stop();
    this.#session = undefined;
    this.#cancelHold?.();
    this.#moveTo({ name: 'fenced', detail });
    this.#failAll(new BlockError('EIO', detail));
  }

  /** Answers everything in flight with an error; clients then know that they have no promise. */
  #failAll(error: BlockError): void {
    this.#window.shut();
    const jobs = [...this.#inFlight.values()].sort((left, right) => left.sequence - right.sequence);
    for (const job of jobs) {
      this.#inFlight.take(job.sequence);
      if (job.origin !== 'client') continue;
      if (changesContent(job.request.kind) && this.#state.name === 'failing')
        this.#log.remove(job.sequence);
      const result = failed(error);
      countAnswer(this.counters, job.request, result);
      job.complete(job.request, result);
    }
    this.#backgroundFlush = undefined;
    this.#wakeWaiters();
  }

  async #untilIdle(expired: { readonly now: boolean }): Promise<void> {
    while (this.#inFlight.count > 0 && !expired.now) {
      await new Promise<void>((resolve) => {
        this.#idleWaiters.add(resolve);
      });
    }
  }

  #wakeWaiters(): void {
    if (this.#roomWaiters.count > 0 && this.hasRoom()) this.#roomWaiters.wake();
    if (this.#inFlight.count === 0) this.#idleWaiters.wake();
  }

  #moveTo(state: VolumeState): void {
    this.#state = moveTo(this.#state, state);
    this.options.onState(this.#state);
  }
}
