/**
 * blkferryd put together: exports, listeners, attachments and the admin API, and the order in which
 * they begin and end.
 */
import path from 'node:path';
import { AttachmentFile } from '../admin/attachment-file.js';
import { Attachments } from '../admin/attachments.js';
import { readDaemonIdentity } from '../admin/daemon-identity.js';
import { DeviceKeeper } from '../admin/device-keeper.js';
import { orphanLogs } from '../admin/orphan-logs.js';
import type { DaemonConfig } from '../config/daemon-config.js';
import { DeviceNodes } from '../frontend/device-node.js';
import { ExportTable } from '../frontend/export-table.js';
import { NBD_KERNEL } from '../frontend/nbd-kernel.js';
import type { NbdListener } from '../frontend/nbd-listener.js';
import { openAuditLog } from '../runtime/audit-log.js';
import { BACKGROUND_CLOCK, SYSTEM_CLOCK } from '../runtime/clock.js';
import { hasCapability } from '../runtime/process-capability.js';
import { lockDirectory } from '../runtime/directory-lock.js';
import type { Logger } from '../runtime/logger.js';
import { RepeatedWarnings } from '../runtime/repeated-warnings.js';
import { openAdmin } from './admin-listeners.js';
import { openNbd } from './nbd-start.js';
import { describeAttachments } from './status-line.js';
import { startTls } from './tls-start.js';
import { startWorkers } from './worker-threads.js';

/**
 * How long clients are kept out at the start until volumes know their size: a client that comes back is
 * better not heard than told that its export does not exist. Nodes that are there answer in
 * milliseconds; the volumes of these must not wait longer for one that is silent.
 */
const RESTORE_WAIT_MS = 2000;

export interface RunningDaemon {
  readonly nbdAddresses: readonly string[];
  readonly adminAddresses: readonly string[];
  /** What it does now, in one line. */
  describe(): string;
  /** Every thread has answered since the last call. */
  isAlive(): boolean;
  /** Every attachment has reached its node once, and has its device. */
  isComplete(): boolean;
  stop(): Promise<void>;
}

/** @throws Error with a sentence; the process must end then, as volumes and sockets may be open */
export async function runDaemon(config: DaemonConfig, logger: Logger): Promise<RunningDaemon> {
  const tls = startTls(config, logger);
  const audit = await openAuditLog({
    program: 'blkferryd',
    file: config['audit.file'] === '' ? undefined : config['audit.file'],
    logger,
    clock: SYSTEM_CLOCK,
  });
  const unlockState = lockDirectory(config.state_directory, 'blkferryd', '--state-directory');
  const unlockRuntime = lockDirectory(config.runtime_directory, 'blkferryd', '--runtime-directory');
  const protection = { tls: tls.material, insecure: config.insecure };
  const refusals = new RepeatedWarnings(logger, BACKGROUND_CLOCK);
  const workers = startWorkers(config, tls.material, logger);
  const exports = new ExportTable();
  const listeners: NbdListener[] = [];
  const file = new AttachmentFile(config.state_directory);
  const devices = createDevices(config, logger);
  const attachments = new Attachments({
    file,
    devices,
    opener: workers.opener,
    exports,
    logger,
    defaultNode: config.node,
    drainTimeoutMs: config.shutdown_timeout,
    urisOf: (exportName) => listeners.map((listener) => listener.uri(exportName)),
    clock: SYSTEM_CLOCK,
    wallClock: () => Date.now(),
  });
  warnOfOrphanLogs(config, file, logger);
  await atMost(RESTORE_WAIT_MS, attachments.restore());
  const endWatch = await openNbd(
    { config, exports, logger, refusals, tls: tls.material },
    listeners,
  );
  const admin = await openAdmin(config, {
    service: {
      attachments,
      nbdListeners: () => listeners.map((listener) => listener.address),
      ...{ defaultNode: config.node, workers: config.workers },
      deviceProblem: () => devices.problem(),
      protection,
      logger,
      refusals,
      audit,
    },
    tls: tls.material,
  });
  return {
    nbdAddresses: listeners.map((listener) => listener.address),
    adminAddresses: admin.addresses,
    describe: () => describeAttachments(attachments.list()),
    ...{ isAlive: () => workers.isAlive(), isComplete: () => attachments.isComplete },
    stop: async () => {
      admin.stopAccepting();
      // Clients first: no new ones, no further requests, answers to those in flight; then what they wrote
      // becomes durable. A client that hears nothing comes back, one that hears an error may not.
      const closed = Promise.all(listeners.map((listener) => listener.close()));
      await attachments.stop(config.shutdown_timeout);
      await closed;
      admin.endCalls();
      tls.stop();
      endWatch();
      await audit.close();
      await workers.stop();
      unlockState();
      unlockRuntime();
    },
  };
}

function warnOfOrphanLogs(config: DaemonConfig, file: AttachmentFile, logger: Logger): void {
  const folder = path.join(config.runtime_directory, 'replay');
  for (const sentence of orphanLogs(folder, file.read()))
    logger.warn({ event: 'orphan_replay_log_found' }, sentence);
}

function createDevices(config: DaemonConfig, logger: Logger): DeviceKeeper {
  return new DeviceKeeper({
    kernel: NBD_KERNEL,
    nodes: new DeviceNodes(SYSTEM_CLOCK),
    config,
    daemonId: readDaemonIdentity(config.state_directory),
    isPermitted: () => hasCapability('CAP_SYS_ADMIN'),
    clock: SYSTEM_CLOCK,
    logger,
  });
}

/** Waits for the work, but not for ever. @throws what the work throws in that time */
function atMost(timeoutMs: number, work: Promise<void>): Promise<void> {
  return new Promise((resolve, reject) => {
    const cancel = SYSTEM_CLOCK.setTimer(timeoutMs, resolve);
    work.finally(cancel).then(resolve, reject);
  });
}
