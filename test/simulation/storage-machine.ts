/**
 * The machine on which the storage node runs: its disk and the volume's record outlive the node's process,
 * the page cache outlives the process but not the power. The node itself is the product's StorageService.
 */
import { StorageService } from '#daemon/storage-node/storage-service.js';
import { StorageError } from '#daemon/rpc/storage-error.js';
import { changesContent, flushRequest } from '#daemon/block/block-request.js';
import { submitAsync } from '#daemon/block/block-device.js';
import type { BackendVolume } from '#daemon/storage-node/backend/backend.js';
import type { VolumeRecord } from '#daemon/storage-node/volume-record.js';
import { DiskWeather } from './disk-weather.js';
import type { HistoryModel } from './history-model.js';
import { Connection, type Latency, type Path } from './network.js';
import { SimulatedCatalog, type DurableRecord } from './simulated-catalog.js';
import { SimulatedDisk } from './simulated-disk.js';
import { SimulatedProcess } from './simulated-process.js';
import { SimulatedVolume } from './simulated-volume.js';
import type { SeededRandom } from './seeded-random.js';
import type { World } from './world.js';

export const VOLUME_NAME = 'disk0';
export const VOLUME_ID = 'volume-0';

export interface MachineOptions {
  readonly world: World;
  readonly random: SeededRandom;
  readonly model: HistoryModel;
  readonly blockCount: number;
  readonly blockBytes: number;
  readonly leaseTimeoutMs: number;
  readonly sessionLimits: { requestsInFlightMax: number; bytesInFlightMax: number };
  readonly latency: () => Latency;
  /** Whether this attachment was told to take the volume over. */
  readonly mayTakeOver: (attachmentId: string) => boolean;
  /** What a test puts around the backend to plant a bug. */
  readonly wrapDevice: (device: BackendVolume) => BackendVolume;
}

export class StorageMachine {
  readonly disk: SimulatedDisk;
  readonly weather: DiskWeather;
  readonly durable: DurableRecord;
  #process: SimulatedProcess;
  #service: StorageService | undefined;
  #hasPower = true;
  #runs = 0;
  #connectionCount = 0;
  #engineRuns = 0;
  /** Milliseconds since 1970 when the history began. */
  #timeOfDayMs = 1_700_000_000_000;
  readonly #connections = new Set<Connection>();
  /** Of before the power went; their clients have not heard of it. */
  readonly #unaware = new Set<Connection>();

  constructor(readonly options: MachineOptions) {
    const { world, random, model, blockCount, blockBytes } = options;
    this.disk = new SimulatedDisk(blockCount, blockBytes, random.fork('disk'));
    this.weather = new DiskWeather(world, random.fork('weather'), {
      cacheLost: (why) => {
        model.cacheLost(why);
      },
    });
    const record: VolumeRecord = {
      volumeId: VOLUME_ID,
      name: VOLUME_NAME,
      sizeBytes: blockCount * blockBytes,
      blockBytes,
      backend: 'file',
      createdUnixMs: 0,
      generation: 0,
      holder: undefined,
    };
    this.durable = { record };
    this.#process = new SimulatedProcess(world, 'node 0');
    this.#process.kill();
  }

  get process(): SimulatedProcess {
    return this.#process;
  }

  get service(): StorageService | undefined {
    return this.#service;
  }

  get isRunning(): boolean {
    return this.#process.isAlive;
  }

