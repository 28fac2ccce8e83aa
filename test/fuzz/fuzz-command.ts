/**
 * The command behind `npm run fuzz`: all targets one after the other, or one; or one input again.
 * scripts/dev/fuzz.mjs starts it.
 */
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { CORPUS_FOLDER } from './corpus.js';
import { execute } from './execution.js';
import { FUZZ_TARGETS } from './targets/target-table.js';
import type { WorkerReport } from './fuzz-worker.js';
import { runWorker } from './worker-process.js';

const USAGE = `usage: npm run fuzz -- [options]

  --target NAME    only this one: ${FUZZ_TARGETS.map(({ name }) => name).join(', ')}
  --seconds N      for all targets together (default 120)
  --executions N   so many of each target, however long it takes
  --seed N         repeat a run (default: the time)
  --keep N         put up to N inputs of each target that reach something into test/fuzz/corpus
  --input FILE     only execute this input of --target
`;

const TABLE = new URL('./targets/target-table.js', import.meta.url).href;

/** Inputs that break a rule, beside other results of work in progress. */
const FINDINGS_FOLDER = 'tmp/fuzz';
/** Enough to say that a run without a limit of time is not meant. */
const DAY_SECONDS = 24 * 3600;

interface Options {
  readonly targets: readonly string[];
  readonly secondsEach: number;
  readonly executionsMax: number | null;
  readonly seed: number;
  readonly keep: number;
  readonly input: string | undefined;
}

class UsageError extends Error {}

/**
 * Runs the command.
 * @param words its arguments
 * @param print takes what goes to standard output
 * @returns the exit code: 0 all rules kept, 1 a rule was broken, 2 wrong use
 */
export async function fuzzCommand(
  words: readonly string[],
  print: (text: string) => void,
): Promise<number> {
  try {
    const options = readOptions(words);
    if (options === undefined) {
      print(USAGE);
      return 0;
    }
    return options.input === undefined
      ? await fuzz(options, print)
      : repeat(options.targets[0] ?? '', options.input, print);
  } catch (error) {
    const isUsage =
      error instanceof UsageError ||
      (error as { code?: string }).code?.startsWith('ERR_PARSE_ARGS') === true;
    if (!isUsage) throw error;
    process.stderr.write(`fuzz: ${(error as Error).message}\n${USAGE}`);
    return 2;
  }
}

async function fuzz(options: Options, print: (text: string) => void): Promise<number> {
  const folder = fs.mkdtempSync(path.join(inMemory(), 'blkferry-fuzz-'));
  let executions = 0;
  let findings = 0;
  print(`seed ${options.seed}\n`);
  print(`${row('target', 'executions', 'a second', 'inputs', 'branches')}\n`);
  try {
    for (const target of options.targets) {
      const { last, finding } = await runWorker(
        {
          table: TABLE,
          target,
          seconds: options.secondsEach,
          executionsMax: options.executionsMax,
          seed: options.seed,
          inputFile: path.join(folder, 'input.bin'),
          findingsFolder: path.resolve(FINDINGS_FOLDER),
          corpusFolder: options.keep > 0 ? CORPUS_FOLDER : undefined,
          corpusMax: options.keep,
        },
        showProgress(target),
      );
      clearProgress();
      executions += last?.executions ?? 0;
      print(`${last === undefined ? target : reportRow(target, last)}\n`);
      if (finding === undefined) continue;
      findings += 1;
      print(`${failureText(target, finding.sentence, finding.file)}\n`);
    }
  } finally {
    fs.rmSync(folder, { recursive: true, force: true });
  }
  print(
    `${executions} executions, ${findings === 0 ? 'no rule was broken' : `${findings} targets broke a rule`}\n`,
  );
  return findings === 0 ? 0 : 1;
}

/** Executes one input as it is, without counters: stack traces and debuggers show the product. */
function repeat(name: string, file: string, print: (text: string) => void): number {
  const target = FUZZ_TARGETS.find((one) => one.name === name);
  if (target === undefined) throw new UsageError('--input needs the --target that it is for');
  const finding = execute(target, fs.readFileSync(file));
  target.close?.();
  print(finding === undefined ? `${name}: no rule is broken\n` : `${name}: ${finding.message}\n`);
  return finding === undefined ? 0 : 1;
}

function failureText(target: string, sentence: string, file: string): string {
  const input = fs.readFileSync(file);
  const shown = path.relative('.', file);
  return [
    `  ${target}: ${sentence}`,
    `  input of ${input.length} bytes: ${input.subarray(0, 64).toString('hex')}${input.length > 64 ? '...' : ''}`,
    `  again: npm run fuzz -- --target ${target} --input ${shown}`,
    `  once it is mended, add it: (echo '# why'; xxd -p -c 0 ${shown}) >> test/fuzz/corpus/${target}.txt`,
  ].join('\n');
}

/** @returns undefined when help was asked for. @throws UsageError */
function readOptions(words: readonly string[]): Options | undefined {
  const { values } = parseArgs({
    args: [...words],
    options: {
      target: { type: 'string' },
      seconds: { type: 'string', default: '120' },
      executions: { type: 'string' },
      seed: { type: 'string' },
      keep: { type: 'string' },
      input: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return undefined;
  const names = FUZZ_TARGETS.map(({ name }) => name);
  if (values.target !== undefined && !names.includes(values.target))
    throw new UsageError(`there is no target named ${values.target}`);
  if (values.input !== undefined && values.target === undefined)
    throw new UsageError('--input needs the --target that it is for');
  const targets = values.target === undefined ? names : [values.target];
  const { executions } = values;
  return {
    targets,
    secondsEach:
      executions === undefined
        ? wholeNumber('seconds', values.seconds) / targets.length
        : DAY_SECONDS,
    executionsMax: executions === undefined ? null : wholeNumber('executions', executions),
    seed: values.seed === undefined ? Date.now() % 2 ** 31 : wholeNumber('seed', values.seed),
    keep: values.keep === undefined ? 0 : wholeNumber('keep', values.keep),
    input: values.input,
  };
}

function wholeNumber(name: string, text: string): number {
  if (!/^[1-9][0-9]{0,11}$/.test(text))
    throw new UsageError(`--${name} takes a whole number above 0, not "${text}"`);
  return Number(text);
}

function inMemory(): string {
  return fs.existsSync('/dev/shm') ? '/dev/shm' : os.tmpdir();
}

function row(...cells: readonly string[]): string {
  const [first = '', ...others] = cells;
  return first.padEnd(22) + others.map((cell) => cell.padStart(12)).join('');
}

function reportRow(target: string, report: WorkerReport): string {
  const { executions, elapsedMs, corpusSize, branches } = report;
  const perSecond = Math.round((executions * 1000) / Math.max(1, elapsedMs));
  return row(target, ...[executions, perSecond, corpusSize, branches].map(String));
}

function showProgress(target: string): (report: WorkerReport) => void {
  return (report) => {
    if (process.stderr.isTTY) process.stderr.write(`\r${reportRow(target, report)}`);
  };
}

function clearProgress(): void {
  if (process.stderr.isTTY) process.stderr.write('\r\u001b[K');
}
