/**
 * The model: what the contract (README.md, "What is promised about your data") allows clients to see, given
 * what was submitted, answered and destroyed so far. It knows nothing of sessions, logs or caches; block by
 * block it is block-history.ts. Its rules, by the contract's numbers:
 *
 * 1. A flush that succeeds makes every change durable that was answered before the flush was submitted, on
 *    any connection. A change with FUA that succeeds is durable.
 * 2. A change that was answered stays, whatever dies, as long as its writer keeps the lease. Once somebody
 *    else has taken the volume over, the replay log of the writer before is void: what of it was answered and
 *    not flushed is **exposed**, and may go with the node's cache (a power cut, a failed sync). It may have
 *    gone already if the node had lost it before the lease moved. What is durable stays, also if the lease moves
 *    while the writer is sending its log again. An uncertain state may be seen and then be covered again by an
 *    older answered one of the log.
 *    With a write cache that also goes for what the node had not done yet, and the old writer may answer such a
 *    change until it hears that the lease has moved; what it answered then is never seen.
 * 3. A read sees every change that was answered, and every change that succeeds and was submitted, before the
 *    read was submitted.
 * 4. Changes keep their order of submission for ever: a block never goes back to before one that is sure.
 * 5. When the lease moves, the old writer's changes under way become uncertain. What is submitted to it from
 *    then on, change, read or flush, must not succeed, and no write of it may be handed to the backend; once
 *    the new holder has heard of its lease, none may take effect either. Only what it has read ahead it may still
 *    answer reads with, for READ_AHEAD_AGE_MS.
 * 6. An error needs a reason: the volume says that it does not serve (failing, fenced, connecting, closed), or
 *    a disk fault was injected. So does fencing: the lease was given to somebody else, or the disk failed.
 *
 * A request that failed, or that nobody can be told about because its daemon died, is **uncertain**: both
 * outcomes are allowed, until a later read shows which it was.
 */
import type { BlockRequest } from '#daemon/block/block-request.js';
import { READ_AHEAD_AGE_MS } from '#daemon/volume/read-ahead.js';
import { readContent } from './block-content.js';
import { BlockHistory } from './block-history.js';
import { Change } from './change.js';
import type { World } from './world.js';

/** A read or flush under way. */
export interface Asked {
  readonly writer: string;
  readonly submitted: number;
}

export class HistoryModel {
  /** A disk fault was injected: errors need no further reason. */
  diskIsSuspect = false;
  readonly #blocks: BlockHistory[];
  readonly #inFlight = new Set<Change>();
  /** Answered and not durable, in order of answers. */
  readonly #unflushed = new Set<Change>();
  readonly #changes = new Map<number, Change>();
  readonly #lateFor = new Map<Change, 'undecided' | 'cache lost'>();
  /** When each former holder lost the lease. */
  readonly #movedAt = new Map<string, { readonly order: number; readonly nowMs: number }>();
  #order = 0;
  #changeCount = 0;
  #holder: string | undefined;
  #generation = 0;
  /** Reads submitted before this are not looked at. */
  #blindUntil = 0;
  /** The newest lease that its holder has heard of. */
  #toldHolder: string | undefined;
  #toldGeneration = 0;

  constructor(
    readonly world: World,
    readonly blockCount: number,
    readonly blockBytes: number,
    readonly writeCache = false,
    readonly readAhead = false,
  ) {
    const blank = new Change(0, 'blank', '', 0, 0, blockCount, false);
    blank.state = 'durable';
    this.#blocks = Array.from({ length: blockCount }, (_, block) => new BlockHistory(block, blank));
  }

  get holder(): string | undefined {
    return this.#holder;
  }

