/**
 * A worker of blkferryd in the test's own thread: all of it is real, and every message is copied or changes its owner as
 * it would between threads; so the node may be a pretend one.
 */
import { after } from 'node:test';
import { MessageChannel } from 'node:worker_threads';
import type { DaemonConfig } from '#daemon/config/daemon-config.js';
import { SYSTEM_CLOCK } from '#daemon/runtime/clock.js';
import type { EventLog } from '#daemon/runtime/logger.js';
import type { StoragePool } from '#daemon/transport/storage-pool.js';
import { VolumeThread } from '#daemon/workers/volume-thread.js';
import type { FromWorker, ToWorker } from '#daemon/workers/worker-messages.js';
import { WorkerService } from '#daemon/workers/worker-service.js';

const REPLY_BYTES_MAX = 64 * 1024 * 1024;

const ends: (() => void)[] = [];
after(() => {
  for (const end of ends) end();
});

/** Ends with the test file. @param pool of the worker */
export function pretendWorker(
  number: number,
  config: DaemonConfig,
  pool: StoragePool,
  log: EventLog,
): VolumeThread {
  const { port1: here, port2: there } = new MessageChannel();
  const limits = { requestsMax: config.queue_depth, bytesMax: config.in_flight_bytes_max };
  const thread = new VolumeThread(number, limits, log, (message, transfer = []) => {
    here.postMessage(message, transfer);
  });
  here.on('message', (message: FromWorker) => {
    thread.hear(message);
  });
  const settings = { config, replyBytesMax: REPLY_BYTES_MAX, tls: undefined };
  const service = new WorkerService(
    settings,
    pool,
    undefined,
    SYSTEM_CLOCK,
    (message, transfer = []) => {
      there.postMessage(message, transfer);
    },
  );
  there.on('message', (message: ToWorker) => {
    service.hear(message);
  });
  ends.push(() => {
    here.close();
  });
  return thread;
}
