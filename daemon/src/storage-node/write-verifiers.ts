/**
 * The write verifier of each volume (storage.proto, contract 4). It is the node's, chosen at its start,
 * until a flush of the volume has failed. Linux gives a failed write-back up: the pages count as clean and
 * the next fdatasync of a newly opened file succeeds, though the data is lost. A device that failed goes on
 * failing while it is open, so nobody is deceived; but its sessions end (volume-failure.ts), and the first one
 * after it was opened again gets a new verifier, and sends what it logged once more.
 */
import { randomBytes } from 'node:crypto';
import type { BackendVolume } from './backend/backend.js';

interface VolumeVerifier {
  verifier: bigint;
  /** The device whose flush failed, while no other was opened. */
  failed: BackendVolume | undefined;
  /** Whoever opens next must not share the device with those who have it. */
  mustReopen: boolean;
}

export class WriteVerifiers {
  readonly #volumes = new Map<string, VolumeVerifier>();

  constructor(readonly ofNode: bigint) {}

  /** What to say to a session that begins on this device. */
  ofDevice(volumeId: string, device: BackendVolume): bigint {
    const volume = this.#volumes.get(volumeId);
    if (volume === undefined) return this.ofNode;
    if (volume.failed !== undefined && volume.failed !== device) {
      volume.verifier = newWriteVerifier();
      volume.failed = undefined;
    }
    if (volume.failed === undefined) volume.mustReopen = false;
    return volume.verifier;
  }

  /**
   * A flush, or a request with FUA, failed on this device: answered writes may be lost.
   *
   * @returns true if that is news
   */
  flushFailed(volumeId: string, device: BackendVolume): boolean {
    const volume = this.#volumes.get(volumeId);
    if (volume?.failed === device) return false;
    if (volume === undefined) {
      this.#volumes.set(volumeId, { verifier: this.ofNode, failed: device, mustReopen: true });
    } else {
      volume.failed = device;
      volume.mustReopen = true;
    }
    return true;
  }

  /** Whether the volume's device has failed, or may have, and was not opened anew since. */
  mustReopen(volumeId: string): boolean {
    return this.#volumes.get(volumeId)?.mustReopen === true;
  }

  /** Something failed that may have swallowed the error of a lost write: the next session sends its log again. */
  distrust(volumeId: string): void {
    this.#volumes.set(volumeId, {
      verifier: newWriteVerifier(),
      failed: undefined,
      mustReopen: true,
    });
  }

  /** The volume is gone. */
  forget(volumeId: string): void {
    this.#volumes.delete(volumeId);
  }
}

/** Random, so that two runs of a node are never taken for one; 0 is "none" on the wire. */
export function newWriteVerifier(): bigint {
  const verifier = randomBytes(8).readBigUInt64LE();
  return verifier === 0n ? 1n : verifier;
}
