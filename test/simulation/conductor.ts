/**
 * Who is attached where: the daemons of one history, which of them serves the clients, and what an operator
 * does when one of them cannot go on. Faults come from fault-injection.ts.
 */
import { isTakenOver, type VolumeState } from '#daemon/volume/volume-state.js';
import type { HistoryModel } from './history-model.js';
import type { HistoryPlan, PlannedRequest } from './history-plan.js';
import { DaemonHost } from './daemon-host.js';
import type { PlantedBug } from './planted-bug.js';
import type { SeededRandom } from './seeded-random.js';
import type { StorageMachine } from './storage-machine.js';
import type { WireForm } from './wire-form.js';
import type { World } from './world.js';

export interface ConductorOptions {
  readonly world: World;
  readonly random: SeededRandom;
  readonly model: HistoryModel;
  readonly machine: StorageMachine;
  readonly plan: HistoryPlan;
  readonly wireForm: WireForm;
  readonly folder: string;
  readonly bug: PlantedBug;
  readonly onDeath: (host: DaemonHost) => void;
}

export class Conductor {
  readonly hosts: DaemonHost[] = [];
  #current: DaemonHost;
  /** Attached with the right to take the volume from whoever has it. */
  readonly #mayTakeOver = new Set<string>();

  constructor(readonly options: ConductorOptions) {
    this.#current = this.attach(false);
  }

  /** The daemon that has the volume, or had it last. */
  get current(): DaemonHost {
    return this.#current;
  }

  mayTakeOver(attachmentId: string): boolean {
    return this.#mayTakeOver.has(attachmentId);
  }

  /** Another daemon attaches the volume, with or without taking it over. */
  attach(takeOver: boolean): DaemonHost {
    const { world, random, model, machine, plan, wireForm, folder, bug } = this.options;
    const attachmentId = `a${this.hosts.length + 1}`;
    if (takeOver) this.#mayTakeOver.add(attachmentId);
    const host = new DaemonHost({
      world,
      random: random.fork(attachmentId),
      model,
      machine,
      settings: plan.settings,
      wireForm,
      attachmentId,
      folder,
      takeOver,
      bug,
      onState: (one, state) => {
        this.#onState(one, state);
      },
    });
    this.hosts.push(host);
    world.note(`${attachmentId} attaches${takeOver ? ' and takes the volume over' : ''}`);
    host.start();
    return host;
  }

  /** For one request: the daemon it goes to, or undefined while none takes requests. */
  target(request: PlannedRequest): DaemonHost | undefined {
    if (request.toFormer) {
      const former = this.hosts.find((host) => host !== this.#current && isServing(host));
      if (former !== undefined) {
        this.options.world.count('requests to a former writer');
        return former;
      }
    }
    const { state } = this.#current;
    return isServing(this.#current) || state === 'failing' ? this.#current : undefined;
  }

  kill(host: DaemonHost): void {
    if (!host.isAlive) return;
    this.options.world.count('daemon: killed');
    host.kill();
    this.options.onDeath(host);
  }

  /** The operator gives an attachment up, by force: what it could not flush is lost to it. */
  giveUp(host: DaemonHost): void {
    if (host.isDetached) return;
    this.options.world.note(`${host.attachmentId} is given up`);
    void host.detach();
    this.options.onDeath(host);
  }

  /** Detaches in order and attaches elsewhere. */
  async handOver(): Promise<void> {
    const host = this.#current;
    const { volume } = host;
    if (volume === undefined || host.state !== 'active') return;
    const { world } = this.options;
    try {
      await volume.drain(3_000);
    } catch (error) {
      world.note(`${host.attachmentId}: drain: ${String(error)}`);
      volume.resume();
      return;
    }
    world.count('detached in order');
    // What was taken over is nobody's to send any more.
    if (volume.unflushedBytes > 0 && !isTakenOver(volume.state))
      world.broken('drain', `${volume.unflushedBytes} bytes are left`);
    await host.detach();
    this.options.onDeath(host);
    this.#current = this.attach(false);
  }

  #onState(host: DaemonHost, state: VolumeState): void {
    const { world, model } = this.options;
    world.count(`volume: ${state.name}`);
    if (state.name === 'active') {
      model.sessionOpened(host.attachmentId);
      if (model.holder === host.attachmentId) this.#current = host;
      return;
    }
    if (state.name !== 'fenced') return;
    const { attachmentId } = host;
    const isAlone = model.holder === attachmentId && !model.hasLostLease(attachmentId);
    if (isAlone && !model.diskIsSuspect)
      world.broken('fencing needs a reason', `${attachmentId}: ${state.detail}`);
    const { process } = host;
    world.schedule(this.options.random.between(50, 3_000), () => {
      if (process !== host.process || !host.isAlive) return;
      // Its own log can still be sent again: attached anew it goes on. Another's volume cannot be had back.
      if (model.holder === attachmentId && !model.hasLostLease(attachmentId)) {
        this.kill(host);
        host.start();
      } else this.giveUp(host);
    });
  }

  /** Once nothing fails any more: sees to it that somebody serves the volume. Called from time to time. */
  restore(): void {
    const { machine, model } = this.options;
    machine.start();
    const holder = this.hosts.find((host) => host.attachmentId === model.holder);
    if (holder !== undefined && !holder.isDetached) this.#current = holder;
    if (this.#current.isDetached) {
      this.#current =
        this.hosts.find((host) => !host.isDetached && host.isAlive) ?? this.attach(true);
    }
    if (!this.#current.isAlive) this.#current.start();
  }
}

function isServing({ state, volume }: DaemonHost): boolean {
  return (state === 'active' || state === 'holding') && volume?.draining === false;
}
