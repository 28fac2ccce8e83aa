/**
 * How the command ends: every exit code with its meaning, and the one error class that carries it.
 * Scripts depend on these numbers: they are never reused. StorageError and file errors become a
 * CommandError in command-failure.ts.
 */

/** Why a command failed, as it stands in `--json` errors. */
export type FailureCode =
  | 'failed'
  | 'usage'
  | 'not-found'
  | 'refused'
  | 'unreachable'
  | 'verification-failed'
  | 'no-space'
  | 'interrupted';

export const EXIT_OK = 0;

/** 130 is what shells report for a command ended by Ctrl-C. */
export const EXIT_CODES: Readonly<Record<FailureCode, number>> = {
  failed: 1,
  usage: 2,
  'not-found': 3,
  refused: 4,
  unreachable: 5,
  'verification-failed': 6,
  'no-space': 7,
  interrupted: 130,
};

const MEANINGS: Readonly<Record<FailureCode, string>> = {
  failed: 'it failed for a reason that none of the others names',
  usage: 'the command line is wrong; nothing was done',
  'not-found': 'no such volume, export or file',
  refused: 'in use, already there, held by another writer, or not allowed',
  unreachable: 'the node or the daemon does not answer, or went away',
  'verification-failed': 'what was read back differs from what was written',
  'no-space': 'no space, or a limit was reached',
  interrupted: 'ended by Ctrl-C or a signal',
};

/** The paragraph at the end of `blkferry --help`. */
export function exitCodesHelp(): string {
  const lines = [`  ${String(EXIT_OK).padEnd(4)} it worked`];
  for (const code of Object.keys(EXIT_CODES) as FailureCode[]) {
    lines.push(`  ${String(EXIT_CODES[code]).padEnd(4)} ${MEANINGS[code]}`);
  }
  return `Exit codes:\n${lines.join('\n')}`;
}

/** Ends a command with an exit code and a sentence for people. */
export class CommandError extends Error {
  override readonly name = 'CommandError';

  constructor(
    readonly code: FailureCode,
    message: string,
    options?: { cause?: unknown },
  ) {
    super(message, options);
  }

  get exitCode(): number {
    return EXIT_CODES[this.code];
  }
}
