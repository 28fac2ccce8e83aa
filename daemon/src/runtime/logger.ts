/**
 * Logs: JSON lines by bunyan on standard error. One record per change of state; `event` names it in the
 * past tense. Never payload bytes.
 */
import bunyan from 'bunyan';

export type Logger = bunyan;

export function createLogger(program: string, level: bunyan.LogLevelString): Logger {
  return bunyan.createLogger({
    name: program,
    level,
    streams: [{ stream: process.stderr, level }],
    serializers: { error: bunyan.stdSerializers.err },
  });
}
