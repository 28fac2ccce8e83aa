/**
 * The fuzzer itself: what it instruments computes what it computed before, what is planted is found, and what
 * hangs or dies is told with its input.
 */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { COVERAGE_GLOBAL, Coverage, installCoverage } from '#test/fuzz/coverage.js';
import { execute } from '#test/fuzz/execution.js';
import { fuzzCommand } from '#test/fuzz/fuzz-command.js';
import { FuzzLoop } from '#test/fuzz/fuzz-loop.js';
import type { FuzzTarget } from '#test/fuzz/fuzz-target.js';
import { shrunkInput } from '#test/fuzz/input-shrinker.js';
import { instrument } from '#test/fuzz/instrumentation.js';
import { runWorker, type WorkerOutcome } from '#test/fuzz/worker-process.js';
import { SeededRandom } from '#test/simulation/seeded-random.js';
import { temporaryFolder } from '#test/support/temporary-folder.js';

const EVERY_CONSTRUCT = `
export function run(n, list) {
  const out = [];
  if (n > 2) out.push('a'); else if (n === 2) { out.push('b'); } else out.push('c');
  if (n !== 1) if (n === 0) out.push('zero');
  for (const one of list) one % 2 === 0 ? out.push(one) : out.push(-one);
  for (let i = 0; i < n; i += 1) { if (i === 1) continue; out.push(i); }
  while (out.length < 3) out.push('fill');
  do n -= 1; while (n > 0);
  switch (list.length) { case 0: out.push('none'); break; case 1: default: out.push('some'); }
  const double = (x) => x * 2;
  const record = (x) => ({ x, isTwo: x === 2 && typeof x === 'number' });
  out.push(double(n), record(2), list[9] ?? 'absent', list.length === 0 || list[0] !== undefined);
  try { throw new Error('e'); } catch (error) { out.push(error.message !== 'x'); }
  try { null.x; } catch { out.push('caught'); }
  class Box { #v = 1; get v() { return this.#v === 1 ? 'one' : 'other'; } static s = () => 3; }
  function* generate() { yield n === 0 ? 1 : 2; }
  return [...out, new Box().v, Box.s(), ...generate(), !(n === 5), 1 + (n === 0) + 1];
}`;

/** Four bytes that chance finds once in four thousand million tries, a word, and a number. */
const BEHIND_COMPARISONS = `
export function run(bytes) {
  if (bytes.length < 12) return;
  if (bytes.readUInt32BE(0) !== 0x25609513) return;
  if (bytes.toString('latin1', 4, 8) !== 'open') return;
  if (bytes.readUInt32LE(8) === 77777777) throw new Error('planted');
}`;

async function imported<Value>(source: string): Promise<Value> {
  const url = `data:text/javascript;base64,${Buffer.from(source).toString('base64')}`;
  return ((await import(url)) as { run: Value }).run;
}

describe('instrument', () => {
  it('changes nothing of what the code computes', async () => {
    installCoverage();
    type Run = (n: number, list: number[]) => unknown;
    const plain = await imported<Run>(EVERY_CONSTRUCT);
    const instrumented = await imported<Run>(instrument(EVERY_CONSTRUCT, 0).source);
    for (const n of [0, 1, 2, 3, 5])
      for (const list of [[], [4], [1, 2, 3]])
        assert.deepEqual(instrumented(n, list), plain(n, list));
  });

  it('tells a branch that was not taken before from one that was', async () => {
    const coverage = installCoverage();
    const run = await imported<(n: number) => unknown>(
      instrument('export function run(n) { return n > 5 ? "high" : "low"; }', 0).source,
    );
    const isNew = (n: number): boolean => {
      coverage.begin();
      run(n);
      return coverage.isNew();
    };
    assert.deepEqual([1, 2, 6, 7].map(isNew), [true, false, true, false]);
  });
});

describe('FuzzLoop', () => {
  async function executionsUntilFound(coverage: Coverage): Promise<number> {
    Reflect.set(globalThis, COVERAGE_GLOBAL, coverage);
    // A module of its own for each: it keeps the coverage that it was loaded with.
    const { source } = instrument(`${BEHIND_COMPARISONS}\n// ${coverage.constructor.name}`, 0);
    const run = await imported<(bytes: Buffer) => void>(source);
    const target: FuzzTarget = {
      name: 'planted',
      bytesMax: 64,
      seeds: () => [Buffer.from('an input that is long enough')],
      execute: run,
    };
    const loop = new FuzzLoop(target, coverage, new SeededRandom(1));
    let found = loop.begin(target.seeds());
    while (found === undefined && loop.executions < 200_000) found = loop.round();
    if (found === undefined) return Infinity;
    const shrunk = shrunkInput(target, found.input);
    assert.equal(shrunk.length, 12);
    assert.match(execute(target, shrunk)?.message ?? '', /planted/);
    return loop.executions;
  }

  it('finds its way through a magic number, a word and a number', async () => {
    assert.ok((await executionsUntilFound(new Coverage())) < 200_000);
  });

  it('does not find it without the guidance: the bug above is no easy one', async () => {
    class BlindCoverage extends Coverage {
      override isNew(): boolean {
        return false;
      }
      override equal(_branch: number, left: unknown, right: unknown): boolean {
        return left === right;
      }
    }
    assert.equal(await executionsUntilFound(new BlindCoverage()), Infinity);
  });
});

