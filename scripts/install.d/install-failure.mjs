/** Why an installation cannot be made or removed, in a sentence that says what to do. */
export class InstallFailure extends Error {
  name = 'InstallFailure';

  /** @param exitCode 2 for wrong usage */
  constructor(message, exitCode = 1) {
    super(message);
    this.exitCode = exitCode;
  }
}
