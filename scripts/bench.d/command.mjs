/** What the commands of the bench share: options, a folder for data that is removed, where results go. */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { BenchFailure } from './bench-failure.mjs';

const SHARED = {
  ...{ dir: { type: 'string' }, json: { type: 'string' }, help: { type: 'boolean' } },
};

/** A shell's exit status after Ctrl-C. */
const EXIT_INTERRUPTED = 130;

/**
 * @param options as for util.parseArgs, besides --dir, --json and --help
 * @returns their values, `folder`, and `report(text, results)`, which prints and writes the file of --json
 * @throws BenchFailure for wrong usage; prints the usage and ends for --help
 */
export function readCommandOptions(words, usage, options) {
  const values = parse(words, usage, { ...SHARED, ...options });
  if (values.help) {
    process.stdout.write(usage);
    process.exit(0);
  }
  const report = (text, results) => {
    process.stdout.write(text);
    if (values.json !== undefined)
      writeFileSync(values.json, `${JSON.stringify(results, null, 2)}\n`);
  };
  return { ...values, folder: dataFolder(values.dir), report };
}

function parse(words, usage, options) {
  try {
    return parseArgs({ args: words, options }).values;
  } catch (error) {
    throw new BenchFailure(`${error.message}\n${usage}`, 2);
  }
}

/** @throws BenchFailure if it is named and not there */
export function dataFolder(folder) {
  if (folder === undefined) return existsSync('/dev/shm') ? '/dev/shm' : os.tmpdir();
  if (existsSync(folder)) return path.resolve(folder);
  throw new BenchFailure(`--dir ${folder}: there is no such folder; make it first`, 2);
}

export function positive(option, text, otherwise) {
  if (text === undefined) return otherwise;
  const value = Number(text);
  if (value > 0 && Number.isFinite(value)) return value;
  throw new BenchFailure(`${option} ${text} is not a number above 0`, 2);
}

/** @param list names with commas, or undefined @returns those of `all`, by default all @throws BenchFailure */
export function chosen(option, list, all, nameOf) {
  if (list === undefined) return all;
  return list.split(',').map((name) => {
    const found = all.find((one) => nameOf(one) === name.trim());
    if (found !== undefined) return found;
    throw new BenchFailure(
      `${option}: there is no ${name}; known: ${all.map(nameOf).join(', ')}`,
      2,
    );
  });
}

/** @param cleanUp what a signal does before the process ends */
export function stopOnSignals(cleanUp) {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
    process.once(signal, () => {
      isStopped = true;
      void cleanUp().finally(() => {
        process.stderr.write('scripts/bench: stopped before the end; nothing was written\n');
        process.exit(EXIT_INTERRUPTED);
      });
    });
  }
}

/** Set by a signal; failures after it are its consequences. */
let isStopped = false;

export function wasStopped() {
  return isStopped;
}

/**
 * Runs with a new folder in the data folder, and removes it; programs are ended with the process.
 * @param work is given the folder and `atEnd`, which takes what must be undone before the folder goes, the last first,
 *   also after a signal
 */
export async function withFolder({ folder }, work) {
  const own = mkdtempSync(path.join(folder, 'blkferry-bench-'));
  const undoing = [];
  let ending;
  const end = async () => {
    while (undoing.length > 0) await undoing.pop()();
    rmSync(own, { recursive: true, force: true });
  };
  // Once: a signal makes the work fail, and then both want it.
  const endOnce = () => (ending ??= end());
  stopOnSignals(endOnce);
  try {
    return await work(own, (undo) => undoing.push(undo));
  } finally {
    await endOnce();
  }
}
