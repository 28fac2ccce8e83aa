/**
 * blkferryd put together: exports, listeners, attachments and the admin API, and the order in which
 * they begin and end.
 */
import fs from 'node:fs';
import path from 'node:path';
import { Server } from '@grpc/grpc-js';
import { adminHandlers } from '../admin/admin-service.js';
import { AttachmentFile } from '../admin/attachment-file.js';
import { Attachments, orphanLogs } from '../admin/attachments.js';
import { VolumeOpener } from '../admin/volume-opener.js';
import type { DaemonConfig } from '../config/daemon-config.js';
import { ExportTable } from '../frontend/export-table.js';
import type { ConnectionEvents } from '../frontend/nbd-connection.js';
import { NbdListener, clearStaleSocket } from '../frontend/nbd-listener.js';
import { REQUEST_BYTES_MAX } from '../block/device-facts.js';
import { SERVER_OPTIONS } from '../rpc/channel-options.js';
import { ADMIN_SERVICE } from '../rpc/service-definition.js';
import { listen } from '../rpc/server-listener.js';
import { addStandardServices } from '../rpc/standard-services.js';
import { SYSTEM_CLOCK } from '../runtime/clock.js';
import { lockDirectory } from '../runtime/directory-lock.js';
import type { Logger } from '../runtime/logger.js';
import { createGrpcStorageClient } from '../transport/grpc-storage-client.js';
import { StoragePool } from '../transport/storage-pool.js';

export interface RunningDaemon {
  readonly nbdAddresses: readonly string[];
  readonly adminAddress: string;
  stop(): Promise<void>;
}

/** @throws Error with a sentence; nothing is left running then */
export async function runDaemon(config: DaemonConfig, logger: Logger): Promise<RunningDaemon> {
  const unlockState = lockDirectory(config.state_directory, 'blkferryd', '--state-directory');
  const unlockRuntime = lockDirectory(config.runtime_directory, 'blkferryd', '--runtime-directory');
  const pool = createPool(config);
  const exports = new ExportTable();
  const listeners: NbdListener[] = [];
  const file = new AttachmentFile(config.state_directory);
  const attachments = new Attachments({
    file,
    opener: new VolumeOpener(config, pool, logger),
    pool,
    exports,
    logger,
    defaultNode: config.node,
    drainTimeoutMs: config.shutdown_timeout,
    urisOf: (exportName) => listeners.map((listener) => listener.uri(exportName)),
    wallClock: () => Date.now(),
  });
  for (const sentence of orphanLogs(path.join(config.runtime_directory, 'replay'), file.read())) {
    logger.warn({ event: 'orphan_replay_log_found' }, sentence);
  }
  attachments.restore();
  await openListeners(config, exports, logger, listeners);
  const { server, address } = await openAdmin(config, attachments, listeners, logger);
  return {
    nbdAddresses: listeners.map((listener) => listener.address),
    adminAddress: address,
    stop: async () => {
      server.forceShutdown();
      // Clients first: no new requests, answers to those in flight; then what they wrote becomes durable.
      await withinTime(
        Promise.all(listeners.map((listener) => listener.close())),
        config.shutdown_timeout,
      );
      await attachments.stop(config.shutdown_timeout);
      pool.close();
      unlockState();
      unlockRuntime();
    },
  };
}

function createPool(config: DaemonConfig): StoragePool {
  return new StoragePool((address) =>
    createGrpcStorageClient({
      address,
      callTimeoutMs: config.rpc_timeout,
      sessionTimes: {
        openTimeoutMs: config.connect_timeout,
        probeIntervalMs: config.probe_interval,
        probeTimeoutMs: config.probe_timeout,
      },
      insecure: config.insecure,
      clock: SYSTEM_CLOCK,
    }),
  );
}

async function openListeners(
  config: DaemonConfig,
  exports: ExportTable,
  logger: Logger,
  listeners: NbdListener[],
): Promise<void> {
  const socket = config['nbd.socket'];
  fs.mkdirSync(path.dirname(socket), { recursive: true, mode: 0o700 });
  await clearStaleSocket(socket);
  for (const address of [`unix:${socket}`, ...config['nbd.tcp']]) {
    listeners.push(
      await NbdListener.listen({
        address,
        exports,
        limits: {
          handshakeTimeoutMs: config['nbd.handshake_timeout'],
          payloadBytesMax: REQUEST_BYTES_MAX,
          connectionsMax: config['nbd.connections_max'],
        },
        clock: SYSTEM_CLOCK,
        eventsFor: (peer) => connectionLog(logger, peer),
      }),
    );
  }
}

function connectionLog(logger: Logger, peer: string): ConnectionEvents {
  return {
    opened: (exportName) => {
      logger.info(
        { event: 'client_connected', peer, exportName },
        `client ${peer} uses ${exportName}`,
      );
    },
    handshakeEnded: (reason) => {
      logger.info(
        { event: 'handshake_ended', peer, reason },
        `client ${peer} chose no export: ${reason}`,
      );
    },
    protocolError: (reason) => {
      logger.warn({ event: 'client_failed', peer, reason }, `client ${peer}: ${reason}`);
    },
    requestFailed: (exportName, kind, error) => {
      logger.debug(
        { event: 'request_failed', peer, exportName, kind, errno: error.errno },
        error.reason,
      );
    },
    closed: () => {
      logger.debug({ event: 'client_disconnected', peer }, `client ${peer} is gone`);
    },
  };
}

async function openAdmin(
  config: DaemonConfig,
  attachments: Attachments,
  listeners: readonly NbdListener[],
  logger: Logger,
): Promise<{ server: Server; address: string }> {
  const server = new Server(SERVER_OPTIONS);
  server.addService(
    ADMIN_SERVICE,
    adminHandlers({
      attachments,
      nbdListeners: () => listeners.map((listener) => listener.address),
      defaultNode: config.node,
    }),
  );
  addStandardServices(server, 'blkferry.admin.v1.Admin');
  const socket = config['admin.socket'];
  fs.mkdirSync(path.dirname(socket), { recursive: true, mode: 0o700 });
  const { address } = await listen(server, {
    address: `unix:${socket}`,
    insecure: false,
    onWindows: (windows) => {
      logger.trace({ event: 'admin_connected', windows }, 'admin client connected');
    },
  });
  fs.chmodSync(socket, 0o600);
  return { server, address };
}

/** Waits for the work, at most as long as an ordered stop may take. */
function withinTime(work: Promise<unknown>, timeoutMs: number): Promise<void> {
  return new Promise((resolve) => {
    const cancel = SYSTEM_CLOCK.setTimer(timeoutMs, resolve);
    void work.finally(() => {
      cancel();
      resolve();
    });
  });
}
