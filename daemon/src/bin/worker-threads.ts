/** The workers of blkferryd from its start to its end (setting `workers`). */
import { Worker } from 'node:worker_threads';
import type { AttachmentOpener } from '../admin/opened-volume.js';
import { VolumeOpener } from '../admin/volume-opener.js';
import type { DaemonConfig } from '../config/daemon-config.js';
import { replyBytesOf } from '../config/nbd-settings.js';
import { requireDoubledDescriptors } from '../runtime/doubled-descriptor.js';
import type { Logger } from '../runtime/logger.js';
import type { TlsMaterial } from '../security/tls-material.js';
import { VolumeThread } from '../workers/volume-thread.js';
import { VolumeThreads } from '../workers/volume-threads.js';
import type { FromWorker, WorkerSettings } from '../workers/worker-messages.js';
import { createPool } from './node-pool.js';

/** Beside this file, also where all of a program is one. */
const WORKER_PROGRAM = new URL('./blkferryd-worker.js', import.meta.url);

export interface RunningWorkers {
  readonly opener: AttachmentOpener;
  /** Whether every one has answered since the last call. */
  isAlive(): boolean;
  /** When nothing is open any more. */
  stop(): Promise<void>;
}

/** With one there is no thread but the main one. @throws Error where there can be none */
export function startWorkers(
  config: DaemonConfig,
  tls: TlsMaterial | undefined,
  logger: Logger,
): RunningWorkers {
  const pool = createPool(config, { tls, insecure: config.insecure });
  const opener = new VolumeOpener(config, pool, logger);
  const closePool = (): Promise<void> => {
    pool.close();
    return Promise.resolve();
  };
  if (config.workers === 1) return { opener, isAlive: () => true, stop: closePool };
  requireGivable();
  const settings: WorkerSettings = { config, replyBytesMax: replyBytesOf(config), tls: tls?.told };
  const [first, ...others] = Array.from({ length: config.workers }, (_, index) =>
    startWorker(index + 1, settings, logger),
  );
  if (first === undefined) throw new Error('there are no workers');
  const all = [first, ...others];
  tls?.onReplaced(() => {
    for (const { thread } of all) thread.post({ kind: 'tls', tls: tls.told });
  });
  const count = all.length;
  logger.info({ event: 'workers_started', count }, `volumes are served by ${count} threads`);
  return {
    opener: new VolumeThreads([first.thread, ...others.map(({ thread }) => thread)], opener),
    isAlive: () => all.map(({ thread }) => thread.isAnswering()).every((one) => one),
    stop: async () => {
      await Promise.all([closePool(), ...all.map((worker) => worker.stop())]);
    },
  };
}

interface StartedWorker {
  readonly thread: VolumeThread;
  stop(): Promise<void>;
}

function startWorker(number: number, settings: WorkerSettings, logger: Logger): StartedWorker {
  const { config } = settings;
  const worker = new Worker(WORKER_PROGRAM, {
    workerData: settings,
    name: `worker ${number}`,
    // They end with the process, and some of them come from other threads.
    trackUnmanagedFds: false,
  });
  const limits = { requestsMax: config.queue_depth, bytesMax: config.in_flight_bytes_max };
  const thread = new VolumeThread(number, limits, logger, (message, transfer = []) => {
    worker.postMessage(message, transfer);
  });
  worker.on('message', (message: FromWorker) => {
    thread.hear(message);
  });
  // Thrown where nobody catches it, as it was there: it ends the process in the same way.
  worker.on('error', (error) => {
    throw error;
  });
  let isStopping = false;
  const ended = new Promise<void>((resolve) => {
    worker.once('exit', (code) => {
      if (!isStopping) throw new Error(`worker ${number} has ended with status ${code}`);
      resolve();
    });
  });
  return {
    thread,
    stop: () => {
      isStopping = true;
      thread.post({ kind: 'stop' });
      return ended;
    },
  };
}

/** Without the add-on no connection could be given to a worker. @throws Error with the reason */
function requireGivable(): void {
  try {
    requireDoubledDescriptors();
  } catch (cause) {
    const { message } = cause as Error;
    throw new Error(`workers: more than 1 cannot be had: ${message}`, { cause });
  }
}
