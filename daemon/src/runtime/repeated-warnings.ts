/**
 * Warnings that others cause and may cause again many times a second, such as clients that are refused: of each
 * client so many different ones are logged in a minute, each once, and then how many were left out. How many there
 * were of each event is counted; a program has one of these, and its status shows the counts.
 */
import type { Clock } from './clock.js';
import { LogAllowance, type LeftOut } from './log-allowance.js';
import { shortText, shortTexts } from './short-text.js';

/** The part of a bunyan logger that is used. */
export interface WarningLog {
  warn(fields: object, message: string): void;
}

/** Of a log record. Who caused it: `client`, else `peer`. */
export type WarningFields = Readonly<Record<string, unknown>> & {
  readonly event: string;
  /** By what it is known again: a name that was proved, or where it comes from. */
  readonly client?: string | undefined;
  /** Where from, with the port or without. */
  readonly peer?: string | undefined;
};

/** Where such warnings go. Other threads have one that hands them on. */
export type Warnings = Pick<RepeatedWarnings, 'warn'>;

/** How often something happened since the program started, logged or not. */
export interface EventCount {
  /** As in the log record. */
  event: string;
  count: number;
}

export class RepeatedWarnings {
  /** By event: there are as many as the code has names for. */
  readonly #counts = new Map<string, number>();
  /** By event, so that those of one leave room for those of another. */
  readonly #allowances = new Map<string, LogAllowance>();

  constructor(
    readonly log: WarningLog,
    readonly clock: Clock,
  ) {}

  /** Sorted by event; those that never happened are left out. */
  get counts(): EventCount[] {
    const counts = [...this.#counts].map(([event, count]) => ({ event, count }));
    return counts.sort((a, b) => (a.event < b.event ? -1 : 1));
  }

  /** @param key what makes two warnings of one event and client the same */
  warn(key: string, fields: WarningFields, sentence: string): void {
    const { event } = fields;
    this.#counts.set(event, (this.#counts.get(event) ?? 0) + 1);
    if (!this.#allowanceOf(event).take(causerOf(fields), key)) return;
    this.log.warn(shortTexts(fields), shortText(sentence));
  }

  /** For the end of the program: tells what was left out until now. */
  settle(): void {
    for (const allowance of this.#allowances.values()) allowance.settle();
  }

  #allowanceOf(event: string): LogAllowance {
    const known = this.#allowances.get(event);
    if (known !== undefined) return known;
    const allowance = new LogAllowance(this.clock, (leftOut) => {
      this.#tell(event, leftOut);
    });
    this.#allowances.set(event, allowance);
    return allowance;
  }

  #tell(of: string, { client, count: leftOutCount, sameCount }: LeftOut): void {
    this.log.warn(
      { event: 'warnings_left_out', of, client, leftOutCount, sameCount },
      `${of} of ${client}: ${leftOutCount} more within a minute were not logged, ${sameCount} of them like some that were`,
    );
  }
}

/** What tls-acceptor.ts calls its peers: whoever comes again has another port. */
const ADDRESS_AND_PORT = /^client (?<address>.*):\d+$/;

function causerOf({ client, peer = 'somebody' }: WarningFields): string {
  return client ?? ADDRESS_AND_PORT.exec(peer)?.groups?.['address'] ?? peer;
}
