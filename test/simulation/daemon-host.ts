/**
 * One attachment of the volume on one daemon's machine, over all lives of its daemon: the replay log stays
 * when the process dies, and the next process opens it as volume-opener.ts does. The volume is the product's.
 */
import path from 'node:path';
import type { BlockCompletion } from '#daemon/block/block-device.js';
import type { BlockRequest } from '#daemon/block/block-request.js';
import { ReplayLog } from '#daemon/volume/replay-log.js';
import { Volume } from '#daemon/volume/volume.js';
import type { VolumeState } from '#daemon/volume/volume-state.js';
import type { StorageClient } from '#daemon/transport/storage-client.js';
import { Path } from './network.js';
import { watchLeases } from './daemon-watch.js';
import type { HistoryModel } from './history-model.js';
import type { HistorySettings } from './history-settings.js';
import type { PlantedBug } from './planted-bug.js';
import { SimulatedClient } from './simulated-client.js';
import { SimulatedProcess } from './simulated-process.js';
import { type StorageMachine, VOLUME_ID, VOLUME_NAME } from './storage-machine.js';
import { SurvivingLog } from './surviving-log.js';
import type { SeededRandom } from './seeded-random.js';
import type { WireForm } from './wire-form.js';
import type { World } from './world.js';

export interface DaemonHostOptions {
  readonly world: World;
  readonly random: SeededRandom;
  readonly model: HistoryModel;
  readonly machine: StorageMachine;
  readonly settings: HistorySettings;
  readonly wireForm: WireForm;
  readonly attachmentId: string;
  /** Folder for replay logs. */
  readonly folder: string;
  readonly takeOver: boolean;
  readonly bug: PlantedBug;
  readonly onState: (host: DaemonHost, state: VolumeState) => void;
}

export class DaemonHost {
  readonly path = new Path();
  #process: SimulatedProcess;
  #volume: Volume | undefined;
  #log: SurvivingLog | undefined;
  #lives = 0;
  /** The replay log is removed: the attachment is over. */
  #isDetached = false;

  constructor(readonly options: DaemonHostOptions) {
    this.#process = new SimulatedProcess(options.world, `daemon ${this.attachmentId}`);
    this.#process.kill();
  }

  get attachmentId(): string {
    return this.options.attachmentId;
  }

  get process(): SimulatedProcess {
    return this.#process;
  }

  get isAlive(): boolean {
    return this.#process.isAlive;
  }

  get isDetached(): boolean {
    return this.#isDetached;
  }

  /** Undefined while the daemon is dead. */
  get volume(): Volume | undefined {
    return this.isAlive ? this.#volume : undefined;
  }

  get state(): VolumeState['name'] | 'dead' {
    return this.volume?.state.name ?? 'dead';
  }

  start(): void {
    if (this.isAlive || this.#isDetached) return;
    const { world, settings, random, bug } = this.options;
    this.#lives += 1;
    const process = new SimulatedProcess(world, `daemon ${this.attachmentId}.${this.#lives}`);
    this.#process = process;
    const { replayLog, expectedGeneration } = this.#openLog();
    const client = watchLeases(this.#newClient(process), (generation) => {
      this.options.model.leaseTold(this.attachmentId, generation);
    });
    const volume = new Volume({
      link: {
        client: bug.wrapClient(client),
        volumeName: VOLUME_NAME,
        volumeId: VOLUME_ID,
        attachmentId: this.attachmentId,
        description: `daemon ${this.attachmentId}`,
        readOnly: false,
        takeOver: this.options.takeOver && this.#lives === 1,
        expectedGeneration,
        checksum: settings.checksum,
        clock: process.clock,
        random: () => random.next(),
      },
      limits: { queueDepth: settings.queueDepth, bytesMax: settings.inFlightBytesMax },
      replayLog,
      writeCache: settings.writeCache,
      readAheadBytes: settings.readAheadBytes,
      ioHoldTimeoutMs: settings.ioHoldTimeoutMs,
      clock: process.clock,
      defer: (callback) => {
        process.defer(callback);
      },
      onState: (state) => {
        const detail = 'detail' in state ? state.detail : '';
        world.note(`${process.name}: ${state.name} ${detail}`);
        this.options.onState(this, state);
      },
      onFacts: () => undefined,
    });
    this.#volume = volume;
    // A turn of its own, like everything that happens to the process.
    process.defer(() => {
      volume.start().catch((error: unknown) => {
        world.note(`${process.name}: first try: ${String(error)}`);
      });
    });
  }

  /** SIGKILL. */
  kill(): void {
    if (!this.isAlive) return;
    const { world, model, random } = this.options;
    world.note(`${this.#process.name} dies`);
    this.#countVolume();
    this.#process.kill();
    this.#log?.die(random, this.options.bug.tornCountsAsWhole);
    model.daemonDied(this.attachmentId);
  }

  /** The attachment is over: its replay log is given up, its lease released if the node is there. */
  async detach(): Promise<void> {
    const volume = this.volume;
    this.#isDetached = true;
    if (volume === undefined) return;
    await volume.close();
    this.#log?.close({ remove: true });
    await volume.release().catch(() => undefined);
    this.#countVolume();
    this.#process.kill();
  }

  /** For a daemon that is dead and never comes back, and at the end of the history. */
  end(): void {
    if (this.isAlive && !this.#isDetached) this.kill();
    this.#isDetached = true;
  }

  setLogFull(isFull: boolean): void {
    if (this.#log !== undefined) this.#log.isFull = isFull;
  }

  submit(request: BlockRequest, complete: BlockCompletion<BlockRequest>): void {
    this.volume?.submit(request, complete);
  }

  #openLog(): { replayLog: ReplayLog; expectedGeneration: number } {
    const { world, settings, bug } = this.options;
    const owner = { volumeId: VOLUME_ID, attachmentId: this.attachmentId, bootId: 'boot 1' };
    const { log, records, identity } = SurvivingLog.open(
      path.join(this.options.folder, this.attachmentId),
      owner,
      world,
    );
    this.#log = log;
    const limits = { bytesMax: settings.replayBytesMax, entriesMax: settings.replayEntriesMax };
    const replayLog = new ReplayLog(bug.wrapStore(log), limits, records);
    if (replayLog.count > 0) world.count('replay log: found after a death');
    return {
      replayLog,
      expectedGeneration: replayLog.count > 0 ? bug.expectedGeneration(identity.generation) : 0,
    };
  }

  #newClient(process: SimulatedProcess): StorageClient {
    const { machine, random, settings, wireForm } = this.options;
    return new SimulatedClient({
      process,
      connect: () => machine.connect(process, this.path),
      callTimeoutMs: settings.callTimeoutMs,
      sessionTimes: settings.sessionTimes,
      wireForm,
      verifierOfEngine: (verifier) => machine.verifierOfEngine(verifier),
      wantsNewConnection: () => random.chance(settings.newConnectionChance),
    });
  }

  #countVolume(): void {
    const counters = this.#volume?.counters;
    if (counters === undefined) return;
    this.options.world.count('requests replayed from the log', counters.requestsReplayed);
    this.options.world.count('sessions lost', counters.reconnects);
  }
}
