/**
 * A process of the simulation: it dies at once and for ever, or is stopped (SIGSTOP) and goes on later.
 * Whatever happens to it, timers, messages, what it put off for the end of a turn, comes through `deliver`;
 * what comes to a dead one is lost, what comes to a stopped one waits.
 */
import type { Clock } from '#daemon/runtime/clock.js';
import type { World } from './world.js';

export class SimulatedProcess {
  #state: 'running' | 'stopped' | 'dead' = 'running';
  readonly #waiting: (() => void)[] = [];
  readonly #atDeath: (() => void)[] = [];
  /** Deliveries until it dies by itself; undefined: it does not. */
  #deliveriesLeft: number | undefined;
  #deathAfterwards: (() => void) | undefined;
  /** How much more time than the world its clock says to have passed. */
  #aheadMs = 0;

  constructor(
    readonly world: World,
    readonly name: string,
  ) {}

  get isAlive(): boolean {
    return this.#state !== 'dead';
  }

  get isStopped(): boolean {
    return this.#state === 'stopped';
  }

  /** Its own clock: a timer of a dead process never fires. */
  readonly clock: Clock = {
    nowMs: () => this.world.nowMs + this.#aheadMs,
    setTimer: (delayMs, callback) =>
      this.world.schedule(delayMs, () => {
        this.deliver(callback);
      }),
  };

  /** Its clock jumps, and no timer has fired for it: a machine that was paused, or moved to another host. */
  skipTime(byMs: number): void {
    this.#aheadMs += byMs;
  }

  /** Lets something happen to the process now, in an event of the world. */
  deliver(callback: () => void): void {
    if (this.#state === 'dead') return;
    if (this.#state === 'stopped') {
      this.#waiting.push(callback);
      return;
    }
    const outer = this.world.running;
    this.world.running = this;
    callback();
    if (outer !== undefined) this.world.running = outer;
    if (this.#deliveriesLeft === undefined) return;
    this.#deliveriesLeft -= 1;
    if (this.#deliveriesLeft > 0) return;
    this.#deliveriesLeft = undefined;
    // After what follows from this event, before anything else.
    this.world.scheduleFirst(() => this.#deathAfterwards?.());
  }

  /** As `setImmediate`: later, after what is already on its way in this moment. */
  defer(callback: () => void): void {
    this.world.schedule(0, () => {
      this.deliver(callback);
    });
  }

  /** Dies by `kill` after so many more deliveries: between any two steps, not only between two requests. */
  dieAfter(deliveries: number, kill: () => void): void {
    this.#deliveriesLeft = deliveries;
    this.#deathAfterwards = kill;
  }

  /** Takes `dieAfter` back. */
  spare(): void {
    this.#deliveriesLeft = undefined;
    this.#deathAfterwards = undefined;
  }

  whenDead(callback: () => void): void {
    this.#atDeath.push(callback);
  }

  kill(): void {
    if (this.#state === 'dead') return;
    this.#state = 'dead';
    this.#waiting.length = 0;
    for (const callback of this.#atDeath.splice(0)) callback();
  }

  stop(): void {
    if (this.#state === 'running') this.#state = 'stopped';
  }

  /** What waited happens in order, each in an event of its own. */
  resume(): void {
    if (this.#state === 'stopped') this.#goOn();
  }

  /** What comes meanwhile lines up behind what waited. */
  #goOn(): void {
    this.world.schedule(0, () => {
      if (this.#state !== 'stopped') return;
      const next = this.#waiting.shift();
      if (next === undefined) {
        this.#state = 'running';
        return;
      }
      this.#state = 'running';
      this.deliver(next);
      if (this.isAlive) this.#state = 'stopped';
      this.#goOn();
    });
  }
}
