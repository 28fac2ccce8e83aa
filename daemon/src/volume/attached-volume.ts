/**
 * A volume as those see it who attach it, show it and serve it: volume.ts in this thread, or one in another thread
 * (workers/remote-volume.ts).
 */
import type { PacedBlockDevice } from '../block/block-device.js';
import type { VolumeCounters } from './volume-counters.js';
import type { VolumeState } from './volume-state.js';

/** How much a volume has done and has to do. */
export interface VolumeAmounts {
  readonly counters: Readonly<VolumeCounters>;
  readonly requestsInFlight: number;
  readonly bytesInFlight: number;
  /** Payload bytes of writes that no flush has covered. */
  readonly unflushedBytes: number;
}

/** What the members do is said in volume.ts. */
export interface AttachedVolume extends PacedBlockDevice, VolumeAmounts {
  readonly state: VolumeState;
  readonly draining: boolean;
  /** 0 for read-only volumes and before the lease. */
  readonly generation: number;

  /** The amounts become those of now, and so does what is known of its clients; absent: they always are. */
  refresh?(): Promise<void>;

  start(): Promise<void>;
  /** The amounts are those of its end, also after a rejection. */
  drain(deadlineMs: number, until?: 'deadline' | 'node-away'): Promise<void>;
  resume(): void;
  failNow(): number | Promise<number>;
  retryNow(): Promise<void>;
}
