/**
 * The last record of a process that must end because of a bug: an exception nobody caught. State that
 * was half changed is not served on; what was answered is in the replay logs and on the nodes, and the
 * next start continues from there.
 */
import type { Logger } from './logger.js';

/** From now on an uncaught exception or rejection is logged before the process ends with exit code 1. */
export function logCrashes(logger: Logger): void {
  const crash = (reason: unknown): void => {
    const error = reason instanceof Error ? reason : new Error(String(reason));
    logger.fatal({ event: 'crashed', error }, `ending because of a bug: ${error.message}`);
    process.exit(1);
  };
  process.on('uncaughtException', crash);
  process.on('unhandledRejection', crash);
}
