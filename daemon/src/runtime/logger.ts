/**
 * Logs: JSON lines by bunyan on standard error. One record per change of state; `event` names it in the
 * past tense. Never payload bytes.
 */
import bunyan from 'bunyan';

export type Logger = bunyan;

/** The part of it that says what has changed; in another thread it is something else. */
export interface EventLog {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
}

/** @param level the least important one that is written */
export function createLogger(program: string, level: bunyan.LogLevelString): Logger {
  // Whoever reads the log may go away, and come back as another process. Guests' disks do not depend on it.
  process.stderr.on('error', () => undefined);
  return bunyan.createLogger({
    name: program,
    level,
    streams: [{ stream: process.stderr, level }],
    serializers: { error: bunyan.stdSerializers.err },
  });
}
