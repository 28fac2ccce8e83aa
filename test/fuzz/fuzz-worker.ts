/**
 * The process that fuzzes one target. It writes each input to a file before it executes it, so that who
 * started it (fuzz-command.ts) can tell what a process was at that hung or died.
 */
import { register } from 'node:module';
import fs from 'node:fs';
import { installCoverage } from './coverage.js';
import { MeasuredFinding, type FuzzTarget } from './fuzz-target.js';
import { FuzzLoop, type FoundInput } from './fuzz-loop.js';
import { addToCorpus, keepFinding, readCorpus } from './corpus.js';
import { shrunkInput } from './input-shrinker.js';
import { SeededRandom } from '#test/simulation/seeded-random.js';

/** What the process is asked to do, as JSON in its first argument. */
export interface WorkerTask {
  /** URL of the module with FUZZ_TARGETS. */
  readonly table: string;
  readonly target: string;
  readonly seconds: number;
  /** Infinity is null in JSON: no limit. */
  readonly executionsMax: number | null;
  readonly seed: number;
  /** Holds the input that is being executed. */
  readonly inputFile: string;
  readonly findingsFolder: string;
  /** Where inputs that reach something are put; undefined keeps none. */
  readonly corpusFolder?: string | undefined;
  /** At most so many of them. */
  readonly corpusMax: number;
}

interface TargetTable {
  readonly FUZZ_TARGETS: readonly FuzzTarget[];
}

/** What it tells meanwhile and at its end. */
export interface WorkerReport {
  readonly executions: number;
  readonly elapsedMs: number;
  readonly corpusSize: number;
  readonly branches: number;
  readonly isOver: boolean;
  /** Set at the end if a rule was broken. */
  readonly finding?: { readonly sentence: string; readonly file: string };
}

const REPORT_EVERY_MS = 500;

async function main(task: WorkerTask): Promise<void> {
  const coverage = installCoverage();
  register('./instrumenting-loader.js', import.meta.url);
  // Only now: what it imports must be instrumented.
  const { FUZZ_TARGETS } = (await import(task.table)) as TargetTable;
  const target = FUZZ_TARGETS.find(({ name }) => name === task.target);
  if (target === undefined) throw new Error(`there is no target named ${task.target}`);
  const inputFd = fs.openSync(task.inputFile, 'w');
  const random = new SeededRandom(task.seed, target.name);
  const loop = new FuzzLoop(target, coverage, random, (input) => {
    fs.ftruncateSync(inputFd, 0);
    fs.writeSync(inputFd, input, 0, input.length, 0);
  });
  try {
    await search(task, target, loop, () => coverage.branchCount());
  } finally {
    target.close?.();
    fs.closeSync(inputFd);
  }
}

async function search(
  task: WorkerTask,
  target: FuzzTarget,
  loop: FuzzLoop,
  branches: () => number,
): Promise<void> {
  const startedMs = performance.now();
  const report = (end?: Partial<WorkerReport>): void => {
    const elapsedMs = performance.now() - startedMs;
    const { executions, inputs } = loop;
    const facts = { executions, elapsedMs, corpusSize: inputs.length, branches: branches() };
    process.send?.({ ...facts, isOver: false, ...end });
  };
  const executionsMax = task.executionsMax ?? Infinity;
  // From now on silence is an input's fault.
  report();
  await new Promise((resolve) => setImmediate(resolve));
  let found = loop.begin([...target.seeds(), ...readCorpus(target.name)]);
  for (let reportedMs = startedMs; found === undefined;) {
    const nowMs = performance.now();
    if (nowMs - startedMs >= task.seconds * 1000 || loop.executions >= executionsMax) break;
    if (nowMs - reportedMs >= REPORT_EVERY_MS) {
      reportedMs = nowMs;
      report();
      // The report is sent between turns of the event loop.
      await new Promise((resolve) => setImmediate(resolve));
    }
    found = loop.round();
  }
  if (task.corpusFolder !== undefined)
    addToCorpus(task.corpusFolder, target.name, loop.inputs, task.corpusMax);
  report(
    found === undefined ? { isOver: true } : { isOver: true, finding: kept(task, target, found) },
  );
}

function kept(
  task: WorkerTask,
  target: FuzzTarget,
  { finding, input }: FoundInput,
): NonNullable<WorkerReport['finding']> {
  // Measurements would be taken thousands of times.
  const shrunk = finding instanceof MeasuredFinding ? input : shrunkInput(target, input);
  return { sentence: finding.message, file: keepFinding(task.findingsFolder, target.name, shrunk) };
}

await main(JSON.parse(process.argv[2] ?? '{}') as WorkerTask);
process.disconnect?.();
