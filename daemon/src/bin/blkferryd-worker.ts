/** A worker of the forwarding daemon (setting `workers`): a thread of blkferryd, which starts it. */
import { parentPort, workerData } from 'node:worker_threads';
import { SYSTEM_CLOCK } from '../runtime/clock.js';
import { TlsMaterial } from '../security/tls-material.js';
import type { ToWorker, WorkerSettings } from '../workers/worker-messages.js';
import { WorkerService } from '../workers/worker-service.js';
import { createPool } from './node-pool.js';

const port = parentPort;
if (port === null) throw new Error('blkferryd starts this; its setting is `workers`');
const settings = workerData as WorkerSettings;
const { config, tls: told } = settings;
const tls = told && TlsMaterial.heard(told);
const pool = createPool(config, { tls, insecure: config.insecure });
const service = new WorkerService(settings, pool, tls, SYSTEM_CLOCK, (message, transfer) => {
  port.postMessage(message, transfer);
});
port.on('message', (message: ToWorker) => {
  if (service.hear(message)) return;
  pool.close();
  // Of a thread it ends the thread.
  process.exit(0);
});
