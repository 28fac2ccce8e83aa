/**
 * How many bytes all NBD clients of a daemon may be owed: reads under way, and replies that they have not taken. One
 * client's limit alone (OWED_BYTES_MAX) would let some hundreds that ask and never read fill the memory.
 *
 * An eighth is for those who are owed nothing. Of the rest half is shared out evenly, the other half goes to whoever
 * asks, at most a quarter of what is left: so few clients get all they can use, many get less, and there is always
 * something for a new one. Only who asks for more than its share at once (one read of 32 MiB always goes, if anything
 * is left) can use the budget up. Whoever is owed nothing waits then, in turn; and who has taken nothing of what it is
 * owed for `stalledTimeoutMs`, while others wait, is disconnected.
 */
import type { Clock } from '../runtime/clock.js';

/**
 * Most bytes of data that one client may be owed. One longest request (32 MiB) always goes; at 1 MiB this is a depth
 * of 32.
 */
export const OWED_BYTES_MAX = 32 * 1024 * 1024;

/** Of the budget, what those get who are owed something already. */
const SHARED = 7 / 8;

export interface ReplyLimits {
  readonly bytesMax: number;
  readonly stalledTimeoutMs: number;
}

/** Who is owed. */
export interface Debtor {
  /** What its socket has taken so far; Infinity if nothing waits in it. */
  takenBytes(): number;
  /** It stands still and others wait. */
  giveWay(reason: string): void;
}

export class ReplyBudget {
  #owedBytes = 0;
  readonly #accounts = new Set<ReplyAccount>();
  /** In turn; none of them is owed anything. */
  readonly #waiting = new Map<ReplyAccount, () => void>();
  #cancelLook: (() => void) | undefined;

  constructor(
    readonly limits: ReplyLimits,
    readonly clock: Clock,
  ) {}

  get owedBytes(): number {
    return this.#owedBytes;
  }

  open(debtor: Debtor): ReplyAccount {
    const account = new ReplyAccount(this, debtor);
    this.#accounts.add(account);
    return account;
  }

  /** Up to where one client that is owed something may be owed more. */
  get shareBytes(): number {
    const halfBytes = (this.limits.bytesMax * SHARED) / 2;
    const leftBytes = Math.max(0, halfBytes - this.#owedBytes);
    return Math.min(OWED_BYTES_MAX, halfBytes / this.#accounts.size + leftBytes / 4);
  }

  get isUsedUp(): boolean {
    return this.#owedBytes >= this.limits.bytesMax;
  }

  /** For accounts. */
  changed(byBytes: number): void {
    this.#owedBytes += byBytes;
    if (byBytes < 0) this.#wake();
  }

  /** For accounts. */
  wait(account: ReplyAccount, callback: () => void): void {
    this.#waiting.set(account, callback);
    this.#cancelLook ??= this.#lookLater();
  }

  /** For accounts. */
  closed(account: ReplyAccount): void {
    this.#accounts.delete(account);
    this.#waiting.delete(account);
  }

  #wake(): void {
    for (const [account, callback] of this.#waiting) {
      if (this.isUsedUp) return;
      this.#waiting.delete(account);
      callback();
    }
  }

  /** Somebody waits: who takes nothing from now until then gives way. */
  #lookLater(): () => void {
    const { stalledTimeoutMs } = this.limits;
    const before = new Map([...this.#accounts].map((one) => [one, one.debtor.takenBytes()]));
    return this.clock.setTimer(stalledTimeoutMs, () => {
      this.#cancelLook = undefined;
      if (this.#waiting.size === 0) return;
      for (const [account, takenBytes] of before) {
        if (takenBytes === Infinity || !this.#accounts.has(account)) continue;
        if (account.debtor.takenBytes() !== takenBytes) continue;
        account.debtor.giveWay(
          `it has taken nothing of ${account.owedBytes} bytes for ${stalledTimeoutMs} ms while others waited ` +
            '(nbd.stalled_timeout, nbd.reply_bytes_max)',
        );
      }
      if (this.#waiting.size > 0) this.#cancelLook ??= this.#lookLater();
    });
  }
}

/** What one client is owed. */
export class ReplyAccount {
  #owedBytes = 0;
  #isClosed = false;

  constructor(
    readonly budget: ReplyBudget,
    readonly debtor: Debtor,
  ) {}

  get owedBytes(): number {
    return this.#owedBytes;
  }

  /** Whether one more request may be taken in, whatever its length. */
  hasRoom(): boolean {
    if (this.#owedBytes === 0) return !this.budget.isUsedUp;
    return this.#owedBytes < this.budget.shareBytes;
  }

  /**
   * After `hasRoom` said no: calls back once, when there may be some. Who is owed something hears nothing: what it
   * takes makes room.
   */
  whenRoom(callback: () => void): void {
    if (this.#owedBytes === 0) this.budget.wait(this, callback);
  }

  /** What the client is owed now. */
  owes(bytes: number): void {
    if (this.#isClosed) return;
    const byBytes = bytes - this.#owedBytes;
    if (byBytes === 0) return;
    this.#owedBytes = bytes;
    this.budget.changed(byBytes);
  }

  /** The client is gone. */
  close(): void {
    if (this.#isClosed) return;
    this.owes(0);
    this.#isClosed = true;
    this.budget.closed(this);
  }
}
