/** A backend whose volumes are spread over the workers: everything of a volume is done by the thread that has it. */
import type { BackendVolume, StorageBackend, VolumeIdentity } from '../backend/backend.js';
import { heardError } from '../../threads/told-error.js';
import type { BackendCall, CallAnswer } from './worker-messages.js';

/** The part of a worker that a backend uses. */
export interface BackendThread {
  call(call: BackendCall): Promise<CallAnswer>;
  openDevice(backend: string, volume: VolumeIdentity, folder: string): Promise<BackendVolume>;
}

export class DistantBackend implements StorageBackend {
  constructor(
    readonly name: string,
    /** The thread that has the volume. */
    readonly threadOf: (volumeId: string) => BackendThread,
  ) {}

  async create(volume: VolumeIdentity, folder: string): Promise<void> {
    await this.#call('create', volume, folder);
  }

  open(volume: VolumeIdentity, folder: string): Promise<BackendVolume> {
    return this.threadOf(volume.volumeId).openDevice(this.name, identityOf(volume), folder);
  }

  async allocatedBytes(volume: VolumeIdentity, folder: string): Promise<number> {
    return (await this.#call('allocatedBytes', volume, folder)).bytes ?? 0;
  }

  async delete(volume: VolumeIdentity): Promise<void> {
    await this.#call('delete', volume, '');
  }

  async #call(
    act: 'create' | 'allocatedBytes' | 'delete',
    volume: VolumeIdentity,
    folder: string,
  ): Promise<CallAnswer> {
    const call = { act, backend: this.name, volume: identityOf(volume), folder };
    const answer = await this.threadOf(volume.volumeId).call(call);
    if (answer.error !== undefined) throw heardError(answer.error);
    return answer;
  }
}

/** The catalog's records have more, which is nobody's business there. */
function identityOf({ volumeId, sizeBytes, blockBytes }: VolumeIdentity): VolumeIdentity {
  return { volumeId, sizeBytes, blockBytes };
}
