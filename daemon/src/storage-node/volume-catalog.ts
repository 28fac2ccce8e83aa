/**
 * The catalog on disk. One folder per volume; its record is replaced as a whole, a new volume is built
 * aside and appears by one rename, a deleted one disappears by one rename. So a crash at any moment
 * leaves each volume as it was before or after.
 */
import { randomUUID } from 'node:crypto';
import fs from 'node:fs/promises';
import path from 'node:path';
import { BlockError } from '../block/block-error.js';
import { StorageError } from '../rpc/storage-error.js';
import { syncFolder } from './atomic-file.js';
import type { BackendVolume, StorageBackend } from './backend/backend.js';
import type { Catalog, NewVolume } from './catalog.js';
import type { DataDirectory } from './data-directory.js';
import { OpenDevices } from './open-devices.js';
import { checkNewVolume, checkSize } from './volume-name.js';
import {
  readVolumeRecord,
  replaceVolumeRecord,
  writeNewVolumeRecord,
} from './volume-record-file.js';
import type { VolumeRecord } from './volume-record.js';

export interface CatalogFindings {
  /** Volumes whose creation or deletion a crash had interrupted, now removed. */
  readonly removed: readonly string[];
  /** Sentences about volumes that cannot be served; their folders are left as they are. */
  readonly damaged: readonly string[];
}

export class VolumeCatalog implements Catalog {
  readonly #records = new Map<string, VolumeRecord>();
  readonly #devices = new OpenDevices();
  /** Work on one volume at a time; names are reserved while they are created. */
  readonly #queues = new Map<string, Promise<unknown>>();

  private constructor(
    readonly directory: DataDirectory,
    readonly engines: readonly StorageBackend[],
  ) {}

  static async load(
    directory: DataDirectory,
    engines: readonly StorageBackend[],
  ): Promise<{ catalog: VolumeCatalog; findings: CatalogFindings }> {
    const catalog = new VolumeCatalog(directory, engines);
    const removed: string[] = [];
    for (const place of [directory.creating, directory.deleting]) {
      for (const name of await fs.readdir(place)) {
        await fs.rm(path.join(place, name), { recursive: true, force: true });
        removed.push(name);
      }
    }
    const damaged: string[] = [];
    for (const volumeId of await fs.readdir(directory.volumes)) {
      const problem = await catalog.#loadVolume(volumeId);
      if (problem !== undefined) damaged.push(problem);
    }
    return { catalog, findings: { removed, damaged } };
  }

  get nodeId(): string {
    return this.directory.nodeId;
  }

  get backends(): readonly string[] {
    return this.engines.map(({ name }) => name);
  }