  submitChange(
    writer: string,
    request: { kind: string; first: number; count: number; fua: boolean },
  ): Change {
    this.#changeCount += 1;
    const { kind, first, count, fua } = request;
    const change = new Change(this.#changeCount, kind, writer, this.#next(), first, count, fua);
    change.isOnItsWay = this.writeCache && !fua;
    this.#changes.set(change.id, change);
    // After the lease has moved nothing of it may ever be seen, so it is no state of its blocks.
    if (writer !== this.#holder) return change;
    this.#inFlight.add(change);
    for (const history of this.#blocksOf(change)) history.add(change);
    return change;
  }

  submitOther(writer: string): Asked {
    return { writer, submitted: this.#next() };
  }

  changeSucceeded(change: Change): void {
    if (!this.#inFlight.delete(change)) {
      this.#lateSuccess(change);
      return;
    }
    this.#becameSure(change);
  }

  changeFailed(change: Change): void {
    if (this.#inFlight.delete(change)) this.#becameUncertain(change);
  }

  readSucceeded(asked: Asked, first: number, payload: Buffer): void {
    if (this.#isTooLate(asked, 'read')) return;
    if (asked.submitted < this.#blindUntil) return;
    const now = this.#next();
    for (let index = 0; index * this.blockBytes < payload.length; index += 1) {
      const block = first + index;
      const bytes = payload.subarray(index * this.blockBytes, (index + 1) * this.blockBytes);
      const bad = this.#blocks[block]?.seen(readContent(bytes, block), asked.submitted, now);
      if (bad === undefined) continue;
      this.world.broken(bad.rule, bad.detail);
      return;
    }
  }

  flushSucceeded(asked: Asked): void {
    if (this.#isTooLate(asked, 'flush')) return;
    for (const change of this.#unflushed) {
      if (change.answered > asked.submitted) break;
      this.#becameDurable(change);
    }
  }

  /** The daemon died: nobody will be told what became of its requests. */
  daemonDied(writer: string): void {
    this.#abandon(writer);
  }

  /** The record that the node checks requests against has another holder or generation. */
  leaseMoved(holder: string | undefined, generation: number): void {
    if (generation < this.#generation) {
      this.world.broken('one writer', `generation ${generation} after ${this.#generation}`);
      return;
    }
    const before = this.#holder;
    this.#holder = holder;
    this.#generation = generation;
    if (before === holder) return;
    if (before !== undefined)
      this.#movedAt.set(before, { order: this.#next(), nowMs: this.world.nowMs });
    this.world.note(`model: the lease moved from ${before ?? 'nobody'} to ${holder ?? 'nobody'}`);
    for (const change of this.#inFlight)
      this.#lateFor.set(change, change.goesWithItsWriter ? 'cache lost' : 'undecided');
    if (before !== undefined) this.#abandon(before);
    this.#expose((change) => change.goesWithItsWriter, 'its replay log is void');
  }

  /** Another has had the lease after this one, even if a late call of this one has it now. */
  hasLostLease(holder: string): boolean {
    return this.#movedAt.has(holder);
  }

  /** The holder has heard of its lease. */
  leaseTold(holder: string, generation: number): void {
    if (generation <= this.#toldGeneration) return;
    this.#toldHolder = holder;
    this.#toldGeneration = generation;
  }

  /** A session of the writer begins: it may send its log again, also over what was seen and never answered. */
  sessionOpened(writer: string): void {
    const now = this.#next();
    if (writer === this.#holder) this.#blindUntil = Math.min(this.#blindUntil, now);
    for (const history of this.#blocks) history.cacheLost();
  }

  /**
   * The node lost its cache behind an open session. The writer hears of it at its next flush at the latest and
   * opens another session; what is read until then is what is left, and nobody can tell.
   */
  engineRestarted(): void {
    this.cacheLost('the engine restarted');
    this.#blindUntil = Infinity;
  }

  /** What was in the node's cache only may be lost. */
  cacheLost(why: string): void {
    for (const change of this.#unflushed) change.isOnlyLogged = true;
    for (const change of this.#inFlight) change.isOnlyLogged = true;
    for (const change of this.#lateFor.keys()) this.#lateFor.set(change, 'cache lost');
    this.#expose((change) => change.writer !== this.#holder, why);
  }

  /** A change came to the node's backend. */
  reachedBackend(request: BlockRequest, when: 'submitted' | 'applied'): void {
    if (request.kind !== 'write') return;
    const id = request.payload[0]?.readUInt32LE(0) ?? 0;
    const change = this.#changes.get(id);
    const writer = change?.writer;
    const blocks = request.lengthBytes / this.blockBytes;
    // A write that fails half done is reported too.
    const isDone = when === 'applied' && !this.diskIsSuspect && change?.count === blocks;
    if (change !== undefined && isDone) change.isOnItsWay = false;
    const allowed = when === 'submitted' ? this.#holder : this.#toldHolder;
    if (writer === allowed || (when === 'applied' && writer === this.#holder)) return;
    const by = writer ?? 'nobody';
    this.world.broken(
      'one writer',
      `write ${id} of ${by} was ${when} at the backend while ${allowed ?? 'nobody'} holds the lease`,
    );
  }

  /** An error was answered although the volume says that it serves. */
  unexplainedError(what: string, sentence: string): void {
    if (!this.diskIsSuspect)
      this.world.broken('an error needs a reason', `${what} failed: ${sentence}`);
  }

  /** Whether the block may hold this while nothing is under way. */
  mayHold(block: number, bytes: Buffer): boolean {
    return this.#blocks[block]?.mayHold(readContent(bytes, block)) === true;
  }

  describe(block: number): string {
    return this.#blocks[block]?.describe() ?? '';
  }

  #lateSuccess(change: Change): void {
    const late = this.#lateFor.get(change);
    if (late === undefined && change.isOnItsWay) return;
    if (late === undefined) {
      this.world.broken(
        'one writer',
        `${change.name} was submitted to ${change.writer} after the lease had moved to ${this.#holder ?? 'nobody'}, and succeeded`,
      );
      return;
    }
    this.#lateFor.delete(change);
    this.world.count('answers that came after the lease had moved');
    if (late === 'cache lost') return;
    for (const history of this.#blocksOf(change)) {
      if (!history.isGone(change)) continue;
      this.world.broken(
        'a read sees what was answered',
        `${change.name} succeeded, but a read of the next writer did not see it in block ${history.block}`,
      );
    }
    this.#becameSure(change);
  }

  #becameSure(change: Change): void {
    change.state = 'answered';
    change.answered = this.#next();
    if (change.missedAtBlock !== undefined) {
      this.world.broken(
        'a read sees what was answered',
        `${change.name} succeeded, but a read submitted after it did not see it in block ${change.missedAtBlock}`,
      );
    }
    this.#unflushed.add(change);
    if (change.fua) this.#becameDurable(change);
  }

  #becameDurable(change: Change): void {
    change.state = 'durable';
    this.#unflushed.delete(change);
    for (const history of this.#blocksOf(change)) history.prune();
  }

  #becameUncertain(change: Change): void {
    change.becomeUncertain(this.#order);
  }

  #expose(isLost: (change: Change) => boolean, why: string): void {
    this.#next();
    for (const change of this.#unflushed) {
      if (!isLost(change)) continue;
      this.world.count('answered changes exposed by a takeover and perhaps lost');
      this.world.note(`model: ${change.name} of ${change.writer} may be lost: ${why}`);
      this.#unflushed.delete(change);
      this.#becameUncertain(change);
    }
    for (const history of this.#blocks) history.cacheLost();
  }

  #abandon(writer: string): void {
    this.#next();
    for (const change of this.#inFlight) {
      if (change.writer !== writer) continue;
      this.#inFlight.delete(change);
      this.#becameUncertain(change);
    }
  }

  #isTooLate({ writer, submitted }: Asked, kind: string): boolean {
    const moved = this.#movedAt.get(writer);
    if (writer === this.#holder || submitted < (moved?.order ?? 0)) return false;
    if (kind === 'read' && this.readAhead && moved !== undefined) {
      if (this.world.nowMs - moved.nowMs <= READ_AHEAD_AGE_MS) {
        this.world.count('reads of a former writer, answered with what it had read ahead');
        return true;
      }
    }
    this.world.broken(
      'one writer',
      `a ${kind} submitted to ${writer} after its lease had gone was answered with success`,
    );
    return true;
  }

  *#blocksOf(change: Change): Generator<BlockHistory> {
    for (let block = change.first; block < change.first + change.count; block += 1) {
      const history = this.#blocks[block];
      if (history !== undefined) yield history;
    }
  }

  #next(): number {
    this.#order += 1;
    return this.#order;
  }
}
