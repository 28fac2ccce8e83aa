/**
 * The core: one object owns one volume. Requests of all its clients enter through `submit`, the node's answers through
 * the link's events, and nothing else changes its state. Here are the door, the states and the time limits; the way of
 * the requests behind the door, with the invariants of README.md, is job-pipeline.ts. Limits on the way are told to the
 * clients by `hasRoom`, so that they stop reading their sockets.
 */
import { BlockError } from '../block/block-error.js';
import { failed, onlyLooks, type BlockRequest } from '../block/block-request.js';
import type { BlockCompletion } from '../block/block-device.js';
import type { DeviceFacts } from '../block/device-facts.js';
import { checkRequest } from '../block/request-check.js';
import { StorageError } from '../rpc/storage-error.js';
import type { OpenedFrame } from '../rpc/storage-messages.js';
import type { StorageSession } from '../transport/storage-client.js';
import type { AttachedVolume } from './attached-volume.js';
import { Deadline, undrained, untilIdle } from './drain-deadline.js';
import { JobPipeline } from './job-pipeline.js';
import { ReadAhead } from './read-ahead.js';
import { countAnswer, type VolumeCounters } from './volume-counters.js';
import { UNKNOWN_FACTS, toDeviceFacts } from './volume-facts.js';
import { VolumeLink } from './volume-link.js';
import type { VolumeOptions } from './volume-options.js';
import { isTakenOver, moveTo, refusalOf, type VolumeState } from './volume-state.js';
import { Waiters } from './waiters.js';

export class Volume implements AttachedVolume {
  readonly #link: VolumeLink;
  readonly #pipeline: JobPipeline;
  readonly #readAhead: ReadAhead;
  #state: VolumeState = { name: 'connecting', detail: '' };
  /** Whether clients may submit. */
  #intake: 'open' | 'draining' = 'open';
  #facts = UNKNOWN_FACTS;
  #cancelHold: (() => void) | undefined;
  readonly #roomWaiters = new Waiters();
  readonly #hasRoom = (): boolean => this.hasRoom();
  readonly #idleWaiters = new Waiters();
  /** Of a drain that does not wait for a node that is away. */
  #hurriedDrain: Deadline | undefined;
  /** Those who asked for a try and wait for its outcome. */
  readonly #tryWaiters = new Waiters();

