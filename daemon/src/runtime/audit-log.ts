/**
 * The audit log: who did what to which object, and what came of it; one bunyan record with `audit: true` for
 * each administrative act, also for one that was refused, as long as a client is not refused all the time. Where the
 * records go is decided here; what an administrative act is, its callers know. Never content, keys or payload.
 */
import bunyan from 'bunyan';
import { AuditFile } from './audit-file.js';
import type { Clock } from './clock.js';
import { LogAllowance, type LeftOut } from './log-allowance.js';
import type { Logger } from './logger.js';
import { shortText, shortTexts } from './short-text.js';

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
    return new BoundedAudit(own, clock, () => Promise.resolve());
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
  return new BoundedAudit(own, clock, () => file.close());
}

/**
 * Whoever has no right could write as many records as it can make calls. Acts that were done or failed are those of
 * clients who have the right to them, and each of them counts.
 */
class BoundedAudit implements AuditLog {
  readonly #denied: LogAllowance;

  constructor(
    readonly log: Logger,
    clock: Clock,
    readonly closeFile: () => Promise<void>,
  ) {
    this.#denied = new LogAllowance(clock, (leftOut) => {
      tellLeftOut(log, leftOut);
    });
  }

  record(entry: AuditEntry): void {
    const { client, act, object, result } = entry;
    if (result === 'denied' && !this.#denied.take(client, `${act} ${object}`)) return;
    write(this.log, entry);
  }

  close(): Promise<void> {
    this.#denied.settle();
    return this.closeFile();
  }
}

function write(log: Logger, entry: AuditEntry): void {
  const { act, client, peer, object, details, result, reason } = entry;
  const fields = shortTexts({
    event: `act_${result}`,
    act,
    client,
    peer,
    object,
    ...(details === undefined ? {} : { details: shortTexts(details) }),
    result,
    ...(reason === undefined ? {} : { reason }),
  });
  const why = reason === undefined ? '' : `: ${shortText(reason)}`;
  log.info(fields, `${shortText(client)}: ${act} ${shortText(object)}: ${result}${why}`);
}

function tellLeftOut(log: Logger, { client, count: leftOutCount, sameCount }: LeftOut): void {
  log.info(
    { event: 'denied_acts_left_out', client, leftOutCount, sameCount },
    `${client}: ${leftOutCount} more acts within a minute were denied and not recorded, ${sameCount} of them like some that were`,
  );
}

/** For programs and tests that keep no audit log. */
export const NO_AUDIT: AuditLog = {
  record: () => undefined,
  close: () => Promise.resolve(),
};
