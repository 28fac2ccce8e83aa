/** The log of a worker: its records are written by the main thread, in their order. */
import type { EventLog } from '../runtime/logger.js';
import { loggedError } from '../threads/told-error.js';
import type { FromWorker, Post } from './worker-messages.js';

export function toldLog(post: Post<FromWorker>): EventLog {
  const at =
    (level: 'info' | 'warn') =>
    (fields: object, message: string): void => {
      post({ kind: 'log', level, fields: clonable(fields), message });
    };
  return { info: at('info'), warn: at('warn') };
}

function clonable(fields: object): object {
  const entries = Object.entries(fields) as [string, unknown][];
  return Object.fromEntries(
    entries.map(([name, value]) => [name, value instanceof Error ? loggedError(value) : value]),
  );
}
