/**
 * The node's catalog with one volume on the simulated disk. Its record is durable on the machine, and
 * becomes so in a moment of its own: a death before that moment leaves the old record. Devices are shared
 * and turns are taken as in the product's catalog, by the same code.
 */
import { StorageError } from '#daemon/rpc/storage-error.js';
import type { BackendVolume } from '#daemon/storage-node/backend/backend.js';
import type { Catalog } from '#daemon/storage-node/catalog.js';
import { OpenDevices } from '#daemon/storage-node/open-devices.js';
import type { VolumeRecord } from '#daemon/storage-node/volume-record.js';
import { VolumeTurns } from '#daemon/storage-node/volume-turns.js';
import type { SeededRandom } from './seeded-random.js';
import type { SimulatedProcess } from './simulated-process.js';

/** What the machine keeps when the node's process dies. */
export interface DurableRecord {
  record: VolumeRecord;
}

const RECORD_WRITE_MS = 8;
const OPEN_MS = 3;

export interface CatalogOptions {
  readonly process: SimulatedProcess;
  readonly random: SeededRandom;
  readonly durable: DurableRecord;
  readonly openDevice: () => BackendVolume;
  /** The record that requests are checked against has changed. */
  readonly leaseMoved: (record: VolumeRecord) => void;
}

export class SimulatedCatalog implements Catalog {
  readonly nodeId = 'simulated-node';
  readonly backends = ['file'];
  readonly #devices = new OpenDevices();
  readonly #turns = new VolumeTurns();
  #record: VolumeRecord;

  constructor(readonly options: CatalogOptions) {
    this.#record = options.durable.record;
  }

  list(): VolumeRecord[] {
    return [this.#record];
  }

  byName(name: string): VolumeRecord | undefined {
    return name === this.#record.name ? this.#record : undefined;
  }

  byId(volumeId: string): VolumeRecord | undefined {
    return volumeId === this.#record.volumeId ? this.#record : undefined;
  }

  create = unused;
  resize = unused;
  delete = unused;

  setLease(
    volumeId: string,
    lease: Pick<VolumeRecord, 'generation' | 'holder'>,
  ): Promise<VolumeRecord> {
    const { durable } = this.options;
    return this.#turns.run(volumeId, async () => {
      const record = { ...this.#record, ...lease };
      await this.#wait(RECORD_WRITE_MS);
      durable.record = record;
      await this.#wait(RECORD_WRITE_MS / 4);
      this.#record = record;
      this.options.leaseMoved(record);
      return record;
    });
  }

  async open(volumeId: string): Promise<BackendVolume> {
    return await this.#devices.take(volumeId, async () => {
      await this.#wait(OPEN_MS);
      return this.options.openDevice();
    });
  }

  release(volumeId: string): Promise<void> {
    return this.#devices.give(volumeId);
  }

  async allocatedBytes(): Promise<number> {
    await this.#wait(OPEN_MS);
    return 0;
  }

  space(): Promise<{ freeBytes: number; totalBytes: number }> {
    return Promise.resolve({ freeBytes: 0, totalBytes: 0 });
  }

  close(): Promise<void> {
    return this.#devices.closeAll();
  }

  #wait(longestMs: number): Promise<void> {
    const { process, random } = this.options;
    return new Promise((resolve) => {
      process.clock.setTimer(random.next() * longestMs, resolve);
    });
  }
}

function unused(): Promise<never> {
  return Promise.reject(new StorageError('internal', 'not part of the simulation'));
}
