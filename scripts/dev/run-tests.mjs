#!/usr/bin/env node
/**
 * Runs the tests of the kinds named, from their compiled form, and counts what was skipped and why.
 *
 * Test files are found by their sources (test/KIND/**\/X.test.ts) and run as test/dist/KIND/**\/X.test.js,
 * because `node --test` would also run support files, and because a compiled test whose source is gone
 * or newer must not pass for a test. The last line is always `N passed, N failed, N skipped`.
 *
 * Choosing files is the business of run-tests.d/test-files.mjs, printing of run-tests.d/test-report.mjs.
 */
import { spawnSync } from 'node:child_process';
import { setMaxListeners } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { run } from 'node:test';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { bundlePrograms } from './bundle.mjs';
import { readAllowedSkips } from './run-tests.d/allowed-skips.mjs';
import { findTestFiles, TEST_KINDS } from './run-tests.d/test-files.mjs';
import { TestReport } from './run-tests.d/test-report.mjs';

const USAGE = `usage: node scripts/dev/run-tests.mjs [options] KIND...

Kinds: ${TEST_KINDS.join(', ')}.

  --only TEXT          run the files whose path contains TEXT
  --name PATTERN       run the tests whose name matches PATTERN
  --jobs N             test files run at the same time (default 2; 1 for faults, interop, system)
  --timeout-seconds N  most time one test file may take (default: by kind, 60 to 1800)
  --verbose            print every test, not only every file
  --report FILE        also write counts, failures and skips to FILE as JSON
  --allowed-skips FILE a skip that FILE does not allow is a failure
  --coverage           measure which lines ran (c8), print a table, write tmp/coverage/
  --list               print the test files and stop
`;

/** Two suit the smallest machine the tests are meant for. */
const JOBS_DEFAULT = 2;
/** Interop tests measure memory and time, faults measure pauses; system tests emulate machines. */
const KINDS_ALONE = ['faults', 'interop', 'system'];
/** Their tests start programs, which must be made of what was compiled last. Of `system`, who boots the machines. */
const KINDS_WITH_PROGRAMS = ['contract', 'integration', 'faults', 'interop', 'soak'];
/** A file that hangs must end before a CI job does. Only programs that measure need minutes. */
const FILE_TIMEOUT_SECONDS = {
  unit: 120,
  contract: 120,
  property: 180,
  simulation: 300,
  integration: 240,
  faults: 480,
  interop: 300,
  system: 1800,
};

const rootDirectory = fileURLToPath(new URL('../..', import.meta.url));

async function main() {
  const { values, positionals } = readArguments();
  if (values.coverage) process.exit(runUnderCoverage());
  const files = findTestFiles(rootDirectory, positionals, values.only);
  if (values.list) {
    for (const file of files) console.log(file.source);
    return 0;
  }
  if (positionals.some((kind) => KINDS_WITH_PROGRAMS.includes(kind))) await bundlePrograms();
  const report = await runFiles(files, positionals, values);
  report.printSummary();
  if (values.report !== undefined) {
    writeFileSync(values.report, JSON.stringify(report.toJson(), undefined, 2) + '\n');
  }
  console.log(report.lastLine());
  return report.failedCount === 0 ? 0 : 1;
}

function readArguments() {
  const parsed = parseArgs({
    allowPositionals: true,
    options: {
      only: { type: 'string' },
      name: { type: 'string' },
      jobs: { type: 'string' },
      'timeout-seconds': { type: 'string' },
      verbose: { type: 'boolean', default: false },
      report: { type: 'string' },
      'allowed-skips': { type: 'string' },
      coverage: { type: 'boolean', default: false },
      list: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (parsed.values.help) {
    console.log(USAGE);
    process.exit(0);
  }
  if (parsed.positionals.length === 0) throw new UsageError('name at least one kind of test');
  for (const kind of parsed.positionals) {
    if (!TEST_KINDS.includes(kind)) throw new UsageError(`there is no kind of test named ${kind}`);
  }
  return parsed;
}

class UsageError extends Error {}

/** @returns the whole number that option NAME asks for, or the default. */
function countOption(values, name, defaultCount) {
  const text = values[name];
  if (text === undefined) return defaultCount;
  if (!/^[1-9][0-9]*$/.test(text)) {
    throw new UsageError(`--${name} takes a whole number above 0, not "${text}"`);
  }
  return Number(text);
}

async function runFiles(files, kinds, values) {
  const report = new TestReport({ verbose: values.verbose });
  const stop = new AbortController();
  setMaxListeners(0, stop.signal);
  const stopOnSignal = () => stop.abort();
  process.once('SIGINT', stopOnSignal).once('SIGTERM', stopOnSignal);
  const options = {
    signal: stop.signal,
    ...(values.name === undefined ? {} : { testNamePatterns: [new RegExp(values.name)] }),
  };
  for (const kind of kinds) {
    const queue = files.filter((file) => file.kind === kind);
    const jobs = countOption(values, 'jobs', KINDS_ALONE.includes(kind) ? 1 : JOBS_DEFAULT);
    const seconds = countOption(values, 'timeout-seconds', FILE_TIMEOUT_SECONDS[kind]);
    const ofKind = { ...options, timeout: seconds * 1000 };
    await Promise.all(Array.from({ length: jobs }, () => runQueue(queue, ofKind, report)));
  }
  report.finish(files, { allowEmptyFiles: values.name !== undefined });
  if (values['allowed-skips'] !== undefined) {
    report.refuseOtherSkips(readAllowedSkips(values['allowed-skips']));
  }
  return report;
}

/**
 * Runs files until none is left. Each in a run of its own: in a common run nothing says which file a test
 * belongs to when a suite shared by several files made it.
 */
async function runQueue(queue, options, report) {
  for (let file = queue.shift(); file !== undefined; file = queue.shift()) {
    if (options.signal.aborted) return;
    const files = [join(rootDirectory, file.compiled)];
    for await (const event of run({ ...options, files, concurrency: 1 })) report.add(file, event);
    report.endFile(file);
  }
}

/** Runs this program again below c8, which reads what V8 counted in it and in every process it started. */
function runUnderCoverage() {
  const c8 = join(dirname(createRequire(import.meta.url).resolve('c8/package.json')), 'bin/c8.js');
  const without = process.argv.slice(2).filter((word) => word !== '--coverage');
  const result = spawnSync(
    process.execPath,
    [
      c8,
      ...['--reporter', 'text', '--reporter', 'html', '--reporter', 'lcovonly'],
      ...['--include', 'daemon/**', '--exclude', '**/*.d.ts', '--exclude-after-remap'],
      ...['--reports-dir', 'tmp/coverage', process.execPath],
      ...[fileURLToPath(import.meta.url), ...without],
    ],
    { cwd: rootDirectory, stdio: 'inherit' },
  );
  return result.status ?? 1;
}

try {
  process.exitCode = await main();
} catch (error) {
  const isUsage = error instanceof UsageError || error.code?.startsWith('ERR_PARSE_ARGS');
  console.error(`run-tests: ${error.message}`);
  if (isUsage) console.error(USAGE);
  process.exitCode = isUsage ? 2 : 1;
}
