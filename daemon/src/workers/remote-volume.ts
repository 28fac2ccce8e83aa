/**
 * A volume that lives in a worker, as the main thread uses it: what it asks of it, what it was told of it last, and the
 * requests of clients that are served here (TLS). These are said together, those of one turn of the event loop, and
 * take effect in the order in which they were submitted.
 */
import { BlockError } from '../block/block-error.js';
import {
  carriedBytes,
  failed,
  type BlockRequest,
  type BlockResult,
} from '../block/block-request.js';
import type { BlockCompletion } from '../block/block-device.js';
import type { DeviceFacts } from '../block/device-facts.js';
import { TurnEnd } from '../runtime/turn-end.js';
import type { AttachedVolume, VolumeAmounts } from '../volume/attached-volume.js';
import { newCounters } from '../volume/volume-counters.js';
import { UNKNOWN_FACTS } from '../volume/volume-facts.js';
import type { VolumeState } from '../volume/volume-state.js';
import { Waiters } from '../volume/waiters.js';
import { heardError } from '../threads/told-error.js';
import {
  heardResult,
  toldRequest,
  transferred,
  type ToldRequest,
} from '../threads/told-request.js';
import type { ToldResult } from '../threads/told-request.js';
import type { Answer, VolumeAct, VolumeStatus } from './worker-messages.js';

/** The way to the volume. */
export interface VolumeLine {
  ask(act: VolumeAct): Promise<Answer>;
  resume(): void;
  submit(requests: readonly ToldRequest[], transfer: ArrayBuffer[]): void;
}

/** Most of what is under way to the volume; beyond it there is no room. */
export interface LineLimits {
  readonly requestsMax: number;
  readonly bytesMax: number;
}

interface UnderWay {
  readonly request: BlockRequest;
  readonly complete: (request: BlockRequest, result: BlockResult) => void;
}

export class RemoteVolume implements AttachedVolume {
  #status: VolumeStatus = {
    state: { name: 'connecting', detail: '' },
    facts: undefined,
    generation: 0,
  };
  #amounts: VolumeAmounts = {
    counters: newCounters(),
    requestsInFlight: 0,
    bytesInFlight: 0,
    unflushedBytes: 0,
  };
  #isDraining = false;
  /** It takes nothing more: nobody would complete it. */
  #isClosed = false;
  readonly #underWay = new Map<number, UnderWay>();
  #underWayBytes = 0;
  #lastRequestId = 0;
  #unsaid: ToldRequest[] = [];
  readonly #turnEnd = new TurnEnd(queueMicrotask, () => {
    this.#say();
  });
  readonly #roomWaiters = new Waiters();
  readonly #hasRoom = (): boolean => this.hasRoom();

  constructor(
    readonly line: VolumeLine,
    readonly limits: LineLimits,
    /** State or facts are others. */
    readonly onChange: () => void,
  ) {}

  get facts(): DeviceFacts {
    return this.#status.facts ?? UNKNOWN_FACTS;
  }

  get state(): VolumeState {
    return this.#status.state;
  }

  get generation(): number {
    return this.#status.generation;
  }

  get draining(): boolean {
    return this.#isDraining;
  }

  get counters(): VolumeAmounts['counters'] {
    return this.#amounts.counters;
  }

  get requestsInFlight(): number {
    return this.#amounts.requestsInFlight;
  }

  get bytesInFlight(): number {
    return this.#amounts.bytesInFlight;
  }

  get unflushedBytes(): number {
    return this.#amounts.unflushedBytes;
  }

  async refresh(): Promise<void> {
    // Of one that is closed nothing changes any more, and nobody there knows it.
    if (!this.#isClosed) await this.#ask({ act: 'refresh' });
  }

  async start(): Promise<void> {
    await this.#ask({ act: 'start' });
  }

  async drain(deadlineMs: number, until: 'deadline' | 'node-away' = 'deadline'): Promise<void> {
    this.#isDraining = true;
    await this.#ask({ act: 'drain', deadlineMs, until });
  }

  resume(): void {
    this.#isDraining = false;
    this.line.resume();
  }

  async failNow(): Promise<number> {
    return (await this.#ask({ act: 'fail-now' })).count ?? 0;
  }

  async retryNow(): Promise<void> {
    await this.#ask({ act: 'retry-now' });
  }

  submit<Request extends BlockRequest>(request: Request, complete: BlockCompletion<Request>): void {
    if (this.#isClosed) {
      complete(request, failed(new BlockError('ESHUTDOWN', 'the volume was closed')));
      return;
    }
    this.#lastRequestId += 1;
    const requestId = this.#lastRequestId;
    this.#underWay.set(requestId, { request, complete: complete as BlockCompletion<BlockRequest> });
    this.#underWayBytes += carriedBytes(request);
    this.#unsaid.push(toldRequest(requestId, request));
    this.#turnEnd.expect();
  }

  hasRoom(): boolean {
    const { requestsMax, bytesMax } = this.limits;
    return this.#underWay.size < requestsMax && this.#underWayBytes < bytesMax;
  }

  whenRoom(callback: () => void): void {
    this.#roomWaiters.add(callback);
    this.#roomWaiters.wakeInTurn(this.#hasRoom);
  }

  async close(): Promise<void> {
    await this.#end({ act: 'close' });
  }

  /** As `close`; the worker forgets it then. @param forget the attachment is over: so do disk and node */
  async end(forget: boolean): Promise<void> {
    await this.#end({ act: 'end', forget });
  }

  /** For the worker. */
  changed(status: VolumeStatus): void {
    this.#status = status;
    this.onChange();
  }

  /** For the worker. */
  completed(results: readonly ToldResult[]): void {
    for (const result of results) {
      const found = this.#underWay.get(result.requestId);
      if (found === undefined) throw new Error(`request ${result.requestId} was not under way`);
      this.#underWay.delete(result.requestId);
      this.#underWayBytes -= carriedBytes(found.request);
      found.complete(found.request, heardResult(result));
    }
    if (this.#roomWaiters.count > 0) this.#roomWaiters.wakeInTurn(this.#hasRoom);
  }

  async #end(act: VolumeAct): Promise<void> {
    const answer = this.#ask(act);
    this.#isClosed = true;
    await answer;
  }

  /** @throws what the volume throws; the amounts are those of then */
  async #ask(act: VolumeAct): Promise<Answer> {
    // What was submitted before comes before.
    this.#say();
    const answer = await this.line.ask(act);
    if (answer.amounts !== undefined) this.#amounts = answer.amounts;
    if (answer.error !== undefined) throw heardError(answer.error);
    return answer;
  }

  #say(): void {
    if (this.#unsaid.length === 0) return;
    const requests = this.#unsaid;
    this.#unsaid = [];
    this.line.submit(requests, transferred(requests));
  }
}
