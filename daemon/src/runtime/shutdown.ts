/**
 * Signals → one ordered stop. A second signal means that somebody is in a hurry: the process ends at
 * once, and says so.
 */
import type { Logger } from './logger.js';

const SIGNALS = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const;

/** @param stop does everything that has to be done; its rejection makes the exit code 1 */
export function stopOnSignals(logger: Logger, stop: () => Promise<void>): void {
  let stopping = false;
  for (const signal of SIGNALS) {
    process.on(signal, () => {
      if (stopping) {
        logger.warn(
          { event: 'stop_cut_short', signal },
          `second signal (${signal}): ending at once`,
        );
        process.exit(1);
      }
      stopping = true;
      logger.info({ event: 'stop_requested', signal }, `stopping because of ${signal}`);
      stop().then(
        () => {
          logger.info({ event: 'stopped' }, 'stopped in order');
          process.exit(0);
        },
        (error: unknown) => {
          logger.error(
            { event: 'stop_failed', error },
            `stopped, but not in order: ${(error as Error).message}`,
          );
          process.exit(1);
        },
      );
    });
  }
}
