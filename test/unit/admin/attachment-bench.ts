/**
 * The stories around a pretend node: everything real from the attachments down to the volume, with
 * state and replay logs in a folder of the test's.
 */
import fs from 'node:fs';
import path from 'node:path';
import bunyan from 'bunyan';
import { DeviceKeeper } from '#daemon/admin/device-keeper.js';
import { AttachmentFile } from '#daemon/admin/attachment-file.js';
import { Attachments } from '#daemon/admin/attachments.js';
import type { AttachmentOpener } from '#daemon/admin/opened-volume.js';
import { VolumeOpener } from '#daemon/admin/volume-opener.js';
import { submitAsync, type PacedBlockDevice } from '#daemon/block/block-device.js';
import { writeRequest } from '#daemon/block/block-request.js';
import { readDaemonConfig, type DaemonConfig } from '#daemon/config/daemon-config.js';
import { DeviceNodes } from '#daemon/frontend/device-node.js';
import { ExportTable, type ExportClient } from '#daemon/frontend/export-table.js';
import { SYSTEM_CLOCK } from '#daemon/runtime/clock.js';
import { StoragePool } from '#daemon/transport/storage-pool.js';
import type { VolumeThread } from '#daemon/workers/volume-thread.js';
import { VolumeThreads } from '#daemon/workers/volume-threads.js';
import { attachRequest } from '#test/support/attach-request.js';
import { PretendKernel } from '#test/support/pretend-kernel.js';
import { PretendNode } from '#test/support/pretend-node.js';
import { pretendWorker } from '#test/support/pretend-worker.js';

export const ATTACH_V1 = attachRequest('v1');

/** The volume of the same name at another node. */
export const ATTACH_OTHER = { ...ATTACH_V1, node: 'pretend:2', exportName: 'other' };

/** What a detach waits for a node that is away: long enough for one that is there. */
const DRAIN_TIMEOUT_MS = 200;

export interface LogRecord {
  readonly event: string;
  readonly msg: string;
  readonly level: number;
}

export class AttachmentBench {
  /** Where volumes live: in two workers, or in this thread. test/unit/workers has them there. */
  static hasWorkers = false;
  readonly node = new PretendNode();
  /** Of the volume of the same name at pretend:2. */
  readonly otherNode = new PretendNode();
  readonly log: LogRecord[] = [];
  /** Stands for / where devices are looked for. */
  readonly machine: string;
  readonly kernel: PretendKernel;
  daemonId = 'daemon-1';
  isPermitted = true;
  exports!: ExportTable;
  attachments!: Attachments;

  constructor(readonly folder: string) {
    fs.mkdirSync(folder);
    this.machine = path.join(folder, 'machine');
    this.kernel = new PretendKernel(this.machine);
    this.otherNode.volumeId = 'volume-2';
    this.start();
  }

  /** As a daemon begins, but for `restore`. What ran before must have been stopped. */
  start(): Attachments {
    const config = readDaemonConfig({
      file: undefined,
      environment: {},
      flags: {
        state_directory: this.folder,
        runtime_directory: path.join(this.folder, 'run'),
      },
    });
    const logger = bunyan.createLogger({
      name: 'test',
      streams: [
        {
          type: 'raw',
          stream: { write: (record: LogRecord) => this.log.push(record) } as never,
        },
      ],
    });
    const pool = new StoragePool((address) =>
      address === 'pretend:1' ? this.node : this.otherNode,
    );
    this.exports = new ExportTable();
    const devices = new DeviceKeeper({
      kernel: this.kernel,
      nodes: new DeviceNodes(SYSTEM_CLOCK, this.machine),
      config,
      daemonId: this.daemonId,
      isPermitted: () => this.isPermitted,
      clock: SYSTEM_CLOCK,
      logger,
    });
    this.attachments = new Attachments({
      file: new AttachmentFile(this.folder),
      opener: this.#opener(config, pool, logger),
      exports: this.exports,
      devices,
      logger,
      defaultNode: 'pretend:1',
      drainTimeoutMs: DRAIN_TIMEOUT_MS,
      urisOf: (exportName) => [`nbd://x/${exportName}`],
      clock: SYSTEM_CLOCK,
      wallClock: () => 5,
    });
    return this.attachments;
  }

  #opener(config: DaemonConfig, pool: StoragePool, logger: bunyan): AttachmentOpener {
    const opener = new VolumeOpener(config, pool, logger);
    if (!AttachmentBench.hasWorkers) return opener;
    const worker = (number: number): VolumeThread => pretendWorker(number, config, pool, logger);
    return new VolumeThreads([worker(1), worker(2)], opener);
  }

  get stateFile(): string {
    return path.join(this.folder, 'attachments.json');
  }

  /** From now on the state directory takes no new file; as on a full disk, but also for root. */
  breakStateDirectory(): void {
    fs.mkdirSync(`${this.stateFile}.new`);
  }

  mendStateDirectory(): void {
    fs.rmdirSync(`${this.stateFile}.new`);
  }

  /** Export names as they are on disk. */
  recorded(): string[] {
    return new AttachmentFile(this.folder).read().map(({ exportName }) => exportName);
  }

  replayFolders(): string[] {
    const folder = path.join(this.folder, 'run/replay');
    return fs.existsSync(folder) ? fs.readdirSync(folder) : [];
  }

  device(exportName = 'v1'): PacedBlockDevice {
    const entry = this.exports.find(exportName);
    if (entry === undefined) throw new Error(`no export ${exportName}`);
    return entry.device;
  }

  /** Writes 512 bytes of one value at the beginning, and waits for the answer. */
  async write(value: number, exportName = 'v1'): Promise<void> {
    await submitAsync(this.device(exportName), writeRequest(0, Buffer.alloc(512, value)));
  }

  events(): string[] {
    return this.log.map(({ event }) => event);
  }
}

/** An NBD connection, as far as exports know it: it stops when its answers are there. */
export class PretendClient implements ExportClient {
  stops = 0;
  wasDestroyed = false;
  #stopped: (() => void) | undefined;
  readonly #whenStopped = new Promise<void>((resolve) => {
    this.#stopped = resolve;
  });

  constructor(
    exports: ExportTable,
    exportName = 'v1',
    readonly isWaiting = false,
  ) {
    exports.register(exportName, this);
  }

  stop(): Promise<void> {
    this.stops += 1;
    if (!this.isWaiting) this.#stopped?.();
    return this.#whenStopped;
  }

  destroy(): void {
    this.wasDestroyed = true;
    this.#stopped?.();
  }
}
