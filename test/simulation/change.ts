/** A request that changes blocks, as the model follows it. */
export type ChangeState =
  /** Submitted, not answered. */
  | 'in-flight'
  /** Answered with success, not covered by a flush. */
  | 'answered'
  /** On stable storage: whatever happens, nothing older comes back. */
  | 'durable'
  /** Failed, or never answered, or lost as the contract allows: it may have taken effect or not. */
  | 'uncertain';

export class Change {
  state: ChangeState = 'in-flight';
  answered = Infinity;
  uncertainSince = Infinity;
  /**
   * The node may have lost it: only the replay log is sure to have it, and only as long as its writer keeps
   * the lease.
   */
  isOnlyLogged = false;
  /**
   * With a write cache: it may have been answered before the node had it. Until the node has, only its writer knows
   * of it, and only as long as that one keeps the lease.
   */
  isOnItsWay = false;
  /** A read that was submitted later did not see it at this block. */
  missedAtBlock: number | undefined;

  constructor(
    /** Its number; also the content of its blocks, unless it writes zeroes. */
    readonly id: number,
    readonly kind: string,
    /** The attachment that it was submitted to. */
    readonly writer: string,
    /** When, in the model's order of events. */
    readonly submitted: number,
    readonly first: number,
    readonly count: number,
    readonly fua: boolean,
  ) {}

  get name(): string {
    return `${this.kind} ${this.id}`;
  }

  get content(): number {
    return this.kind === 'write' ? this.id : 0;
  }

  becomeUncertain(since: number): void {
    this.state = 'uncertain';
    this.uncertainSince = since;
  }

  /** Whoever takes the volume over may find it, or not. */
  get goesWithItsWriter(): boolean {
    return this.isOnlyLogged || this.isOnItsWay;
  }

  /** Its effect is there: nothing older may be read. */
  get isSure(): boolean {
    return this.state === 'answered' || this.state === 'durable';
  }
}
