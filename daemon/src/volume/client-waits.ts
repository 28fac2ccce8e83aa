/** How many requests of a volume's clients wait for their answer, for whoever is to expect the next thing soon. */

/** As runtime/busy-poll.ts has it. */
export interface Expectation {
  asked(volume: object, unanswered: number): void;
  answered(volume: object, unanswered: number): void;
}

export class ClientWaits {
  #unanswered = 0;

  constructor(readonly expectation: Expectation | undefined) {}

  asked(): void {
    this.#unanswered += 1;
    this.expectation?.asked(this, this.#unanswered);
  }

  answered(): void {
    this.#unanswered -= 1;
    this.expectation?.answered(this, this.#unanswered);
  }
}