  constructor(readonly options: VolumeOptions) {
    const { replayLog } = options;
    this.#pipeline = new JobPipeline({
      ...options,
      onLoss: (detail) => {
        this.#fence(detail);
      },
      onBroken: (reason) => {
        this.#link.restart(reason);
      },
      onProgress: () => {
        this.#wakeWaiters();
      },
    });
    this.#readAhead = new ReadAhead(this.#pipeline, options.readAheadBytes, options.clock);
    this.#link = new VolumeLink(options.link, {
      leased: (generation) => {
        replayLog.store.setGeneration(generation);
      },
      up: (session, facts) => {
        this.#up(session, facts);
      },
      completed: (sequence, result) => {
        this.#pipeline.completed(sequence, result);
      },
      verifierSeen: (writeVerifier) => {
        // Another run of the node than the session began with: what it had not flushed may be gone.
        if (writeVerifier === this.#pipeline.writeVerifier) return;
        const sentence = 'the node lost its unflushed writes; sending them again';
        this.#link.restart(new StorageError('unavailable', sentence));
      },
      resized: (sizeBytes) => {
        this.#learn({ ...this.#facts, sizeBytes });
      },
      down: (reason) => {
        this.#down(reason);
      },
      fenced: (reason, wasHeld) => {
        this.#fence(reason.message, wasHeld);
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

  get counters(): VolumeCounters {
    return this.#pipeline.counters;
  }

  get requestsInFlight(): number {
    return this.#pipeline.inFlight.count;
  }

  get bytesInFlight(): number {
    return this.#pipeline.inFlight.bytes;
  }

  /** Payload bytes of writes that no flush has covered. */
  get unflushedBytes(): number {
    return this.options.replayLog.bytes;
  }

  /**
   * Begins to reach the node. Settles with the outcome of the first try: after a rejection (with
   * StorageError) the volume goes on trying until it is closed.
   */
  start(): Promise<void> {
    if (this.#state.name !== 'fenced') return this.#link.start();
    return Promise.reject(new StorageError('refused', this.#state.detail));
  }

  /** Instead of `start`: nothing may be read or written, for the reason given. */
  refuse(detail: string): void {
    this.#fence(detail);
  }

  submit<Request extends BlockRequest>(request: Request, complete: BlockCompletion<Request>): void {
    const refusal = refusalOf(this.#state, this.draining) ?? checkRequest(request, this.#facts);
    if (refusal === undefined) {
      if (this.#link.use === 'standby' && !onlyLooks(request.kind)) this.#link.claim();
      const isWriter = this.#link.use === 'writing';
      this.#readAhead.submit(
        request,
        complete as BlockCompletion<BlockRequest>,
        this.#facts,
        isWriter,
      );
      return;
    }
    const result = failed(refusal);
    countAnswer(this.counters, request, result);
    complete(request, result);
  }

  /** Also true while everything is refused: then nobody has to wait for an answer. */
  hasRoom(): boolean {
    return this.#pipeline.hasRoom() || refusalOf(this.#state, this.draining) !== undefined;
  }

  whenRoom(callback: () => void): void {
    this.#roomWaiters.add(callback);
    this.#wakeWaiters();
  }

  /**
   * Refuses new requests, waits for those in flight and makes everything durable.
   * @param until of a node that is away: wait for it until the deadline, or not at all
   * @throws StorageError when that was not possible; what was not flushed is then still in the replay log
   */
  async drain(deadlineMs: number, until: 'deadline' | 'node-away' = 'deadline'): Promise<void> {
    const { replayLog } = this.options;
    this.#intake = 'draining';
    const deadline = new Deadline(this.options.clock, deadlineMs, () => {
      this.#idleWaiters.wake();
    });
    this.#hurriedDrain = until === 'node-away' ? deadline : undefined;
    this.#hurry();
    const isBusy = (): boolean => this.requestsInFlight > 0;
    await untilIdle(isBusy, this.#idleWaiters, deadline);
    if (replayLog.count > 0 && this.#state.name !== 'fenced') {
      this.#pipeline.flushInBackground();
      await untilIdle(isBusy, this.#idleWaiters, deadline);
    }
    deadline.cancel();
    if (replayLog.count === 0 || isTakenOver(this.#state)) return;
    throw undrained(this.options.link.volumeName, this.#state, deadlineMs, replayLog.bytes);
  }

  /** Takes requests again after a drain that failed. */
  resume(): void {
    this.#intake = 'open';
  }

  /** Ends the waiting for a node as the hold time does. @returns how many requests failed by that */
  failNow(): number {
    if (this.#state.name !== 'holding') return 0;
    const before = this.counters.failedRequests;
    this.#giveUp('waiting was ended by fail-now');
    return this.counters.failedRequests - before;
  }

  /** Tries at once to reach a node that is away. Resolves when the try has succeeded or failed. */
  retryNow(): Promise<void> {
    const { name } = this.#state;
    if (name === 'active' || name === 'fenced' || name === 'closed') return Promise.resolve();
    return new Promise((resolve) => {
      this.#tryWaiters.add(resolve);
      this.#link.retryNow();
    });
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
    this.#pipeline.failAll(new BlockError('ESHUTDOWN', 'the volume was closed'), 'keep');
    this.#tryWaiters.wake();
    return Promise.resolve();
  }

  #up(session: StorageSession, opened: OpenedFrame): void {
    const facts = toDeviceFacts(opened, this.#link.use);
    this.#facts = facts;
    this.#cancelHold?.();
    this.#cancelHold = undefined;
    this.#moveTo({ name: 'active' });
    this.#pipeline.begin(session, opened);
    this.#wakeWaiters();
    this.#learn(facts);
    this.#tryWaiters.wake();
  }

  #down(reason: StorageError): void {
    this.#pipeline.suspend(reason.kind === 'damaged' ? 'damaged' : 'lost');
    const name = this.#state.name === 'active' ? 'holding' : this.#state.name;
    if (name === 'connecting' || name === 'holding' || name === 'failing') {
      this.#moveTo({ name, detail: reason.message });
    }
    if (this.#state.name === 'holding') this.#startHold();
    this.#tryWaiters.wake();
  }

  #startHold(): void {
    const { clock, ioHoldTimeoutMs } = this.options;
    if (this.#cancelHold !== undefined || ioHoldTimeoutMs === Infinity) return;
    this.#cancelHold = clock.setTimer(this.#link.holdLeftMs(ioHoldTimeoutMs), () => {
      if (this.#state.name !== 'holding') return;
      this.#giveUp(`away for more than ${ioHoldTimeoutMs} ms (io_hold_timeout)`);
    });
  }

  /** From holding only. */
  #giveUp(why: string): void {
    const detail = 'detail' in this.#state ? `${this.#state.detail}; ${why}` : why;
    this.#moveTo({ name: 'failing', detail });
    this.#pipeline.failAll(new BlockError('EIO', detail), 'forget');
  }

  #fence(detail: string, takenOver = false): void {
    if (this.#state.name === 'fenced' || this.#state.name === 'closed') return;
    this.#link.stop();
    this.#cancelHold?.();
    this.#moveTo({ name: 'fenced', detail, takenOver });
    this.#pipeline.failAll(new BlockError('EIO', detail), 'keep');
    this.#tryWaiters.wake();
  }

  #wakeWaiters(): void {
    if (this.#roomWaiters.count > 0) this.#roomWaiters.wakeInTurn(this.#hasRoom);
    if (this.requestsInFlight === 0) this.#idleWaiters.wake();
  }

  #learn(facts: DeviceFacts): void {
    this.#facts = facts;
    this.#readAhead.forget();
    this.options.onFacts(facts);
  }

  #hurry(): void {
    if (this.#state.name !== 'active') this.#hurriedDrain?.end();
  }

  #moveTo(state: VolumeState): void {
    this.#state = moveTo(this.#state, state);
    this.#readAhead.forget();
    this.#hurry();
    this.options.onState(this.#state);
  }
}
