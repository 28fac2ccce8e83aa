/**
 * What a storage node needs of an engine that keeps blocks. A backend is given facts that have been
 * checked; it asserts them. When each method is called is told in README.md of this folder.
 */
import type { BlockDevice } from '../../block/block-device.js';

/** What the catalog knows about a volume before its backend is asked. */
export interface VolumeIdentity {
  /** Names the volume's folder and never changes. */
  readonly volumeId: string;
  readonly sizeBytes: number;
  readonly blockBytes: number;
}

export interface StorageBackend {
  /** As in `blkferry volume create --backend NAME`. */
  readonly name: string;
  /** Makes the volume's storage, reading as zeroes, durable when it resolves. Called on an empty folder. */
  create(volume: VolumeIdentity, folder: string): Promise<void>;
  /** Opens what `create` made. Called once per volume until its device is closed. */
  open(volume: VolumeIdentity, folder: string): Promise<BackendVolume>;
  /** Bytes of storage in use; the volume may be open or not. */
  allocatedBytes(volume: VolumeIdentity, folder: string): Promise<number>;
  /** Forgets what lies outside the folder, which the catalog removes. */
  delete(volume: VolumeIdentity): Promise<void>;
}

/** An open volume. Apart from BlockDevice's own promises: submit completes reads and writes in order. */
export interface BackendVolume extends BlockDevice {
  /** Grows or shrinks; durable when it resolves. `facts` is replaced. New space reads as zeroes. */
  resize(sizeBytes: number): Promise<void>;
  /** The data of a read of this volume has gone out and nobody sees it any more: it may be read into again. */
  reclaim?(payload: readonly Buffer[]): void;
}
