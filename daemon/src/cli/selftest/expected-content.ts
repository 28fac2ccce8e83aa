/**
 * What each block of a volume may hold, given what was asked of the volume and what it answered. Knows
 * neither sockets nor time: every event gets the next number of one counter, its moment.
 *
 * A change (write, write-zeroes, trim) is `waiting` until it is `answered`, or `doubtful`: it failed, or its
 * connection was cut. One change comes before another if it was settled before the other was submitted, or
 * was submitted first on the same connection. A read submitted at moment t may return a change c unless
 *
 *   - a change after c was answered before t (c would be older than what was promised), or
 *   - an earlier read has seen what came after c (c would be resurrected).
 *
 * A doubtful change may take effect late, but never over a change that was submitted after it was given up.
 * That is the rule which a request sent again by a client, or left over on a dead connection, must not break.
 * A trim lets a block read as zeroes, or as before: NBD promises no more.
 */
import type { BlockContent } from './stamp.js';

export type ChangeKind = 'write' | 'write-zeroes' | 'trim';

/** What is asked of the volume. */
export interface ChangeWish {
  readonly kind: ChangeKind;
  readonly firstBlock: number;
  readonly blockCount: number;
  /** Which connection, for the order of what is sent on one; a reconnected one is another. */
  readonly connection: number;
  readonly fua: boolean;
}

/** A change under way or settled. Only ExpectedContent changes it. */
export interface Change extends ChangeWish {
  /** The moment it was submitted; what its stamps carry. */
  readonly serial: number;
  outcome: 'waiting' | 'answered' | 'doubtful';
  settledAt: number;
  /** Covered by FUA or an answered flush. */
  durable: boolean;
}

/** What one block may hold. */
interface Candidate {
  readonly change: Change;
  /** From this moment on no read may return it: something later was seen. */
  replacedAt: number;
}

/** Histories longer than this are cleared of what no read can return any more. */
const CANDIDATES_KEPT = 8;

export class ExpectedContent {
  readonly #blocks: Candidate[][];
  /** Answered and not known to be durable, in the order of their answers. */
  #unflushed: Change[] = [];
  readonly #readsUnderWay = new Set<number>();
  #moment = 0;

  /** A volume of zeroes. */
  constructor(readonly blockCount: number) {
    const change: Change = {
      ...{ kind: 'write-zeroes', firstBlock: 0, blockCount, connection: -1, fua: true },
      ...{ serial: 0, outcome: 'answered', settledAt: 0, durable: true },
    };
    this.#blocks = Array.from({ length: blockCount }, () => [{ change, replacedAt: Infinity }]);
  }

  /** Answered changes that no flush has covered. */
  get unflushedCount(): number {
    return this.#unflushed.length;
  }

  begin(wish: ChangeWish): Change {
    const serial = this.#next();
    const change: Change = {
      ...wish,
      ...{ serial, outcome: 'waiting', settledAt: Infinity, durable: false },
    };
    for (let index = 0; index < wish.blockCount; index += 1) {
      const block = wish.firstBlock + index;
      const candidates = this.#candidates(block);
      if (candidates.length >= CANDIDATES_KEPT) this.#blocks[block] = this.#cleared(candidates);
      this.#candidates(block).push({ change, replacedAt: Infinity });
    }
    return change;
  }

  /** The volume said that it is done. Nothing, if it was given up before. */
  answered(change: Change): void {
    if (change.outcome !== 'waiting') return;
    change.outcome = 'answered';
    change.settledAt = this.#next();
    change.durable = change.fua;
    if (!change.fua) this.#unflushed.push(change);
  }

  /** It failed, or nobody will hear its answer: it may be there, or not. */
  doubtful(change: Change): void {
    if (change.outcome !== 'waiting') return;
    change.outcome = 'doubtful';
    change.settledAt = this.#next();
  }

  /** @returns the moment, for `flushAnswered` */
  flushBegun(): number {
    return this.#next();
  }

