/**
 * How much each client may have written to a log: so many different records in a minute, each once. What is beyond
 * is counted, and told when the minute is over. Whoever asks again and again, or for ever new things, fills neither
 * disk nor memory, and clients that come under ever new names share what one may have. What is written is the
 * caller's business (repeated-warnings.ts, audit-log.ts).
 */
import type { Clock } from './clock.js';
import { shortText } from './short-text.js';

/** One who is refused tries again several times a second; whoever reads the log wants to see that it goes on. */
export const ALLOWANCE_INTERVAL_MS = 60_000;
/**
 * Different records of one client in that time. Enough to see what a daemon is after whose rules are wrong, which
 * asks for all its volumes.
 */
export const RECORDS_PER_CLIENT_MAX = 16;
/**
 * Clients that are told apart in that time. There are as many certificates as the authority has issued, but as many
 * addresses as a stranger likes to take. All together have no more than some 1,000 records a minute.
 */
export const CLIENTS_TOLD_APART_MAX = 64;

/** What one client had beyond its allowance. */
export interface LeftOut {
  readonly client: string;
  readonly count: number;
  /** Of these, how many were like one that was written. */
  readonly sameCount: number;
}

interface Account {
  readonly client: string;
  readonly sinceMs: number;
  /** Of what was written. */
  readonly keys: Set<string>;
  otherCount: number;
  sameCount: number;
  /** Set with the first that is left out. */
  cancelEnd: (() => void) | undefined;
}

export class LogAllowance {
  /** Of the clients that are told apart, in the order in which they began. */
  readonly #accounts = new Map<string, Account>();
  /** Of all the others. */
  #shared: Account | undefined;

  constructor(
    readonly clock: Clock,
    /** Called when the minute of a client is over in which something of it was left out. */
    readonly tell: (leftOut: LeftOut) => void,
  ) {}

  /**
   * @param client whoever causes the record
   * @param key what makes two records of a client the same
   * @returns whether it is to be written
   */
  take(client: string, key: string): boolean {
    this.#endThoseOver();
    const account = this.#accountOf(shortText(client));
    const shortKey = shortText(key);
    if (account.keys.has(shortKey)) account.sameCount += 1;
    else if (account.keys.size >= RECORDS_PER_CLIENT_MAX) account.otherCount += 1;
    else {
      account.keys.add(shortKey);
      return true;
    }
    account.cancelEnd ??= this.clock.setTimer(this.#leftMs(account), () => {
      this.#end(account);
    });
    return false;
  }

  /** Tells now what was left out until now. */
  settle(): void {
    for (const account of this.#accounts.values()) this.#end(account);
    if (this.#shared !== undefined) this.#end(this.#shared);
  }

  #accountOf(client: string): Account {
    const own = this.#accounts.get(client);
    if (own !== undefined) return own;
    if (this.#accounts.size >= CLIENTS_TOLD_APART_MAX) {
      this.#shared ??= this.#newAccount('other clients');
      return this.#shared;
    }
    const account = this.#newAccount(client);
    this.#accounts.set(client, account);
    return account;
  }

  #newAccount(client: string): Account {
    return {
      client,
      sinceMs: this.clock.nowMs(),
      keys: new Set(),
      otherCount: 0,
      sameCount: 0,
      cancelEnd: undefined,
    };
  }

  #endThoseOver(): void {
    if (this.#shared !== undefined && this.#leftMs(this.#shared) <= 0) this.#end(this.#shared);
    for (const account of this.#accounts.values()) {
      if (this.#leftMs(account) > 0) return;
      this.#end(account);
    }
  }

  #end(account: Account): void {
    account.cancelEnd?.();
    if (account === this.#shared) this.#shared = undefined;
    else this.#accounts.delete(account.client);
    const { client, sameCount, otherCount } = account;
    const count = sameCount + otherCount;
    if (count > 0) this.tell({ client, count, sameCount });
  }

  #leftMs({ sinceMs }: Account): number {
    return sinceMs + ALLOWANCE_INTERVAL_MS - this.clock.nowMs();
  }
}
