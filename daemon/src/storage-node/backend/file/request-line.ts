/**
 * Lets a request of a volume take several turns of the event loop without losing its place: what comes
 * meanwhile waits behind it, in order. While no such request is under way nothing waits. Reads share: they do not wait
 * for each other, only for a change that is under way or waits before them; and a change waits for all of them.
 *
 * Nothing here limits how many wait: they are unanswered requests of sessions, which have a limit.
 */

/** Does the next piece of a request, or has another thread do it. True when there is none left; throws when it fails. */
export type Step = () => boolean | Promise<boolean>;

export class RequestLine {
  #busy = false;
  #shared = 0;
  #waiting: { readonly work: () => void; readonly isShared: boolean }[] = [];
  #idle: (() => void)[] = [];

  /** True if what enters now begins at once. */
  get isFree(): boolean {
    return this.isShareable && this.#shared === 0;
  }

  /** True if a read that enters now begins at once. */
  get isShareable(): boolean {
    return !this.#busy && this.#waiting.length === 0;
  }

  /** Begins the work when everything before it has ended; if it is a read, every change before it. */
  enter(work: () => void, isShared = false): void {
    if (isShared ? this.isShareable : this.isFree) work();
    else this.#waiting.push({ work, isShared });
  }

  /** A read whose turn it is goes on in later turns. */
  share(): void {
    this.#shared += 1;
  }

  /** It has ended. */
  unshare(): void {
    this.#shared -= 1;
    if (this.#shared === 0) this.#advance();
  }

  /** Takes the first step now and, if there are more, one in each turn. Called by work whose turn it is. */
  run(step: Step, done: (error: unknown) => void): void {
    const first = attempt(step);
    if (first === true || first instanceof Failure) {
      done(causeOf(first));
      return;
    }
    this.#busy = true;
    const next = (outcome: Outcome): void => {
      if (outcome instanceof Promise) {
        void outcome.then(next, (cause: unknown) => {
          next(new Failure(cause));
        });
      } else if (outcome === false) {
        setImmediate(() => {
          next(attempt(step));
        });
      } else {
        this.#busy = false;
        done(causeOf(outcome));
        this.#advance();
      }
    };
    next(first);
  }

  /** Resolves when nothing is under way or waits. */
  whenIdle(): Promise<void> {
    if (this.isFree) return Promise.resolve();
    return new Promise((resolve) => {
      this.#idle.push(resolve);
    });
  }

  #advance(): void {
    while (!this.#busy) {
      const [next] = this.#waiting;
      if (next === undefined || (!next.isShared && this.#shared > 0)) break;
      this.#waiting.shift();
      next.work();
    }
    if (!this.isFree) return;
    for (const wake of this.#idle.splice(0)) wake();
  }
}

class Failure {
  constructor(readonly cause: unknown) {}
}

type Outcome = ReturnType<Step> | Failure;

function attempt(step: Step): Outcome {
  try {
    return step();
  } catch (error) {
    return new Failure(error);
  }
}

function causeOf(outcome: true | Failure): unknown {
  return outcome === true ? undefined : outcome.cause;
}
