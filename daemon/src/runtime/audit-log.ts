/**
 * The audit log: who did what to which object, and what came of it; one bunyan record with `audit: true` for
 * each administrative act, also for one that was refused. Where the records go is decided here; what an
 * administrative act is, its callers know. Never content, keys or payload.
 */
import bunyan from 'bunyan';
import { AuditFile } from './audit-file.js';
import type { Clock } from './clock.js';
import type { Logger } from './logger.js';

/** Longer texts come from strangers' certificates and requests; they are cut. */
const TEXT_CHARS_MAX = 1000;

export interface AuditEntry {
  /** The call, as the .proto file names it, or what the program did by itself. */
  readonly act: string;
  /** Who: a name of the certificate, or "local". */
  readonly client: string;
  /** Where from, as the transport tells it. */
  readonly peer: string;
  /** On which object, as in "volume vm-1". */
  readonly object: string;
  /** What was asked for in particular. */
  readonly details?: object;
  /** denied: the caller has no right to it; failed: it could not be done. */
  readonly result: 'done' | 'denied' | 'failed';
  /** Why not. */
  readonly reason?: string;
}

export interface AuditLog {
  record(entry: AuditEntry): void;
  /** Everything recorded is in the file, or in the ordinary log; nothing is recorded afterwards. */
  close(): Promise<void>;
}

export interface AuditOptions {
  readonly program: string;
  /** Records are appended here; undefined: they go to the ordinary log, whatever its level. */
  readonly file: string | undefined;
  readonly logger: Logger;
  readonly clock: Clock;
}

/** @throws Error with a sentence when the file cannot be opened */
export async function openAuditLog(options: AuditOptions): Promise<AuditLog> {
  const { program, file: path, logger, clock } = options;
  if (path === undefined) {
    const own = logger.child({ audit: true });
    own.level('info');
    return { record: recorder(own), close: () => Promise.resolve() };
  }
  const file = await AuditFile.open(path, {
    clock,
    lost: (line, reason) => {
      logger.error(
        { event: 'audit_file_failed', audit: true, file: path, record: line.trimEnd() },
        `the audit file ${path} cannot be written (${reason}); its record is kept here`,
      );
    },
  });
  const own = bunyan.createLogger({
    name: program,
    audit: true,
    level: 'info',
    streams: [
      {
        stream: {
          write: (line: unknown) => {
            file.write(String(line));
          },
        },
      },
    ],
  });
  return { record: recorder(own), close: () => file.close() };
}

function recorder(log: Logger): (entry: AuditEntry) => void {
  return ({ act, client, peer, object, details, result, reason }) => {
    const who = cut(client);
    const what = `${act} ${cut(object)}`;
    log.info(
      {
        event: `act_${result}`,
        act,
        client: who,
        peer,
        object: cut(object),
        ...(details === undefined ? {} : { details }),
        result,
        ...(reason === undefined ? {} : { reason: cut(reason) }),
      },
      `${who}: ${what}: ${result}${reason === undefined ? '' : `: ${cut(reason)}`}`,
    );
  };
}

function cut(text: string): string {
  return text.length <= TEXT_CHARS_MAX ? text : `${text.slice(0, TEXT_CHARS_MAX)}...`;
}

/** For programs and tests that keep no audit log. */
export const NO_AUDIT: AuditLog = {
  record: () => undefined,
  close: () => Promise.resolve(),
};
