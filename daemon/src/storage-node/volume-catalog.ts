/**
 * The catalog: which volumes there are, what may be done with them, and in which order. How they lie on
 * the disk is volume-folders.ts.
 */
import { randomUUID } from 'node:crypto';
import fs from 'node:fs/promises';
import { BlockError } from '../block/block-error.js';
import { StorageError } from '../rpc/storage-error.js';
import type { BackendVolume, StorageBackend } from './backend/backend.js';
import type { Catalog, NewVolume } from './catalog.js';
import type { DataDirectory } from './data-directory.js';
import { diskFailure } from './disk-failure.js';
import { OpenDevices } from './open-devices.js';
import { VolumeFolders } from './volume-folders.js';
import { checkNewVolume, checkSize } from './volume-name.js';
import type { VolumeRecord } from './volume-record.js';
import { resizeVolume } from './volume-resize.js';
import { VolumeTurns } from './volume-turns.js';

export interface CatalogFindings {
  /** Volumes whose creation or deletion a crash had interrupted, now removed. */
  readonly removed: readonly string[];
  /** Sentences about volumes that cannot be served; their folders are left as they are. */
  readonly damaged: readonly string[];
}

export class VolumeCatalog implements Catalog {
  readonly #records = new Map<string, VolumeRecord>();
  readonly #devices = new OpenDevices();
  readonly #folders: VolumeFolders;
  /** One change of a volume at a time. */
  readonly #turns = new VolumeTurns();
  /** The same for names, which are reserved while their volume is created. */
  readonly #nameTurns = new VolumeTurns();
  /** Changes under way. */
  readonly #changes = new Set<Promise<unknown>>();
  /** Set when the catalog takes no more changes. */
  #closed: Promise<void> | undefined;

  private constructor(
    readonly directory: DataDirectory,
    readonly engines: readonly StorageBackend[],
    readonly newVolumeId: (others: readonly string[]) => string,
  ) {
    this.#folders = new VolumeFolders(directory);
  }

  /** @param newVolumeId gets the ids that there are @returns one that there never was */
  static async load(
    directory: DataDirectory,
    engines: readonly StorageBackend[],
    newVolumeId: (others: readonly string[]) => string = () => randomUUID(),
  ): Promise<{ catalog: VolumeCatalog; findings: CatalogFindings }> {
    const catalog = new VolumeCatalog(directory, engines, newVolumeId);
    const removed = await catalog.#folders.removeLeftovers((record) => catalog.#forget(record));
    const { records, damaged } = await catalog.#folders.read();
    for (const record of records) {
      const problem = catalog.#whyNotServed(record);
      if (problem === undefined) catalog.#records.set(record.volumeId, record);
      else damaged.push(`${catalog.#folders.of(record.volumeId)}: ${problem}`);
    }
    const sentences = damaged.map(
      (problem) => `${problem}; the volume is not served, nothing was changed`,
    );
    return { catalog, findings: { removed, damaged: sentences } };
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
    return this.#inTurn(this.#nameTurns, volume.name, async () => {
      checkNewVolume(volume, this.backends);
      const there = this.byName(volume.name);
      if (there !== undefined) return { record: sameOrRefused(there, volume), existed: true };
      const record: VolumeRecord = {
        volumeId: this.newVolumeId([...this.#records.keys()]),
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
    return this.#inTurn(this.#turns, volumeId, () =>
      this.#replace({ ...this.#require(volumeId), ...lease }),
    );
  }

  resize(volumeId: string, sizeBytes: number): Promise<VolumeRecord> {
    return this.#inTurn(this.#turns, volumeId, async () => {
      const record = this.#require(volumeId);
      checkSize(sizeBytes, record.blockBytes);
      const device = await this.open(volumeId);
      try {
        return await resizeVolume(record, device, sizeBytes, (resized) => this.#replace(resized));
      } finally {
        await this.release(volumeId);
      }
    });
  }

  delete(volumeId: string): Promise<void> {
    return this.#inTurn(this.#turns, volumeId, async () => {
      const record = this.#require(volumeId);
      if (this.#devices.has(volumeId))
        throw new StorageError('refused', `volume ${record.name} is open`);
      if (!isKeptOnDisk(record)) {
        this.#records.delete(volumeId);
        await this.#engine(record).delete(record);
        return;
      }
      try {
        await this.#folders.remove(volumeId);
        this.#records.delete(volumeId);
        await this.#folders.discard(volumeId, () => this.#engine(record).delete(record));
      } catch (error) {
        throw diskFailure(error, `volume ${record.name} cannot be deleted completely`);
      }
    });
  }

  async open(volumeId: string): Promise<BackendVolume> {
    const record = this.#require(volumeId);
    this.#requireNotClosed();
    try {
      return await this.#devices.take(volumeId, () =>
        this.#engine(record).open(this.#require(volumeId), this.#folders.of(volumeId)),
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
    if (record === undefined) return 0;
    try {
      return await this.#engine(record).allocatedBytes(record, this.#folders.of(volumeId));
    } catch (error) {
      // Deleted meanwhile, or damaged, which opening it tells: a list of all volumes must not fail for it.
      if ((error as { code?: unknown }).code === 'ENOENT') return 0;
      throw diskFailure(error, `the space of volume ${record.name} cannot be told`);
    }
  }

  async space(): Promise<{ freeBytes: number; totalBytes: number }> {
    const { bavail, blocks, bsize } = await fs.statfs(this.directory.folder);
    return { freeBytes: bavail * bsize, totalBytes: blocks * bsize };
  }

  close(): Promise<void> {
    this.#closed ??= this.#end();
    return this.#closed;
  }

  async #end(): Promise<void> {
    try {
      await Promise.allSettled(this.#changes);
      await this.#devices.closeAll();
    } finally {
      this.directory.unlock();
    }
  }

  async #build(record: VolumeRecord): Promise<void> {
    const engine = this.#engine(record);
    try {
      if (isKeptOnDisk(record))
        await this.#folders.add(record, (folder) => engine.create(record, folder));
      else await engine.create(record, '');
    } catch (error) {
      throw diskFailure(
        error,
        `volume ${record.name} cannot be created with ${record.sizeBytes} bytes`,
      );
    }
  }

  async #replace(record: VolumeRecord): Promise<VolumeRecord> {
    try {
      if (isKeptOnDisk(record)) await this.#folders.replace(record);
    } catch (error) {
      throw diskFailure(error, `the record of volume ${record.name} cannot be written`);
    }
    this.#records.set(record.volumeId, record);
    return record;
  }

  /** A volume of which a crash left the deletion half done. */
  async #forget(record: VolumeRecord): Promise<void> {
    const engine = this.engines.find(({ name }) => name === record.backend);
    await engine?.delete(record);
  }

  #whyNotServed(record: VolumeRecord): string | undefined {
    const twin = this.byName(record.name);
    if (twin !== undefined) return `volume ${twin.volumeId} is named ${record.name} too`;
    try {
      // Its size decides where the data is cut off: no guessing.
      checkNewVolume(record, this.backends);
      return undefined;
    } catch (error) {
      return (error as Error).message;
    }
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

  #requireNotClosed(): void {
    if (this.#closed !== undefined) throw new StorageError('unavailable', 'the node is stopping');
  }

  async #inTurn<Value>(
    turns: VolumeTurns,
    key: string,
    work: () => Promise<Value>,
  ): Promise<Value> {
    this.#requireNotClosed();
    const change = turns.run(key, work);
    this.#changes.add(change);
    try {
      return await change;
    } finally {
      this.#changes.delete(change);
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
