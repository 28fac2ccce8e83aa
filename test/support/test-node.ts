/** A real storage node inside the test's process, on a unix socket in a folder of the test's. */
import path from 'node:path';
import { SYSTEM_CLOCK } from '#daemon/runtime/clock.js';
import { createBackends } from '#daemon/storage-node/backend/backend-registry.js';
import { openDataDirectory } from '#daemon/storage-node/data-directory.js';
import { startNode, type RunningNode } from '#daemon/storage-node/node-server.js';
import { VolumeCatalog } from '#daemon/storage-node/volume-catalog.js';
import { createGrpcStorageClient } from '#daemon/transport/grpc-storage-client.js';
import type { StorageClient } from '#daemon/transport/storage-client.js';

export const TEST_SESSION_TIMES = {
  openTimeoutMs: 5000,
  probeIntervalMs: 500,
  probeTimeoutMs: 5000,
};

export interface TestNode extends RunningNode {
  readonly catalog: VolumeCatalog;
  client(): StorageClient;
}

export async function startTestNode(
  folder: string,
  overrides: { address?: string; leaseTimeoutMs?: number; requestsInFlightMax?: number } = {},
): Promise<TestNode> {
  const directory = await openDataDirectory(path.join(folder, 'data'));
  const { catalog } = await VolumeCatalog.load(directory, createBackends());
  const node = await startNode({
    catalog,
    clock: SYSTEM_CLOCK,
    wallClock: () => Date.now(),
    leaseTimeoutMs: overrides.leaseTimeoutMs ?? 10_000,
    software: 'test node',
    sessionsMax: 100,
    sessionLimits: {
      requestsInFlightMax: overrides.requestsInFlightMax ?? 1024,
      bytesInFlightMax: 64 * 1024 * 1024,
    },
    log: { info: () => undefined, warn: () => undefined },
    address: overrides.address ?? `unix:${path.join(folder, 'node.sock')}`,
    insecure: false,
  });
  return {
    ...node,
    catalog,
    client: () =>
      createGrpcStorageClient({
        address: node.address,
        callTimeoutMs: 5000,
        sessionTimes: TEST_SESSION_TIMES,
        insecure: false,
        clock: SYSTEM_CLOCK,
      }),
  };
}
