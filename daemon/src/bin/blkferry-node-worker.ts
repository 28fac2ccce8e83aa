/** A worker of a storage node (setting `workers`): a thread of blkferry-node, which starts it. */
import { parentPort, workerData } from 'node:worker_threads';
import { SYSTEM_CLOCK } from '../runtime/clock.js';
import { createBackends } from '../storage-node/backend/backend-registry.js';
import type { ToWorker, WorkerSettings } from '../storage-node/workers/worker-messages.js';
import { WorkerService } from '../storage-node/workers/worker-service.js';

const port = parentPort;
if (port === null) throw new Error('blkferry-node starts this; its setting is `workers`');
const service = new WorkerService(
  workerData as WorkerSettings,
  createBackends(),
  SYSTEM_CLOCK,
  (message, transfer) => {
    port.postMessage(message, transfer);
  },
);
port.on('message', (message: ToWorker) => {
  // Of a thread it ends the thread.
  if (!service.hear(message)) process.exit(0);
});
