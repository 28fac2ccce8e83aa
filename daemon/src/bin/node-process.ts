/** blkferry-node put together: data directory, catalog, server. */
import type { NodeConfig } from '../config/node-config.js';
import { openAuditLog } from '../runtime/audit-log.js';
import { BACKGROUND_CLOCK, SYSTEM_CLOCK } from '../runtime/clock.js';
import type { Logger } from '../runtime/logger.js';
import { RepeatedWarnings } from '../runtime/repeated-warnings.js';
import { VERSION } from '../runtime/version.js';
import { createBackends } from '../storage-node/backend/backend-registry.js';
import { openDataDirectory } from '../storage-node/data-directory.js';
import { startNode, type RunningNode } from '../storage-node/node-server.js';
import type { SessionLimits } from '../storage-node/node-session.js';
import { VolumeCatalog } from '../storage-node/volume-catalog.js';
import type { WorkerPool } from '../storage-node/workers/worker-pool.js';
import { readAccess, watchAccess } from './node-access.js';
import { startTls } from './tls-start.js';
import { startWorkers } from './worker-start.js';

export interface NodeProcess extends RunningNode {
  /** Whether every thread has answered since the last call. */
  isAlive(): boolean;
}

/** @throws Error with a sentence; nothing is left running then */
export async function runNode(config: NodeConfig, logger: Logger): Promise<NodeProcess> {
  const pool = startWorkers(config.workers, sessionLimitsOf(config), logger);
  try {
    return await runWith(pool, config, logger);
  } catch (error) {
    await pool?.stop();
    throw error;
  }
}

function sessionLimitsOf(config: NodeConfig): SessionLimits {
  return {
    requestsInFlightMax: config.session_requests_max,
    bytesInFlightMax: config.session_bytes_max,
  };
}

/** @param pool undefined: all is done by this thread */
async function runWith(
  pool: WorkerPool | undefined,
  config: NodeConfig,
  logger: Logger,
): Promise<NodeProcess> {
  const tls = startTls(config, logger);
  const refusals = new RepeatedWarnings(logger, BACKGROUND_CLOCK);
  const access = readAccess(config.access_file, refusals);
  const audit = await openAuditLog({
    program: 'blkferry-node',
    file: config['audit.file'] === '' ? undefined : config['audit.file'],
    logger,
    clock: SYSTEM_CLOCK,
  });
  const directory = await openDataDirectory(config.data_directory);
  const backends = pool?.backends() ?? createBackends();
  const newVolumeId = pool && pool.newVolumeId.bind(pool);
  const { catalog, findings } = await VolumeCatalog.load(directory, backends, newVolumeId);
  for (const volumeId of findings.removed) {
    logger.info(
      { event: 'leftover_removed', volumeId },
      `removed volume ${volumeId}, whose creation or deletion was cut short`,
    );
  }
  for (const sentence of findings.damaged) logger.error({ event: 'volume_damaged' }, sentence);
  const node = await startNode({
    catalog,
    clock: SYSTEM_CLOCK,
    wallClock: () => Date.now(),
    leaseTimeoutMs: config.lease_timeout,
    software: `blkferry-node ${VERSION}`,
    sessionsMax: config.sessions_max,
    sessionsPerClientMax: config.sessions_per_client_max,
    places: {
      connectionsMax: config.connections_max,
      connectionsPerPeerMax: config.connections_per_peer_max,
      handshakesMax: config.handshakes_max,
    },
    callLimits: {
      callsPerConnectionMax: config.calls_per_connection_max,
      idleTimeoutMs: config.connection_idle_timeout,
    },
    sessionLimits: sessionLimitsOf(config),
    workers: config.workers,
    pool,
    log: logger,
    refusals,
    audit,
    address: config.listen,
    insecure: config.insecure,
    tls: tls.material,
    access,
  });
  const stopWatching = watchAccess(config.access_file, node.service.gate, logger);
  return {
    ...node,
    isAlive: () => pool?.isAlive() ?? true,
    stop: async (deadlineMs) => {
      stopWatching();
      tls.stop();
      try {
        await node.stop(deadlineMs);
      } finally {
        await pool?.stop();
        await audit.close();
      }
    },
  };
}
