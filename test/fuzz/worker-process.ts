/**
 * Starts the process that fuzzes one target and watches over it: one that says nothing for too long hangs in an
 * input and is killed, one that dies was killed by an input.
 */
import { fork } from 'node:child_process';
import fs from 'node:fs';
import { fileURLToPath } from 'node:url';
import { keepFinding } from './corpus.js';
import type { WorkerReport, WorkerTask } from './fuzz-worker.js';

/** A worker reports twice a second, and loads for some seconds; one input has a second. */
const SILENCE_MAX_MS = 30_000;
/** Small, so that an input that makes it grow without end is found before the machine suffers. */
const HEAP_MIB_MAX = 512;

const WORKER = fileURLToPath(new URL('./fuzz-worker.js', import.meta.url));

export interface WorkerOutcome {
  readonly last: WorkerReport | undefined;
  /** Undefined if no rule was broken. */
  readonly finding: { readonly sentence: string; readonly file: string } | undefined;
}

/**
 * @param onReport hears how it goes on
 * @param silenceMaxMs a worker that does not report for so long hangs
 */
export function runWorker(
  task: WorkerTask,
  onReport: (report: WorkerReport) => void,
  silenceMaxMs = SILENCE_MAX_MS,
): Promise<WorkerOutcome> {
  const child = fork(WORKER, [JSON.stringify(task)], {
    execArgv: [`--max-old-space-size=${HEAP_MIB_MAX}`],
  });
  let last: WorkerReport | undefined;
  let isSilent = false;
  const watch = setTimeout(() => {
    isSilent = true;
    child.kill('SIGKILL');
  }, silenceMaxMs);
  child.on('message', (report) => {
    last = report as WorkerReport;
    watch.refresh();
    onReport(last);
  });
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('exit', (code, signal) => {
      clearTimeout(watch);
      if (last?.isOver === true) {
        resolve({ last, finding: last.finding });
        return;
      }
      if (last === undefined) {
        reject(new Error(`the process for ${task.target} did not start (${signal ?? code ?? ''})`));
        return;
      }
      const end = isSilent ? `hung for ${silenceMaxMs} ms` : `died (${signal ?? code ?? ''})`;
      const sentence = `the process ${end}, most likely of this input`;
      const input = fs.existsSync(task.inputFile)
        ? fs.readFileSync(task.inputFile)
        : Buffer.alloc(0);
      resolve({
        last,
        finding: { sentence, file: keepFinding(task.findingsFolder, task.target, input) },
      });
    });
  });
}