  list(): VolumeRecord[] {
    return [...this.#records.values()].sort((left, right) => (left.name < right.name ? -1 : 1));
  }

  byName(name: string): VolumeRecord | undefined {
    for (const record of this.#records.values()) {
      if (record.name === name) return record;
    }
    return undefined;
  }

  byId(volumeId: string): VolumeRecord | undefined {
    return this.#records.get(volumeId);
  }

  create(volume: NewVolume): Promise<{ record: VolumeRecord; existed: boolean }> {
    return this.#oneAtATime(`name:${volume.name}`, async () => {
      checkNewVolume(volume, this.backends);
      const there = this.byName(volume.name);
      if (there !== undefined) return { record: sameOrRefused(there, volume), existed: true };
      const record: VolumeRecord = {
        volumeId: randomUUID(),
        ...volume,
        createdUnixMs: Date.now(),
        generation: 0,
        holder: undefined,
      };
      await this.#build(record);
      this.#records.set(record.volumeId, record);
      return { record, existed: false };
    });
  }

  setLease(
    volumeId: string,
    lease: Pick<VolumeRecord, 'generation' | 'holder'>,
  ): Promise<VolumeRecord> {
    return this.#oneAtATime(volumeId, () =>
      this.#replace({ ...this.#require(volumeId), ...lease }),
    );
  }

  resize(volumeId: string, sizeBytes: number): Promise<VolumeRecord> {
    return this.#oneAtATime(volumeId, async () => {
      const record = this.#require(volumeId);
      checkSize(sizeBytes, record.blockBytes);
      const device = await this.open(volumeId);
      try {
        // Whichever step a crash leaves out, the record's size is the smaller one: open cuts the rest off.
        if (sizeBytes > record.sizeBytes) await resizeDevice(device, record, sizeBytes);
        const resized = await this.#replace({ ...record, sizeBytes });
        if (sizeBytes < record.sizeBytes) await resizeDevice(device, record, sizeBytes);
        return resized;
      } finally {
        await this.release(volumeId);
      }
    });
  }

  delete(volumeId: string): Promise<void> {
    return this.#oneAtATime(volumeId, async () => {
      const record = this.#require(volumeId);
      if (this.#devices.has(volumeId))
        throw new StorageError('refused', `volume ${record.name} is open`);
      if (!isKeptOnDisk(record)) {
        this.#records.delete(volumeId);
        await this.#engine(record).delete(record);
        return;
      }
      const gone = path.join(this.directory.deleting, volumeId);
      await fs.rename(this.#folder(volumeId), gone);
      this.#records.delete(volumeId);
      await syncFolder(this.directory.volumes);
      await this.#engine(record).delete(record);
      await fs.rm(gone, { recursive: true, force: true });
    });
  }

  async open(volumeId: string): Promise<BackendVolume> {
    const record = this.#require(volumeId);
    try {
      return await this.#devices.take(volumeId, () =>
        this.#engine(record).open(this.#require(volumeId), this.#folder(volumeId)),
      );
    } catch (error) {
      const { reason } = BlockError.from(error);
      throw new StorageError('internal', `volume ${record.name} cannot be opened: ${reason}`, {
        cause: error,
      });
    }
  }

  release(volumeId: string): Promise<void> {
    return this.#devices.give(volumeId);
  }

  async allocatedBytes(volumeId: string): Promise<number> {
    const record = this.#records.get(volumeId);
    return record === undefined
      ? 0
      : this.#engine(record).allocatedBytes(record, this.#folder(volumeId));
  }

  async space(): Promise<{ freeBytes: number; totalBytes: number }> {
    const { bavail, blocks, bsize } = await fs.statfs(this.directory.folder);
    return { freeBytes: bavail * bsize, totalBytes: blocks * bsize };
  }

  async close(): Promise<void> {
    await this.#devices.closeAll();
    this.directory.unlock();
  }

  async #loadVolume(volumeId: string): Promise<string | undefined> {
    try {
      const record = await readVolumeRecord(this.#folder(volumeId));
      if (record.volumeId !== volumeId)
        return `${this.#folder(volumeId)} holds the record of volume ${record.volumeId}; the volume is not served`;
      const twin = this.byName(record.name);
      if (twin !== undefined)
        return `volumes ${volumeId} and ${twin.volumeId} are both named ${record.name}; the first is not served`;
      this.#engine(record);
      this.#records.set(volumeId, record);
      return undefined;
    } catch (error) {
      return `${(error as Error).message}; the volume is not served, nothing was changed`;
    }
  }

  async #build(record: VolumeRecord): Promise<void> {
    const engine = this.#engine(record);
    if (!isKeptOnDisk(record)) {
      await engine.create(record, '');
      return;
    }
    const building = path.join(this.directory.creating, record.volumeId);
    try {
      await fs.mkdir(building, { mode: 0o700 });
      await engine.create(record, building);
      await writeNewVolumeRecord(building, record);
      await syncFolder(building);
      await fs.rename(building, this.#folder(record.volumeId));
      await syncFolder(this.directory.volumes);
    } catch (error) {
      await fs.rm(building, { recursive: true, force: true });
      throw toStorageError(
        error,
        `volume ${record.name} cannot be created with ${record.sizeBytes} bytes`,
      );
    }
  }

  async #replace(record: VolumeRecord): Promise<VolumeRecord> {
    if (isKeptOnDisk(record)) await replaceVolumeRecord(this.#folder(record.volumeId), record);
    this.#records.set(record.volumeId, record);
    return record;
  }

  #require(volumeId: string): VolumeRecord {
    const record = this.#records.get(volumeId);
    if (record === undefined)
      throw new StorageError('not-found', `no volume has the id ${volumeId}`);
    return record;
  }

  #engine(record: VolumeRecord): StorageBackend {
    const engine = this.engines.find(({ name }) => name === record.backend);
    if (engine === undefined)
      throw new Error(
        `volume ${record.name} needs backend "${record.backend}", which this node has not`,
      );
    return engine;
  }

  #folder(volumeId: string): string {
    return path.join(this.directory.volumes, volumeId);
  }

  async #oneAtATime<Value>(key: string, work: () => Promise<Value>): Promise<Value> {
    const before = this.#queues.get(key) ?? Promise.resolve();
    const mine = before.then(work, work);
    this.#queues.set(key, mine);
    try {
      return await mine;
    } finally {
      if (this.#queues.get(key) === mine) this.#queues.delete(key);
    }
  }
}

/** Memory volumes leave no trace: a record without data would be a lie after a restart. */
function isKeptOnDisk(record: VolumeRecord): boolean {
  return record.backend !== 'memory';
}

function sameOrRefused(there: VolumeRecord, wanted: NewVolume): VolumeRecord {
  if (
    there.sizeBytes === wanted.sizeBytes &&
    there.blockBytes === wanted.blockBytes &&
    there.backend === wanted.backend
  )
    return there;
  throw new StorageError(
    'exists',
    `volume ${there.name} exists already, with ${there.sizeBytes} bytes, blocks of ${there.blockBytes} and backend ${there.backend}; choose another name, or resize it`,
  );
}

async function resizeDevice(
  device: BackendVolume,
  record: VolumeRecord,
  sizeBytes: number,
): Promise<void> {
  try {
    await device.resize(sizeBytes);
  } catch (error) {
    throw toStorageError(error, `volume ${record.name} cannot have ${sizeBytes} bytes`);
  }
}

function toStorageError(error: unknown, what: string): StorageError {
  const { errno, reason } = BlockError.from(error);
  return new StorageError(errno === 'ENOSPC' ? 'exhausted' : 'internal', `${what}: ${reason}`, {
    cause: error,
  });
}
