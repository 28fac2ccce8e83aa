/**
 * Volumes as folders of the data directory. A new one is built aside and appears by one rename, a deleted
 * one disappears by one rename, a record is replaced as a whole: a crash at any moment leaves each volume
 * as it was before or after. Which of these is allowed when is the catalog's business.
 */
import fs from 'node:fs/promises';
import path from 'node:path';
import { syncFolder } from './atomic-file.js';
import type { DataDirectory } from './data-directory.js';
import {
  readVolumeRecord,
  replaceVolumeRecord,
  writeNewVolumeRecord,
} from './volume-record-file.js';
import type { VolumeRecord } from './volume-record.js';

export class VolumeFolders {
  constructor(readonly directory: DataDirectory) {}

  of(volumeId: string): string {
    return path.join(this.directory.volumes, volumeId);
  }

  /**
   * Removes what a crash left half made or half deleted.
   *
   * @param forget what remains to be done for a volume that was deleted
   * @returns the ids
   */
  async removeLeftovers(forget: (record: VolumeRecord) => Promise<void>): Promise<string[]> {
    const { creating, deleting } = this.directory;
    const removed: string[] = [];
    for (const place of [creating, deleting]) {
      for (const volumeId of await fs.readdir(place)) {
        const leftover = path.join(place, volumeId);
        if (place === deleting) {
          const record = await readVolumeRecord(leftover).catch(() => undefined);
          if (record !== undefined) await forget(record);
        }
        await fs.rm(leftover, { recursive: true, force: true });
        removed.push(volumeId);
      }
    }
    return removed;
  }

  /** @returns the records that can be read, and a sentence for each folder whose record cannot */
  async read(): Promise<{ records: VolumeRecord[]; damaged: string[] }> {
    const records: VolumeRecord[] = [];
    const damaged: string[] = [];
    for (const volumeId of await fs.readdir(this.directory.volumes)) {
      const folder = this.of(volumeId);
      try {
        const record = await readVolumeRecord(folder);
        if (record.volumeId === volumeId) records.push(record);
        else damaged.push(`${folder} holds the record of volume ${record.volumeId}`);
      } catch (error) {
        damaged.push((error as Error).message);
      }
    }
    return { records, damaged };
  }

  /** Makes a volume, all or nothing, durable when it resolves. `fill` makes the backend's part. */
  async add(record: VolumeRecord, fill: (folder: string) => Promise<void>): Promise<void> {
    const building = path.join(this.directory.creating, record.volumeId);
    try {
      await fs.mkdir(building, { mode: 0o700 });
      await fill(building);
      await writeNewVolumeRecord(building, record);
      await syncFolder(building);
      await fs.rename(building, this.of(record.volumeId));
      await syncFolder(this.directory.volumes);
    } catch (error) {
      await fs.rm(building, { recursive: true, force: true });
      throw error;
    }
  }

  /** Durable when it resolves. */
  async replace(record: VolumeRecord): Promise<void> {
    await replaceVolumeRecord(this.of(record.volumeId), record);
  }

  /** Makes the volume disappear. What is left of it is a matter of `discard`. */
  async remove(volumeId: string): Promise<void> {
    await fs.rename(this.of(volumeId), this.#deletedFolder(volumeId));
  }

  /** The second half of a deletion; what a crash leaves of it is done at the next start. */
  async discard(volumeId: string, forget: () => Promise<void>): Promise<void> {
    await syncFolder(this.directory.volumes);
    await forget();
    await fs.rm(this.#deletedFolder(volumeId), { recursive: true, force: true });
  }

  #deletedFolder(volumeId: string): string {
    return path.join(this.directory.deleting, volumeId);
  }
}
