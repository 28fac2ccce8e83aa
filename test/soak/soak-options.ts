/** The command line of a soak. */
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';

const USAGE = `usage: scripts/soak [options]

  --minutes N   how long the load lasts (default 3)
  --dir D       where the results go: samples.jsonl, events.jsonl, result.json,
                plot.svg, and the programs' logs (default tmp/soak)
  --seed N      another order of requests and disturbances (default: random)
  --rate N      requests a second on each volume (default 50)
  --json        the result as JSON on standard output
  --help

Volumes and sockets are in a folder for temporary files meanwhile (TMPDIR).
Exit status: 0 nothing grew, nothing failed; 1 something did; 2 wrong use.
`;

/** Below it there is nothing left to judge after the warm-up of a minute. */
const MINUTES_MIN = 2;
/** Ten days. */
const MINUTES_MAX = 14_400;

export interface SoakOptions {
  readonly durationMs: number;
  readonly resultFolder: string;
  readonly seed: number;
  readonly requestsPerSecond: number;
  readonly json: boolean;
}

/** Wrong use, in a sentence, or the usage that was asked for. */
export class UsageError extends Error {
  constructor(
    message: string,
    readonly isWanted: boolean,
  ) {
    super(message);
  }
}

/** @throws UsageError */
export function readOptions(words: readonly string[], randomSeed: number): SoakOptions {
  const values = parse(words);
  if (values.help) throw new UsageError(USAGE, true);
  return {
    durationMs: number('minutes', values.minutes, 3, MINUTES_MIN, MINUTES_MAX) * 60_000,
    resultFolder: path.resolve(values.dir ?? 'tmp/soak'),
    seed: number('seed', values.seed, randomSeed, 0, 2 ** 32 - 1),
    requestsPerSecond: number('rate', values.rate, 50, 1, 100_000),
    json: values.json,
  };
}

function parse(words: readonly string[]): {
  [name in 'minutes' | 'dir' | 'seed' | 'rate']?: string;
} & { json: boolean; help: boolean } {
  try {
    return parseArgs({
      args: [...words],
      options: {
        ...{ minutes: { type: 'string' }, dir: { type: 'string' }, seed: { type: 'string' } },
        rate: { type: 'string' },
        json: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    }).values;
  } catch (error) {
    throw new UsageError(`${(error as Error).message}\n${USAGE}`, false);
  }
}

function number(
  name: string,
  text: string | undefined,
  otherwise: number,
  least: number,
  most: number,
): number {
  if (text === undefined) return otherwise;
  const value = Number(text);
  if (text.trim() !== '' && value >= least && value <= most) return value;
  throw new UsageError(`--${name} takes a number from ${least} to ${most}, not "${text}"\n`, false);
}

/** Short, because a socket's path has at most 107 bytes. */
export function workFolderPrefix(): string {
  return path.join(os.tmpdir(), 'blkferry-soak-');
}