  flushAnswered(begunAt: number): void {
    const firstAfter = this.#unflushed.findIndex((change) => change.settledAt > begunAt);
    const covered = firstAfter === -1 ? this.#unflushed.length : firstAfter;
    for (const change of this.#unflushed.slice(0, covered)) change.durable = true;
    this.#unflushed = this.#unflushed.slice(covered);
  }

  /** @returns the moment, for `readEnded` and `problemOf` */
  readBegun(): number {
    const moment = this.#next();
    this.#readsUnderWay.add(moment);
    return moment;
  }

  /** Every read that began ends once, also one that failed. */
  readEnded(begunAt: number): void {
    this.#readsUnderWay.delete(begunAt);
  }

  /**
   * Everything that was not durable may be gone: the memory of all machines was lost. Reads under way and
   * changes that wait have to be given up before.
   */
  volatileLost(): void {
    for (const change of this.#unflushed) change.outcome = 'doubtful';
    this.#unflushed = [];
    for (const candidates of this.#blocks) {
      for (const candidate of candidates) candidate.replacedAt = Infinity;
    }
  }

  /**
   * Judges what a read found in one block, and remembers it for later reads.
   * @param readBegunAt what `readBegun` returned
   * @returns what is wrong, or undefined
   */
  problemOf(block: number, found: BlockContent, readBegunAt: number): string | undefined {
    if (found.kind === 'strange') return `block ${block} ${found.detail}`;
    if (found.kind === 'stamp' && found.block !== block) {
      return `block ${block} holds what was written to block ${found.block} (write ${found.serial})`;
    }
    const candidates = this.#candidates(block);
    const alike = candidates.filter(({ change }) =>
      found.kind === 'zeroes' ? change.kind !== 'write' : change.serial === found.serial,
    );
    const allowed = alike.filter(
      (one) =>
        one.replacedAt >= readBegunAt &&
        !candidates.some((other) => replaces(other.change, one.change, readBegunAt)),
    );
    if (allowed.length === 0) return this.#explain(block, found, alike);
    const [only] = allowed;
    if (allowed.length === 1 && only !== undefined) this.#observed(candidates, only, readBegunAt);
    return undefined;
  }

  /** A read has seen `seen`: what took effect before it is gone for good. */
  #observed(candidates: readonly Candidate[], seen: Candidate, readBegunAt: number): void {
    const now = this.#next();
    for (const other of candidates) {
      if (other === seen) continue;
      const { change } = other;
      // A trim may take effect whenever it likes.
      const tookEffect =
        change.kind !== 'trim' && change.outcome === 'answered' && change.settledAt < readBegunAt;
      if (tookEffect || precedes(change, seen.change)) {
        other.replacedAt = Math.min(other.replacedAt, now);
      }
    }
  }

  #explain(block: number, found: BlockContent, alike: readonly Candidate[]): string {
    const promised = this.#candidates(block).filter(({ change }) => change.outcome === 'answered');
    const last = promised.at(-1)?.change;
    const flushed = last?.durable === true ? ', flushed' : '';
    const expected =
      last === undefined ? 'something else' : `${last.kind} ${last.serial} (answered${flushed})`;
    const content = found.kind === 'stamp' ? `write ${found.serial}` : 'zeroes';
    if (alike.length === 0 && found.kind === 'zeroes') {
      return `block ${block} holds zeroes although ${expected} is the last that it was promised: lost`;
    }
    const replacedLater = alike.some(({ replacedAt }) => replacedAt < Infinity);
    const how = replacedLater ? 'and something newer had been read already' : 'which is older';
    return `block ${block} holds ${content}, ${how}; the last promise was ${expected}`;
  }

  #cleared(candidates: readonly Candidate[]): Candidate[] {
    const oldestRead = Math.min(this.#moment, ...this.#readsUnderWay);
    return candidates.filter(
      ({ change }) =>
        change.outcome === 'waiting' ||
        !candidates.some(
          (other) => other.change.durable && replaces(other.change, change, oldestRead),
        ),
    );
  }

  #candidates(block: number): Candidate[] {
    const candidates = this.#blocks[block];
    if (candidates === undefined) throw new Error(`block ${block} of ${this.blockCount}`);
    return candidates;
  }

  #next(): number {
    this.#moment += 1;
    return this.#moment;
  }
}

function precedes(first: Change, second: Change): boolean {
  if (first.settledAt < second.serial) return true;
  return first.connection === second.connection && first.serial < second.serial;
}

/** True if a read submitted at `moment` must not return `older` because of `newer`. */
function replaces(newer: Change, older: Change, moment: number): boolean {
  return (
    newer.kind !== 'trim' &&
    newer.outcome === 'answered' &&
    newer.settledAt < moment &&
    precedes(older, newer)
  );
}
