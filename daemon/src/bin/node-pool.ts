/** The daemon's connections to its storage nodes, of the main thread or of a worker. */
import type { DaemonConfig } from '../config/daemon-config.js';
import type { Protection } from '../rpc/credentials.js';
import { SYSTEM_CLOCK } from '../runtime/clock.js';
import { createNodeClient } from '../transport/node-client.js';
import { StoragePool } from '../transport/storage-pool.js';

export function createPool(config: DaemonConfig, protection: Protection): StoragePool {
  return new StoragePool((address) =>
    createNodeClient({
      address,
      callTimeoutMs: config.rpc_timeout,
      sessionTimes: {
        openTimeoutMs: config.connect_timeout,
        probeIntervalMs: config.probe_interval,
        probeTimeoutMs: config.probe_timeout,
      },
      ...protection,
      clock: SYSTEM_CLOCK,
    }),
  );
}
