/**
 * Signals → one ordered stop, and the exit code that tells how it went: 0 in order, 1 not. What has to
 * be done, and in which order, is the caller's business; here it is done once, and not for ever.
 */
import type { Clock } from './clock.js';
import type { Logger } from './logger.js';

const SIGNALS = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const;

export interface StopOptions {
  readonly logger: Logger;
  readonly clock: Clock;
  /**
   * After this much time the process ends even if `stop` has not: longer than every limit inside of it,
   * it is for what nobody thought of, such as a disk that does not answer.
   */
  readonly limitMs: number;
  /** Does everything that has to be done. A rejection makes the exit code 1. */
  readonly stop: () => Promise<void>;
}

/** From now on SIGTERM, SIGINT and SIGHUP stop the process. */
export function stopOnSignals(options: StopOptions): void {
  let stopping = false;
  for (const signal of SIGNALS) {
    process.on(signal, () => {
      if (!stopping) {
        stopping = true;
        beginStop(options, signal);
      } else if (signal !== 'SIGHUP') {
        // A terminal that closes sends SIGHUP more than once; the others mean that somebody is in a hurry.
        const sentence = `second signal (${signal}): ending at once`;
        options.logger.warn({ event: 'stop_cut_short', signal }, sentence);
        process.exit(1);
      }
    });
  }
}

function beginStop({ logger, clock, limitMs, stop }: StopOptions, signal: NodeJS.Signals): void {
  logger.info({ event: 'stop_requested', signal }, `stopping because of ${signal}`);
  clock.setTimer(limitMs, () => {
    logger.error({ event: 'stop_timed_out', limitMs }, `did not stop within ${limitMs} ms: ending`);
    process.exit(1);
  });
  stop().then(
    () => {
      logger.info({ event: 'stopped' }, 'stopped in order');
      process.exit(0);
    },
    (error: unknown) => {
      const reason = error instanceof Error ? error.message : String(error);
      logger.error({ event: 'stop_failed', error }, `stopped, but not in order: ${reason}`);
      process.exit(1);
    },
  );
}
