/**
 * Where a test can plant a bug without touching the product: around the seams of the daemon and the node,
 * and by replacing a method of a product class for the time of one history. `NO_BUG` changes nothing.
 */
import type { BackendVolume } from '#daemon/storage-node/backend/backend.js';
import type { ReplayStore } from '#daemon/volume/replay-store.js';
import type { StorageClient } from '#daemon/transport/storage-client.js';

export interface PlantedBug {
  readonly wrapClient: (client: StorageClient) => StorageClient;
  readonly wrapStore: (store: ReplayStore) => ReplayStore;
  readonly wrapDevice: (device: BackendVolume) => BackendVolume;
  /** A record that was torn by a death is taken for a whole one. */
  readonly tornCountsAsWhole: boolean;
  readonly expectedGeneration: (generation: number) => number;
  /** Replaces methods; the result puts them back. */
  readonly install: () => () => void;
}

export const NO_BUG: PlantedBug = {
  wrapClient: (client) => client,
  wrapStore: (store) => store,
  wrapDevice: (device) => device,
  tornCountsAsWhole: false,
  expectedGeneration: (generation) => generation,
  install: () => () => undefined,
};
