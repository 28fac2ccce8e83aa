/**
 * What the model knows of one block: the states it may have, in the order in which they were submitted.
 *
 *      durable      answered     uncertain    in flight
 *     ----0-------------1------------2------------3------->  order of submission
 *                       `floor
 *
 * - A read never returns anything before the **floor**: the last answered (or durable) state that was
 *   submitted before the read. What comes after the floor it may return: it took effect, or it may have.
 * - An **uncertain** state (its request failed, or its daemon died before it was answered) may have taken
 *   effect and may not. The first read that is submitted after the uncertainty began settles which: no
 *   request is executed any more before such a read that is not ordered before it. From then on the block is
 *   **pinned**: later reads return the same until something is submitted again, and states behind the one
 *   that was seen are **gone**.
 * - When the node's cache is lost, states that are neither durable nor in a replay log that will be sent
 *   again become uncertain; a pin on such a state ends, and what was gone may be what is left on the disk.
 */
import type { Change } from './change.js';

interface State {
  readonly change: Change;
  readonly content: number;
  /** When a read showed that it did not take effect; Infinity: not shown. */
  goneSince: number;
}

interface Pin {
  readonly content: number;
  /** The newest change that may be what was seen: there are many ways to zeroes. */
  readonly change: Change;
  readonly since: number;
}

/** Why a content must not have been read. */
export type BadRead =
  | { readonly rule: 'an older state came back'; readonly detail: string }
  | { readonly rule: 'content nobody wrote'; readonly detail: string }
  | { readonly rule: 'a block changed by itself'; readonly detail: string };

export class BlockHistory {
  #states: State[];
  #pin: Pin | undefined;

  constructor(
    readonly block: number,
    blank: Change,
  ) {
    this.#states = [{ change: blank, content: 0, goneSince: Infinity }];
  }

  add(change: Change): void {
    this.#states.push({ change, content: change.content, goneSince: Infinity });
    this.#pin = undefined;
  }

  /**
   * Takes what a read returned.
   * @param submitted when the read was submitted
   * @param now when it was answered
   * @returns what is wrong with it, or undefined
   */
  seen(content: number, submitted: number, now: number): BadRead | undefined {
    const floor = this.#floor(submitted);
    const found = this.#lastPossible(content, floor, submitted);
    if (found === undefined) {
      // Of the time before the oldest state that is still known: an answer that lay about, frozen.
      const isOlder = submitted < (this.#states[0]?.change.submitted ?? 0);
      return isOlder ? undefined : this.#explain(content, floor, submitted);
    }
    const pin = this.#pin;
    if (pin !== undefined && submitted > pin.since && content !== pin.content) {
      return {
        rule: 'a block changed by itself',
        detail: `${this.#name(content)} after ${this.#name(pin.content)} had been read, and nothing was written between`,
      };
    }
    this.#noteMissed(found, submitted);
    if (pin === undefined) this.#settle(found, content, submitted, now);
    return undefined;
  }

  /** Whether a read has shown that the change did not take effect. */
  isGone(change: Change): boolean {
    return this.#states.some((state) => state.change === change && state.goneSince !== Infinity);
  }

  /** States may have been lost; those concerned are uncertain already. */
  cacheLost(): void {
    const durable = this.#states.findLastIndex(({ change }) => change.state === 'durable');
    const unsafe = this.#states
      .slice(durable + 1)
      .some(({ change }) => change.state === 'uncertain');
    if (!unsafe) return;
    const floor = this.#states.findLastIndex(({ change }) => change.isSure);
    if (this.#pin !== undefined && this.#states[floor]?.change === this.#pin.change) return;
    this.#pin = undefined;
    for (const state of this.#states.slice(floor + 1)) state.goneSince = Infinity;
  }

  /** Forgets what lies before the last durable state: nothing can bring it back. */
  prune(): void {
    const durable = this.#states.findLastIndex(({ change }) => change.state === 'durable');
    if (durable > 0) this.#states = this.#states.slice(durable);
  }

  /** Whether the content may be on the disk while nothing is under way. */
  mayHold(content: number): boolean {
    if (this.#pin !== undefined) return content === this.#pin.content;
    return this.#lastPossible(content, this.#floor(Infinity), Infinity) !== undefined;
  }

  describe(): string {
    const states = this.#states.map(
      ({ change, content, goneSince }) =>
        `${content === 0 ? `zeroes by ${change.name}` : change.name} ${change.state}` +
        (goneSince === Infinity ? '' : ' (gone)'),
    );
    const pin = this.#pin === undefined ? '' : `; last seen: ${this.#name(this.#pin.content)}`;
    return `${states.join(', ')}${pin}`;
  }

  #floor(submitted: number): number {
    return this.#states.findLastIndex(
      ({ change }) => change.isSure && change.submitted < submitted,
    );
  }

  #lastPossible(content: number, floor: number, submitted: number): number | undefined {
    for (let index = this.#states.length - 1; index >= Math.max(0, floor); index -= 1) {
      const state = this.#states[index];
      if (state?.content === content && state.goneSince >= submitted) return index;
    }
    return undefined;
  }

  #explain(content: number, floor: number, submitted: number): BadRead {
    const index = this.#states.findIndex((state) => state.content === content);
    const detail = `block ${this.block} read as ${this.#name(content)}; it may be: ${this.describe()}`;
    if (index === -1) return { rule: 'content nobody wrote', detail };
    const isGone = (this.#states[index]?.goneSince ?? Infinity) < submitted;
    if (index < floor && !isGone) return { rule: 'an older state came back', detail };
    return { rule: 'a block changed by itself', detail };
  }

  /** Changes in flight that were submitted before the read and that it did not see: they must not succeed. */
  #noteMissed(found: number, submitted: number): void {
    for (const { change } of this.#states.slice(found + 1)) {
      if (change.state === 'in-flight' && change.submitted < submitted)
        change.missedAtBlock ??= this.block;
    }
  }

  #settle(found: number, content: number, submitted: number, now: number): void {
    for (const { change } of this.#states) {
      const isSettled = change.isSure || change.uncertainSince < submitted;
      if (!isSettled || change.submitted > submitted) return;
    }
    const change = this.#states[found]?.change;
    if (change === undefined) return;
    this.#pin = { content, change, since: now };
    for (const state of this.#states.slice(found + 1))
      state.goneSince = Math.min(state.goneSince, now);
  }

  #name(content: number): string {
    if (content === 0) return 'zeroes';
    if (content < 0) return content === -1 ? 'a mixture' : "another block's data";
    return `write ${content}`;
  }
}