  start(): void {
    if (this.isRunning) return;
    const { world, random, leaseTimeoutMs, sessionLimits, model } = this.options;
    if (this.weather.isSyncing) {
      world.schedule(5, () => {
        this.start();
      });
      return;
    }
    this.#hasPower = true;
    // The machine answers what it does not know any more.
    for (const connection of this.#unaware) connection.resetByNode();
    this.#unaware.clear();
    this.#runs += 1;
    // Nobody has the volume open: what a failed sync left in the cache may be dropped.
    this.weather.dropLost(this.disk);
    const process = new SimulatedProcess(world, `node ${this.#runs}`);
    this.#process = process;
    const catalog = new SimulatedCatalog({
      process,
      random: random.fork(`catalog ${this.#runs}`),
      durable: this.durable,
      openDevice: () => this.#openDevice(process),
      leaseMoved: ({ generation, holder }) => {
        this.#checkGrant(holder?.attachmentId);
        model.leaseMoved(holder?.attachmentId, generation);
      },
    });
    this.#service = new StorageService({
      catalog,
      clock: process.clock,
      wallClock: () => Math.round(world.nowMs + this.#timeOfDayMs),
      leaseTimeoutMs,
      software: 'simulated',
      writeVerifier: BigInt(this.#runs),
      sessionsMax: 1000,
      sessionLimits,
      log: {
        info: (_fields, message) => {
          world.note(`${process.name}: ${message}`);
        },
        warn: (_fields, message) => {
          world.note(`${process.name}: ${message}`);
        },
      },
    });
    // A lease may have become durable in the last run without anybody having heard of it.
    const { generation, holder } = this.durable.record;
    model.leaseMoved(holder?.attachmentId, generation);
    world.note(`${process.name} runs`);
  }

  /** SIGKILL: the page cache stays. */
  killProcess(): void {
    if (!this.isRunning) return;
    this.options.world.count('node: process killed');
    this.#end();
    for (const connection of this.#connections) connection.resetByNode();
    this.#connections.clear();
  }

  /** The power goes: what was not synced may be lost, and nobody says so on the connections. */
  cutPower(): void {
    const { world, model, random } = this.options;
    world.count('node: power cut');
    if (this.isRunning) this.#end();
    this.#hasPower = false;
    const { lost, kept } = this.disk.loseCache();
    this.weather.powerCut();
    world.count('blocks that fell back to an older state', lost);
    world.count('blocks that kept an unsynced state', kept);
    world.note(`node: power cut, ${lost} blocks fell back, ${kept} kept an unsynced state`);
    model.cacheLost('a power cut');
    for (const connection of this.#connections) {
      if (random.chance(0.5)) connection.resetByNode();
      else this.#unaware.add(connection);
    }
    this.#connections.clear();
  }

  /**
   * What a gateway's engine does that loses its cache behind open sessions: the node's next replies to flush
   * and FUA say so by another write verifier (storage.proto, contract 4).
   */
  restartEngine(): void {
    if (!this.isRunning) return;
    this.options.world.count('node: engine restarted behind its sessions');
    this.#engineRuns += 1;
    this.disk.loseCache();
    this.options.model.engineRestarted();
  }

  /** The verifier as the engine says it, for one that the node said. */
  verifierOfEngine(verifier: bigint): bigint {
    return verifier === 0n ? 0n : verifier + (BigInt(this.#engineRuns) << 32n);
  }

  /** As NodeServer.stop does: no new session, answers for what was received, a flush, the end. */
  async stopGracefully(): Promise<void> {
    const service = this.#service;
    if (service === undefined || !this.isRunning) return;
    this.options.world.count('node: stopped in order');
    const reason = new StorageError('unavailable', 'the node is stopping');
    service.refuseSessions(reason);
    const { catalog } = service.options;
    const held = await catalog.open(VOLUME_ID);
    const sessions = service.sessions.all();
    for (const session of sessions) session.drain(reason);
    await Promise.all(sessions.map((session) => session.whenGone()));
    await submitAsync(held, flushRequest()).catch(() => undefined);
    await catalog.release(VOLUME_ID);
    this.killProcess();
  }

  /** A new connection from a daemon; refused if nothing runs here, silent if there is no power. */
  connect(client: SimulatedProcess, path: Path): Connection {
    const { world, random, latency } = this.options;
    this.#connectionCount += 1;
    const connection = new Connection({
      world,
      random: random.fork(`connection ${this.#connectionCount}`),
      path,
      latency,
      client,
      node: this.#process,
      service: this.isRunning ? this.#service : undefined,
    });
    if (this.isRunning) this.#connections.add(connection);
    else if (this.#hasPower) connection.resetByNode();
    else this.#unaware.add(connection);
    return connection;
  }

  setTimeOfDay(byMs: number): void {
    this.#timeOfDayMs += byMs;
  }

  /** Breaks every connection that is open now. */
  cutConnections(): void {
    for (const connection of this.#connections) connection.break();
    this.#connections.clear();
  }

  #end(): void {
    this.options.world.note(`${this.#process.name} dies`);
    this.#service = undefined;
    this.#process.kill();
  }

  /** Only who may take over gets the lease of a writer that is connected. */
  #checkGrant(holder: string | undefined): void {
    const { world, model, mayTakeOver } = this.options;
    const before = model.holder;
    if (before === undefined || holder === undefined || before === holder) return;
    if (mayTakeOver(holder) || this.#service?.sessions.isConnected(VOLUME_ID, before) !== true)
      return;
    world.broken('one writer', `${holder} got the lease of ${before}, which is connected`);
  }

  #openDevice(process: SimulatedProcess): BackendVolume {
    const { model, wrapDevice } = this.options;
    const device = new SimulatedVolume(this.disk, process, this.weather, {
      submitted: (request) => {
        if (changesContent(request.kind)) model.reachedBackend(request, 'submitted');
      },
      applied: (request) => {
        if (changesContent(request.kind)) model.reachedBackend(request, 'applied');
      },
    });
    return wrapDevice(device);
  }
}
