/**
 * How many connections are being made to one node at a time. When a node comes back, every volume that lives there wants
 * one; all at once they would take from each other the places that a node has for clients it does not know yet
 * (`handshakes_max`), and a thousand handshakes of TLS that all end late are no connection at all.
 */

/** Enough to keep both ends busy over any network, and an eighth of what a node has places for. */
export const DIALS_MAX = 16;

export class DialTurns {
  #running = 0;
  readonly #waiting: (() => void)[] = [];

  constructor(readonly max = DIALS_MAX) {}

  /** Runs the work in its turn, and is what comes of it. */
  async run<Outcome>(work: () => Promise<Outcome>): Promise<Outcome> {
    if (this.#running >= this.max) {
      await new Promise<void>((resolve) => {
        this.#waiting.push(resolve);
      });
    } else this.#running += 1;
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      // The turn is handed on.
      if (next === undefined) this.#running -= 1;
      else next();
    }
  }
}
