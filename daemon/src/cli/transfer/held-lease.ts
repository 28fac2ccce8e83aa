/**
 * Being a volume's only writer for the time of an import: acquired at the start, always given back.
 */
import type { LeaseMessage, VolumeMessage } from '../../rpc/storage-messages.js';
import type { StorageClient } from '../../transport/storage-client.js';

export interface LeaseWish {
  readonly volume: VolumeMessage;
  readonly attachmentId: string;
  /** For people: shown to whoever is refused because of this lease. */
  readonly description: string;
  readonly takeOver: boolean;
  /** Told when the lease could not be given back; the lease then expires by itself. */
  readonly warn: (sentence: string) => void;
}

/** Runs `work` under the volume's lease. @throws StorageError when it is refused; what `work` throws */
export async function underLease<Value>(
  client: StorageClient,
  wish: LeaseWish,
  work: (lease: LeaseMessage) => Promise<Value>,
): Promise<Value> {
  const { volume, attachmentId, description, takeOver } = wish;
  const { volumeId } = volume;
  const lease = await client.acquireLease({
    volumeId,
    attachmentId,
    description,
    expectedGeneration: 0,
    takeOver,
  });
  try {
    return await work(lease);
  } finally {
    try {
      await client.releaseLease({ volumeId, attachmentId, generation: lease.generation });
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      const seconds = Math.ceil(lease.expiresAfterMs / 1000);
      wish.warn(
        `the lease of volume ${volume.name} could not be given back (${why}); ` +
          `the node lets others have it after ${seconds} s`,
      );
    }
  }
}