describe('execute', () => {
  const target = (run: () => void): FuzzTarget => ({
    name: 'one',
    bytesMax: 10,
    seeds: () => [],
    execute: run,
  });
  const tiny = Buffer.from('x');

  it('lets pass what throws nothing, ends soon and allocates little', () => {
    assert.equal(
      execute(
        target(() => undefined),
        tiny,
      ),
      undefined,
    );
  });

  it('finds an input that takes longer than a second, each time', () => {
    const slow = (): void => {
      const untilMs = performance.now() + 1050;
      while (performance.now() < untilMs);
    };
    assert.match(execute(target(slow), tiny)?.message ?? '', /^took \d+ ms, at most 1000/);
  });

  it('forgives an input that took long once', () => {
    let untilMs = performance.now() + 1050;
    const onceSlow = (): void => {
      while (performance.now() < untilMs);
      untilMs = 0;
    };
    assert.equal(execute(target(onceSlow), tiny), undefined);
  });

  it('finds a byte that makes the product allocate 64 MiB', () => {
    const kept: Buffer[] = [];
    const grow = (): void => {
      kept.push(Buffer.alloc(64 * 1024 * 1024));
    };
    assert.match(execute(target(grow), tiny)?.message ?? '', /^allocated \d+ bytes, at most/);
  });
});

describe('a process that fuzzes', () => {
  const folder = temporaryFolder();

  function run(target: string, silenceMaxMs?: number): Promise<WorkerOutcome> {
    const task = {
      table: new URL('./planted-targets.js', import.meta.url).href,
      target,
      seconds: 20,
      executionsMax: 5000,
      seed: 1,
      inputFile: path.join(folder, `${target}.bin`),
      findingsFolder: path.join(folder, 'findings'),
      corpusMax: 0,
    };
    return runWorker(task, () => undefined, silenceMaxMs);
  }

  it('executes as many inputs as it was asked for', async () => {
    const { last, finding } = await run('sound');
    assert.equal(finding, undefined);
    assert.ok((last?.executions ?? 0) >= 5000);
  });

  it('tells a broken rule with its shortest input', async () => {
    const { finding } = await run('breaks');
    assert.match(finding?.sentence ?? '', /RangeError: planted/);
    assert.equal(fs.readFileSync(finding?.file ?? '').length, 0);
  });

  it('is killed when it hangs, and the input is told', async () => {
    const { finding } = await run('hangs', 4000);
    assert.match(finding?.sentence ?? '', /hung for 4000 ms/);
    assert.ok(fs.readFileSync(finding?.file ?? '').length > 8);
  });

  it('may die of an input, and the input is told', async () => {
    const { finding } = await run('dies');
    assert.match(finding?.sentence ?? '', /died \(SIGABRT\)/);
    assert.ok(fs.readFileSync(finding?.file ?? '').length > 8);
  });
});

describe('npm run fuzz', () => {
  async function run(...words: string[]): Promise<{ code: number; printed: string }> {
    let printed = '';
    const code = await fuzzCommand(words, (text) => {
      printed += text;
    });
    return { code, printed };
  }

  it('runs one target and says how far it came', async () => {
    const words = ['--target', 'replay-identity', '--executions', '500', '--seed', '1'];
    const { code, printed } = await run(...words);
    assert.match(printed, /^replay-identity +\d{3,} /m);
    assert.match(printed, /^\d+ executions, no rule was broken$/m);
    assert.equal(code, 0);
  });

  it('executes one input of a file again', async () => {
    const file = path.join(temporaryFolder(), 'input.bin');
    fs.writeFileSync(file, 'no identity');
    const { code, printed } = await run('--target', 'replay-identity', '--input', file);
    assert.deepEqual(
      { code, printed },
      { code: 0, printed: 'replay-identity: no rule is broken\n' },
    );
  });

  it('explains itself, and refuses what it does not know', async () => {
    assert.match((await run('--help')).printed, /--executions N/);
    assert.equal((await run('--target', 'nonsense')).code, 2);
    assert.equal((await run('--seconds', '0')).code, 2);
    assert.equal((await run('--input', 'some.bin')).code, 2);
  });
});
