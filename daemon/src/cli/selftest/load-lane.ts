/**
 * One connection of a checked load: keeps its requests under way, and opens itself again when it was cut.
 * A connection that was opened again is another one: nothing orders what was sent on the two.
 */
import {
  BLOCK_FLAG,
  flushRequest,
  joined,
  rangeRequest,
  readRequest,
  writeRequest,
  type BlockRequest,
  type BlockResult,
} from '../../block/block-request.js';
import type { BlockDevice } from '../../block/block-device.js';
import type { Clock } from '../../runtime/clock.js';
import type { Change } from './expected-content.js';
import type { LoadRecord } from './load-record.js';
import { nextRequest, type MixedRequest, type MixOptions } from './request-mix.js';
import type { SeededChance } from './seeded-chance.js';
import { STAMP_BYTES } from './stamp.js';

/** Before a connection is opened again after a failure: a daemon that starts needs about a second. */
const RECONNECT_WAIT_MS = 20;
/** After a request failed: a volume that refuses everything is asked, not flooded. */
const ERROR_WAIT_MS = 20;
/** Of one request: long enough to be cut in pieces on its way, short enough for every server's limit. */
const REQUEST_BLOCKS_MAX = 256;
/** With a limit on the rate, requests are let go in steps of this. */
const PACE_STEP_MS = 10;

/** A connection that can be ended without a word; what is unanswered then fails with ESHUTDOWN. */
export interface CuttableDevice extends BlockDevice {
  cut(): void;
}

export interface LaneOptions {
  /** Opens connection number `lane`. While the load runs, a rejection is tried again. */
  readonly connect: (lane: number) => Promise<CuttableDevice>;
  readonly connections: number;
  /** Requests under way on each connection. */
  readonly depth: number;
  /** On all connections together; Infinity for as fast as it goes. */
  readonly requestsPerSecondMax: number;
  readonly clock: Clock;
}

/** What a request's answer means for the record. */
interface Consequences {
  readonly change?: Change;
  readonly done?: (result: BlockResult) => void;
  readonly ended?: () => void;
}

/** Told apart by the model; unique within the process. */
let connectionsOpened = 0;

export class LoadLane {
  #device: CuttableDevice | undefined;
  #connection = 0;
  #state: 'idle' | 'running' | 'stopping' = 'idle';
  #underWay = 0;
  #opening: Promise<void> | undefined;
  #pausedUntilMs = 0;
  #cancelTimer: (() => void) | undefined;
  #dueSinceMs = 0;
  #whenIdle: (() => void) | undefined;

  constructor(
    readonly record: LoadRecord,
    readonly options: LaneOptions,
    readonly lane: number,
    readonly chance: SeededChance,
  ) {}

  /** @throws what `connect` throws */
  async open(): Promise<void> {
    this.#device = await this.options.connect(this.lane);
    connectionsOpened += 1;
    this.#connection = connectionsOpened;
  }

  start(): void {
    this.#state = 'running';
    this.#dueSinceMs = this.options.clock.nowMs();
    this.#pump();
  }

  async stop(): Promise<void> {
    this.#state = 'stopping';
    this.#cancelTimer?.();
    if (this.#underWay > 0) {
      await new Promise<void>((resolve) => {
        this.#whenIdle = resolve;
      });
    }
    await this.#opening;
    await this.#device?.close();
    this.#device = undefined;
    this.#state = 'idle';
  }

  /** Everything under way is answered with ESHUTDOWN by that. */
  cut(): void {
    this.#device?.cut();
  }

