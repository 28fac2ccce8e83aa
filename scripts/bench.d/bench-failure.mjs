/** A reason to end that is meant for people: printed without a stack. */
export class BenchFailure extends Error {
  name = 'BenchFailure';

  /** @param exitCode 1 failed, 2 wrong usage */
  constructor(message, exitCode = 1) {
    super(message);
    this.exitCode = exitCode;
  }
}
