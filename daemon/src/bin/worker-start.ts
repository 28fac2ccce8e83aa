/** The workers of a node from its start on. */
import { requireDoubledDescriptors } from '../runtime/doubled-descriptor.js';
import type { SessionLimits } from '../storage-node/node-session.js';
import type { ServiceLog } from '../storage-node/service-options.js';
import { WorkerPool } from '../storage-node/workers/worker-pool.js';

/** Beside this file, also where all of a program is one. */
const WORKER_PROGRAM = new URL('./blkferry-node-worker.js', import.meta.url);

/** @returns undefined for one: everything is done by the main thread then. @throws Error where there can be none */
export function startWorkers(
  count: number,
  sessionLimits: SessionLimits,
  log: ServiceLog,
): WorkerPool | undefined {
  if (count === 1) return undefined;
  try {
    requireDoubledDescriptors();
  } catch (error) {
    throw new Error(`workers: more than 1 cannot be had: ${(error as Error).message}`);
  }
  const pool = new WorkerPool(count, WORKER_PROGRAM, { sessionLimits }, log);
  log.info({ event: 'workers_started', count }, `sessions are served by ${count} threads`);
  return pool;
}
