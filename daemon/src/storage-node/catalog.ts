/**
 * The catalog as the service sees it: which volumes this node serves, kept on disk. The file-based
 * implementation is volume-catalog.ts; all methods reject with StorageError.
 */
import type { BackendVolume } from './backend/backend.js';
import type { VolumeRecord } from './volume-record.js';

export interface NewVolume {
  readonly name: string;
  readonly sizeBytes: number;
  readonly blockBytes: number;
  readonly backend: string;
}

export interface Catalog {
  readonly nodeId: string;
  /** Names, the default first. */
  readonly backends: readonly string[];
  /** Sorted by name. */
  list(): VolumeRecord[];
  /** Undefined if there is none. */
  byName(name: string): VolumeRecord | undefined;
  byId(volumeId: string): VolumeRecord | undefined;
  /** All or nothing, durable. `existed` when an equal volume was there. */
  create(volume: NewVolume): Promise<{ record: VolumeRecord; existed: boolean }>;
  /** Replaces generation and holder; durable before it resolves. */
  setLease(
    volumeId: string,
    lease: Pick<VolumeRecord, 'generation' | 'holder'>,
  ): Promise<VolumeRecord>;
  /** Changes record and backend; durable before it resolves. */
  resize(volumeId: string, sizeBytes: number): Promise<VolumeRecord>;
  delete(volumeId: string): Promise<void>;
  /**
   * The volume's open device; opened at the first call and shared by all callers. Every call is
   * matched by one `release`; the last one closes the device.
   */
  open(volumeId: string): Promise<BackendVolume>;
  release(volumeId: string): Promise<void>;
  allocatedBytes(volumeId: string): Promise<number>;
  /** Bytes free and in all where data is kept. */
  space(): Promise<{ freeBytes: number; totalBytes: number }>;
  /** Closes every device and gives the data directory free for another node. */
  close(): Promise<void>;
}
