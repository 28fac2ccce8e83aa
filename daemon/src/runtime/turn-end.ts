/** What is to be done once at the end of a turn of the event loop, however often it is asked for in that turn. */
export class TurnEnd {
  #isExpected = false;

  /** @param defer runs a callback later in the turn */
  constructor(
    readonly defer: (callback: () => void) => void,
    readonly run: () => void,
  ) {}

  expect(): void {
    if (this.#isExpected) return;
    this.#isExpected = true;
    this.defer(this.#onEnd);
  }

  readonly #onEnd = (): void => {
    this.#isExpected = false;
    this.run();
  };
}
