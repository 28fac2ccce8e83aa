/**
 * The whole way from a process to the verdict: a program that really leaks, measured as the programs of a soak
 * are, is found to grow; the same program without the leak is not.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { temporaryFolder } from '#test/support/temporary-folder.js';
import { judgeGrowth, type Metric } from '../../soak/growth-judge.js';
import { readProcess, sampleProcess, type ProcessSample } from '../../soak/process-sample.js';

const PROBE = new URL('../../soak/process-probe.js', import.meta.url).href;
const SAMPLES = 24;
const INTERVAL_MS = 40;
const START_MS = 20_000;

/** Does the same work with and without leaking: makes buffers and objects, opens a file, sets a timer. */
const PROGRAM = `
import { closeSync, openSync } from 'node:fs';
const kept = [];
setInterval(() => {
  const work = { words: Array.from({ length: 20_000 }, (_, n) => ({ n })), page: Buffer.alloc(2 ** 21, 1) };
  const fd = openSync('/dev/null');
  const timer = setTimeout(() => undefined, 1e8);
  if (process.argv[2] === 'leak') kept.push(work);
  else {
    closeSync(fd);
    clearTimeout(timer);
  }
}, 20);
`;

const METRICS = ['rssBytes', 'heapBytes', 'fds', 'handles'] as const satisfies readonly Metric[];

describe('a process measured as a soak does it', () => {
  const folder = temporaryFolder();

  async function measure(word: string): Promise<ProcessSample[]> {
    const program = path.join(folder, 'program.mjs');
    writeFileSync(program, PROGRAM);
    const child = spawn(process.execPath, ['--import', PROBE, program, word], {
      env: { ...process.env, SOAK_PROBE_FOLDER: folder },
      stdio: 'ignore',
    });
    const ended = once(child, 'close');
    const samples: ProcessSample[] = [];
    try {
      const untilMs = performance.now() + START_MS;
      while (!existsSync(path.join(folder, `${child.pid}.probe`))) {
        assert.ok(performance.now() < untilMs, 'the program did not start');
        await wait(10);
      }
      while (samples.length < SAMPLES) {
        await wait(INTERVAL_MS);
        const sample = await sampleProcess(child.pid!, folder, true);
        assert.ok(sample?.heapBytes !== undefined, 'the probe answers');
        samples.push(sample);
      }
    } finally {
      child.kill('SIGKILL');
      await ended;
    }
    assert.equal(readProcess(child.pid!), undefined, 'a process that ended has no sample');
    return samples;
  }

  function verdicts(samples: readonly ProcessSample[]): Record<string, string> {
    // The first ones are the warm-up.
    const judged = samples.slice(8);
    return Object.fromEntries(
      METRICS.map((metric) => {
        const points = judged.map((sample, at) => ({ at, value: sample[metric]! }));
        return [metric, judgeGrowth(metric, points).result];
      }),
    );
  }

  it('is found to grow if it keeps memory, files and timers', async () => {
    const grows = 'grows';
    assert.deepEqual(verdicts(await measure('leak')), {
      ...{ rssBytes: grows, heapBytes: grows, fds: grows, handles: grows },
    });
  });

  it('is found to be steady if it gives back what it took', async () => {
    const { heapBytes, fds, handles } = verdicts(await measure('no leak'));
    assert.deepEqual(
      { heapBytes, fds, handles },
      { heapBytes: 'steady', fds: 'steady', handles: 'steady' },
    );
  });
});
