/**
 * The command behind `npm run simulate`: many seeds with a progress line and a table of what was exercised, or
 * one seed with its whole story. scripts/dev/simulate.mjs starts it.
 */
import { parseArgs } from 'node:util';
import { CoverageTable } from './coverage-table.js';
import { reportFailure } from './failure-report.js';
import { planHistory } from './history-plan.js';
import { runHistory } from './history.js';

const USAGE = `usage: npm run simulate -- [options]

  --seeds N        how many histories (default 1000)
  --from N         the first seed (default 1)
  --seed N         only this one
  --trace          print every event of it
  --failures N     stop after so many broken seeds (default 5)
`;

interface Options {
  readonly from: number;
  readonly count: number;
  readonly trace: boolean;
  readonly failuresMax: number;
}

class UsageError extends Error {}

const PROGRESS_EVERY_MS = 500;

/**
 * Runs the command.
 * @param words its arguments
 * @param print takes what goes to standard output
 * @returns the exit code: 0 all rules kept, 1 a rule was broken, 2 wrong use
 */
export async function simulateCommand(
  words: readonly string[],
  print: (text: string) => void,
): Promise<number> {
  try {
    const options = readOptions(words);
    if (options !== undefined) return await simulate(options, print);
    print(USAGE);
    return 0;
  } catch (error) {
    const isUsage =
      error instanceof UsageError ||
      (error as { code?: string }).code?.startsWith('ERR_PARSE_ARGS') === true;
    if (!isUsage) throw error;
    process.stderr.write(`simulate: ${(error as Error).message}\n${USAGE}`);
    return 2;
  }
}

async function simulate(options: Options, print: (text: string) => void): Promise<number> {
  const table = new CoverageTable();
  const failures: number[] = [];
  const startedMs = performance.now();
  let shownMs = startedMs;
  for (let seed = options.from; seed < options.from + options.count; seed += 1) {
    const plan = planHistory(seed);
    const outcome = await runHistory(plan);
    table.add(outcome.counts);
    if (options.trace) print(`${outcome.trace.join('\n')}\n`);
    if (outcome.violation !== undefined) {
      failures.push(seed);
      clearProgress();
      print(`${await reportFailure(plan, outcome)}\n\n`);
      if (failures.length >= options.failuresMax) break;
    }
    if (performance.now() - shownMs < PROGRESS_EVERY_MS) continue;
    shownMs = performance.now();
    showProgress(seed - options.from + 1, options.count, shownMs - startedMs, failures.length);
    // Signals are heard only between turns of the event loop.
    await new Promise((resolve) => setImmediate(resolve));
  }
  clearProgress();
  const perSecond = (table.historyCount * 1000) / (performance.now() - startedMs);
  print(`${table.toString()}\n`);
  print(
    `${table.historyCount} histories, ${perSecond.toFixed(0)} a second, ` +
      `${failures.length} broke a rule${failures.length === 0 ? '' : `: ${failures.join(', ')}`}\n`,
  );
  return failures.length === 0 ? 0 : 1;
}

/** @returns undefined when help was asked for. @throws UsageError */
function readOptions(words: readonly string[]): Options | undefined {
  const { values } = parseArgs({
    args: [...words],
    options: {
      seed: { type: 'string' },
      seeds: { type: 'string', default: '1000' },
      from: { type: 'string', default: '1' },
      failures: { type: 'string', default: '5' },
      trace: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return undefined;
  const isOne = values.seed !== undefined;
  return {
    from: wholeNumber('seed', values.seed ?? values.from),
    count: isOne ? 1 : wholeNumber('seeds', values.seeds),
    trace: values.trace,
    failuresMax: wholeNumber('failures', values.failures),
  };
}

function wholeNumber(name: string, text: string): number {
  if (!/^[1-9][0-9]{0,14}$/.test(text))
    throw new UsageError(`--${name} takes a whole number above 0, not "${text}"`);
  return Number(text);
}

function showProgress(done: number, count: number, tookMs: number, failures: number): void {
  if (!process.stderr.isTTY) return;
  const leftS = Math.round(((tookMs / done) * (count - done)) / 1000);
  process.stderr.write(`\r${done} of ${count} seeds, ${failures} broken, ${leftS} s left   `);
}

function clearProgress(): void {
  if (process.stderr.isTTY) process.stderr.write('\r\u001b[K');
}