  #pump(): void {
    const { depth } = this.options;
    while (this.#state === 'running' && this.#device !== undefined && this.#underWay < depth) {
      const waitMs = this.#waitMs();
      if (waitMs > 0) {
        this.#later(waitMs);
        return;
      }
      this.#submit(this.#device, nextRequest(this.chance, this.#mix(this.#device)));
    }
  }

  /** Until the next request may go. */
  #waitMs(): number {
    const { clock, requestsPerSecondMax, connections } = this.options;
    const nowMs = clock.nowMs();
    if (nowMs < this.#pausedUntilMs) return this.#pausedUntilMs - nowMs;
    if (requestsPerSecondMax === Infinity) return 0;
    if (this.#dueSinceMs > nowMs) return Math.max(PACE_STEP_MS, this.#dueSinceMs - nowMs);
    // What a pause kept from being sent is not made up for.
    const earliestMs = nowMs - PACE_STEP_MS;
    this.#dueSinceMs =
      Math.max(this.#dueSinceMs, earliestMs) + (1000 * connections) / requestsPerSecondMax;
    return 0;
  }

  #later(waitMs: number): void {
    this.#cancelTimer?.();
    this.#cancelTimer = this.options.clock.setTimer(waitMs, () => {
      this.#pump();
    });
  }

  #mix(device: CuttableDevice): MixOptions {
    const { requestBytesMax, capabilities } = device.facts;
    return {
      blockCount: this.record.content.blockCount,
      blocksMax: Math.min(REQUEST_BLOCKS_MAX, Math.floor(requestBytesMax / STAMP_BYTES)),
      canTrim: capabilities.canTrim,
    };
  }

  #submit(device: CuttableDevice, wish: MixedRequest): void {
    const { content, stamps } = this.record;
    if (wish.kind === 'flush') {
      const begunAt = content.flushBegun();
      this.#send(device, flushRequest(), {
        done: () => {
          content.flushAnswered(begunAt);
        },
      });
      return;
    }
    const { kind, firstBlock, blockCount, fua } = wish;
    const offsetBytes = firstBlock * STAMP_BYTES;
    if (kind === 'read') {
      const begunAt = content.readBegun();
      this.#send(device, readRequest(offsetBytes, blockCount * STAMP_BYTES), {
        done: ({ payload }) => {
          this.record.judge(firstBlock, blockCount, joined(payload), begunAt);
        },
        ended: () => {
          content.readEnded(begunAt);
        },
      });
      return;
    }
    const change = content.begin({
      kind,
      firstBlock,
      blockCount,
      connection: this.#connection,
      fua,
    });
    const flags = fua ? BLOCK_FLAG.FUA : 0;
    const request =
      kind === 'write'
        ? writeRequest(offsetBytes, stamps.blocks(firstBlock, blockCount, change.serial), flags)
        : rangeRequest(kind, offsetBytes, blockCount * STAMP_BYTES, flags);
    this.#send(device, request, { change });
  }

  #send(device: CuttableDevice, request: BlockRequest, consequences: Consequences): void {
    const { record } = this;
    this.#underWay += 1;
    device.submit(request, (_request, result) => {
      this.#underWay -= 1;
      const { error } = result;
      const { change, done, ended } = consequences;
      if (error === undefined) {
        record.countAnswer(request);
        done?.(result);
        if (change !== undefined) record.content.answered(change);
      } else {
        record.countError(error);
        if (change !== undefined) record.content.doubtful(change);
        this.#pausedUntilMs = this.options.clock.nowMs() + ERROR_WAIT_MS;
      }
      ended?.();
      this.#goOn(device, error?.errno === 'ESHUTDOWN');
    });
  }

  #goOn(device: CuttableDevice, isGone: boolean): void {
    if (isGone && this.#device === device) {
      // Nothing more is asked of it; it may be the server's word rather than the end of the connection.
      this.#device = undefined;
      device.cut();
    }
    if (this.#underWay > 0) {
      this.#pump();
      return;
    }
    this.#whenIdle?.();
    if (this.#device === undefined && this.#state === 'running') this.#opening = this.#reopen();
    else this.#pump();
  }

  async #reopen(): Promise<void> {
    const { clock } = this.options;
    while (this.#state === 'running') {
      try {
        await this.open();
        this.record.counters.reconnects += 1;
        this.#pausedUntilMs = 0;
        this.#pump();
        return;
      } catch {
        // Whoever ends the load decides how long is too long; pauses are measured.
        await new Promise<void>((resolve) => {
          clock.setTimer(RECONNECT_WAIT_MS, resolve);
        });
      }
    }
  }
}
