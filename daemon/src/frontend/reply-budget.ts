/**
 * How many bytes all NBD clients of a daemon may be owed: reads under way, and replies that they have not taken. One
 * client's limit alone (OWED_BYTES_MAX) would let some hundreds that ask and never read fill the memory.
 *
 * An eighth is for those who are owed nothing. Of the rest half is shared out evenly, the other half goes to whoever
 * asks, at most a quarter of what is left: so few clients get all they can use, and many get less. Who is owed nothing
 * may ask for more than its share, up to the longest request, as long as that leaves a sixteenth for short requests:
 * so many that ask for much and never read do not hold up those that ask for little. Whoever is owed nothing and finds
 * no room waits, in turn; and who has taken nothing of what it is owed for `stalledTimeoutMs`, while others wait, is
 * disconnected.
 */
import type { Clock } from '../runtime/clock.js';

/**
 * Most bytes of data that one client may be owed. One longest request (32 MiB) always goes; at 1 MiB this is a depth
 * of 32.
 */
export const OWED_BYTES_MAX = 32 * 1024 * 1024;

/** Of the budget, what those get who are owed something already. */
const SHARED = 7 / 8;
/** Of the budget, what short requests of those who are owed nothing find when all the rest is used up. */
const FOR_SHORT = 1 / 16;
/** In bytes. Guests' small reads, and what an operating system reads ahead at first. */
export const SHORT_REQUEST_BYTES = 64 * 1024;

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

/** Of somebody who is owed nothing. */
interface Wish {
  readonly requestBytes: number;
  readonly callback: () => void;
}

export class ReplyBudget {
  #owedBytes = 0;
  readonly #accounts = new Set<ReplyAccount>();
  /** In turn; none of them is owed anything. */
  readonly #waiting = new Map<ReplyAccount, Wish>();
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

  /** Whether somebody who is owed nothing may ask for so much. */
  hasRoomFor(requestBytes: number): boolean {
    const { bytesMax } = this.limits;
    if (requestBytes <= SHORT_REQUEST_BYTES) return this.#owedBytes + requestBytes <= bytesMax;
    // Whatever its length: short ones would pass by for ever a long one that needs 32 MiB at once.
    return this.#owedBytes + OWED_BYTES_MAX <= bytesMax * (1 - FOR_SHORT);
  }

  /** Whether somebody who is owed something may be owed so much instead. */
  hasRoomForMore(owedBytes: number, requestBytes: number): boolean {
    const isWithinBudget = this.#owedBytes + requestBytes <= this.limits.bytesMax * (1 - FOR_SHORT);
    return isWithinBudget && owedBytes + requestBytes <= this.shareBytes;
  }

  /** For accounts. */
  changed(byBytes: number): void {
    this.#owedBytes += byBytes;
    if (byBytes < 0) this.#wake();
  }

  /** For accounts. */
  wait(account: ReplyAccount, wish: Wish): void {
    this.#waiting.set(account, wish);
    this.#cancelLook ??= this.#lookLater();
  }

  /** For accounts. */
  closed(account: ReplyAccount): void {
    this.#accounts.delete(account);
    this.#waiting.delete(account);
  }

  #wake(): void {
    for (const [account, { requestBytes, callback }] of this.#waiting) {
      if (!this.hasRoomFor(requestBytes)) continue;
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

  /**
   * Whether one more request may be taken in.
   *
   * @param requestBytes what its answer makes; 0 for one that nobody knows yet
   */
  hasRoom(requestBytes: number): boolean {
    if (this.#owedBytes === 0) return this.budget.hasRoomFor(requestBytes);
    return this.budget.hasRoomForMore(this.#owedBytes, requestBytes);
  }

  /**
   * After `hasRoom` said no: calls back once, when there may be some. Who is owed something hears nothing: what it
   * takes makes room.
   */
  whenRoom(requestBytes: number, callback: () => void): void {
    if (this.#owedBytes === 0) this.budget.wait(this, { requestBytes, callback });
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
