/**
 * The end of a history: heals everything, then demands what must be true of a healthy system.
 */
import {
  flushRequest,
  joined,
  readRequest,
  type BlockRequest,
  type BlockResult,
} from '#daemon/block/block-request.js';
import type { Conductor } from './conductor.js';
import type { DaemonHost } from './daemon-host.js';
import type { Asked, HistoryModel } from './history-model.js';
import type { PlannedFault } from './history-plan.js';
import type { HistorySettings } from './history-settings.js';
import type { Latency } from './network.js';
import type { SimulatedClients } from './simulated-clients.js';
import type { StorageMachine } from './storage-machine.js';
import type { World } from './world.js';

/** Longest that the requests may take with all faults among them, simulated. */
const HISTORY_MS_MAX = 120_000;
/** A healthy system serves again within this time: silence noticed, a lease expired, the longest waits. */
const RECOVERY_MS_MAX = 30_000;
const RESTORE_EVERY_MS = 500;
/** Blocks of one read at the end. */
const READ_BLOCKS = 8;
/** A failed sync stays until the volume is opened anew, which takes one restart. */
const FLUSH_TRIES_MAX = 4;

export interface FinalCheckOptions {
  readonly world: World;
  readonly model: HistoryModel;
  readonly machine: StorageMachine;
  readonly conductor: Conductor;
  readonly clients: SimulatedClients;
  readonly settings: HistorySettings;
  readonly setLatency: (latency: Latency | undefined) => void;
}

export class FinalCheck {
  constructor(readonly options: FinalCheckOptions) {}

  async run(faults: readonly PlannedFault[]): Promise<void> {
    const { world, clients } = this.options;
    const faultsEndMs = faults.reduce((end, { atMs }) => Math.max(end, atMs), 0);
    // Requests may wait for a volume that only healing brings back: the rest of them comes after it.
    await world.runUntil(() => clients.isDone && world.nowMs > faultsEndMs, faultsEndMs + 8_000);
    world.note('everything is healed');
    // Former writers that were frozen or cut off go on once more before they are ended.
    await this.#serve(
      () => clients.isDone,
      HISTORY_MS_MAX,
      () => clients.describe(),
    );
    this.#endOthers();
    await this.#flush();
    await this.#readAll();
    this.#compareDisk();
    await this.#destroyOnceMore();
    await this.#readAll();
  }

  #heal(): void {
    const { machine, conductor, setLatency } = this.options;
    setLatency(undefined);
    machine.weather.heal();
    machine.process.resume();
    machine.process.spare();
    for (const host of conductor.hosts) {
      host.path.open();
      host.process.resume();
      host.process.spare();
      host.setLogFull(false);
    }
  }

  #endOthers(): void {
    const { conductor } = this.options;
    for (const host of conductor.hosts) {
      if (host !== conductor.current) conductor.giveUp(host);
    }
  }

  /** Runs until the condition holds, with an operator who restarts what is dead. */
  async #serve(condition: () => boolean, withinMs: number, describe: () => string): Promise<void> {
    const { world, conductor } = this.options;
    const untilMs = world.nowMs + withinMs;
    while (world.violation === undefined) {
      this.#heal();
      conductor.restore();
      const step = Math.min(RESTORE_EVERY_MS, untilMs - world.nowMs);
      if (await world.runUntil(condition, step)) return;
      if (world.nowMs < untilMs) continue;
      const { attachmentId, state } = conductor.current;
      world.broken('liveness', `${attachmentId} is ${state} after ${withinMs} ms; ${describe()}`);
    }
  }

  #serveActive(): Promise<void> {
    const { conductor } = this.options;
    return this.#serve(
      () => conductor.current.state === 'active' && conductor.current.volume?.draining === false,
      RECOVERY_MS_MAX,
      () => 'it does not serve',
    );
  }

  async #flush(): Promise<void> {
    const { world, model, conductor } = this.options;
    for (let tries = 1; tries <= FLUSH_TRIES_MAX; tries += 1) {
      const result = await this.#requestUntilServed(flushRequest(), (asked) => {
        model.flushSucceeded(asked);
      });
      if (result === undefined) return;
      if (result.error === undefined) {
        const bytes = conductor.current.volume?.unflushedBytes ?? 0;
        // What was sent again may be answered behind the flush; the next one finds it done.
        if (bytes > 0 && tries < FLUSH_TRIES_MAX) continue;
        if (bytes > 0) world.broken('limits', `${bytes} bytes are logged after the last flush`);
        return;
      }
      model.unexplainedError('the last flush', result.error.message);
      conductor.kill(conductor.current);
    }
    world.broken('liveness', `no flush succeeds after ${FLUSH_TRIES_MAX} restarts`);
  }

  async #readAll(): Promise<void> {
    const { world, model, settings } = this.options;
    const { blockCount, blockBytes } = settings;
    for (let first = 0; first < blockCount; first += READ_BLOCKS) {
      const count = Math.min(READ_BLOCKS, blockCount - first);
      const request = readRequest(first * blockBytes, count * blockBytes);
      const result = await this.#requestUntilServed(request, (asked, { payload }) => {
        model.readSucceeded(asked, first, joined(payload));
      });
      if (result === undefined) return;
      if (result.error !== undefined)
        world.broken('an error needs a reason', `the last read: ${result.error.message}`);
    }
  }

  /** After the last flush and with everything read: what is durable is what was read. */
  #compareDisk(): void {
    const { world, model, machine, settings } = this.options;
    for (let block = 0; block < settings.blockCount; block += 1) {
      if (world.violation !== undefined) return;
      if (model.mayHold(block, machine.disk.durable(block))) continue;
      const bytes = machine.disk.durable(block).subarray(0, 8).toString('hex');
      world.broken(
        'a flush makes durable',
        `block ${block} is ${bytes} on the disk; it may be: ${model.describe(block)}`,
      );
    }
  }

  async #destroyOnceMore(): Promise<void> {
    const { world, machine, conductor } = this.options;
    if (world.violation !== undefined) return;
    machine.cutPower();
    conductor.kill(conductor.current);
    await this.#serveActive();
  }

  /**
   * Asks whoever serves, and again if that one ceased to: the call of a daemon that was given up, to take the
   * volume over, may arrive late.
   * @returns undefined when a rule was broken meanwhile
   */
  async #requestUntilServed(
    request: BlockRequest,
    succeeded: (asked: Asked, result: BlockResult) => void,
  ): Promise<BlockResult | undefined> {
    const { world, conductor } = this.options;
    for (;;) {
      await this.#serveActive();
      if (world.violation !== undefined) return undefined;
      const host = conductor.current;
      const result = await this.#request(host, request, succeeded);
      if (result?.error === undefined || host.state === 'active') return result;
    }
  }

  async #request(
    host: DaemonHost,
    request: BlockRequest,
    succeeded: (asked: Asked, result: BlockResult) => void,
  ): Promise<BlockResult | undefined> {
    const { world, model } = this.options;
    const answer: { result?: BlockResult } = {};
    world.schedule(0, () => {
      host.process.deliver(() => {
        const asked = model.submitOther(host.attachmentId);
        host.submit(request, (_request, result) => {
          if (result.error === undefined) succeeded(asked, result);
          answer.result = result;
        });
      });
    });
    const isAnswered = await world.runUntil(() => answer.result !== undefined, RECOVERY_MS_MAX);
    if (!isAnswered) world.broken('liveness', `a last ${request.kind} is not answered`);
    return world.violation === undefined ? answer.result : undefined;
  }
}
