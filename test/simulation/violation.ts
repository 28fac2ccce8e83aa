/** A broken rule: which one, and what was seen. */
export class Violation extends Error {
  override readonly name = 'Violation';

  constructor(
    /** Short and always the same for one rule; shrinking keeps to it. */
    readonly rule: string,
    readonly detail: string,
  ) {
    super(`${rule}: ${detail}`);
  }
}
