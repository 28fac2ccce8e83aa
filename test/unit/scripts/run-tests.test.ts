/**
 * scripts/dev/run-tests.d: what counts as passed, failed and skipped, and which skips are allowed. Fed with
 * events of the form that node:test sends.
 */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';

interface TestFile {
  readonly kind: string;
  readonly source: string;
  readonly compiled: string;
}

interface AllowedSkip {
  matches(skip: { file: string; reason: string }): boolean;
}

interface Report {
  readonly failedCount: number;
  add(file: TestFile, event: { type: string; data: object }): void;
  finish(files: readonly TestFile[], options: { allowEmptyFiles: boolean }): void;
  refuseOtherSkips(allowed: readonly AllowedSkip[]): void;
  lastLine(): string;
  toJson(): { failures: { file: string; test: string; message: string }[] };
}

async function load(name: string): Promise<unknown> {
  return import(new URL(`../../../../scripts/dev/run-tests.d/${name}`, import.meta.url).href);
}

const { TestReport } = (await load('test-report.mjs')) as {
  TestReport: new (options: { verbose: boolean }) => Report;
};
const { findTestFiles } = (await load('test-files.mjs')) as {
  findTestFiles: (root: string, kinds: readonly string[], only?: string) => TestFile[];
};
const { readAllowedSkips } = (await load('allowed-skips.mjs')) as {
  readAllowedSkips: (path: string) => AllowedSkip[];
};

const FILE: TestFile = {
  kind: 'unit',
  source: 'test/unit/a.test.ts',
  compiled: 'test/dist/unit/a.test.js',
};
const file = `/checkout/${FILE.compiled}`;

function reportOf(...events: { type: string; data: object }[]): Report {
  const report = new TestReport({ verbose: false });
  for (const event of events) report.add(FILE, event);
  report.finish([FILE], { allowEmptyFiles: false });
  return report;
}

function pass(name: string, more: object = {}): { type: string; data: object } {
  return { type: 'test:pass', data: { file, name, nesting: 0, details: {}, ...more } };
}

function failure(name: string, failureType: string): { type: string; data: object } {
  const error = Object.assign(new Error('it broke'), { failureType });
  return { type: 'test:fail', data: { file, name, nesting: 0, details: { error } } };
}

function end(passed: boolean): { type: string; data: object } {
  const error = new Error('exit code 1');
  return { type: 'test:complete', data: { file, name: file, details: { passed, error } } };
}

describe('TestReport', () => {
  it('counts tests, and not the suites around them', () => {
    const report = reportOf(
      pass('a'),
      pass('b'),
      pass('s', { details: { type: 'suite' } }),
      end(true),
    );
    assert.equal(report.lastLine(), '2 passed, 0 failed, 0 skipped');
  });

  it('counts a failure once, and not again for the suite it is in', () => {
    const report = reportOf(
      failure('a', 'testCodeFailure'),
      failure('s', 'subtestsFailed'),
      end(false),
    );
    assert.equal(report.lastLine(), '0 passed, 1 failed, 0 skipped');
  });

  it('counts a suite that is skipped as a whole as one skip', () => {
    const report = reportOf(
      pass('s', { skip: 'needs root', details: { type: 'suite' } }),
      end(true),
    );
    assert.equal(report.lastLine(), '0 passed, 0 failed, 1 skipped');
  });

  it('counts a file without tests as a failure', () => {
    const { failures } = reportOf(pass(file), end(true)).toJson();
    assert.match(failures[0]?.message ?? '', /it holds no test/);
  });

  it('counts a file that ends badly after its tests passed as a failure', () => {
    const { failures } = reportOf(pass('a'), end(false)).toJson();
    assert.match(failures[0]?.message ?? '', /exit code 1/);
  });

  it('counts a file that was never run as a failure', () => {
    const { failures } = reportOf().toJson();
    assert.match(failures[0]?.message ?? '', /it was never run/);
  });

  it('counts a skip that nobody allowed as a failure, and an allowed one as a skip', () => {
    const skipped = [pass('a', { skip: 'nbdkit is not installed' }), end(true)];
    const refused = reportOf(...skipped);
    refused.refuseOtherSkips([]);
    assert.equal(refused.failedCount, 1);
    const allowed = reportOf(...skipped);
    allowed.refuseOtherSkips([{ matches: ({ reason }) => reason.startsWith('nbdkit') }]);
    assert.equal(allowed.lastLine(), '0 passed, 0 failed, 1 skipped');
  });
});

describe('the choice of test files', () => {
  let root: string;
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'blkferry-run-tests-'));
  });
  afterEach(() => {
    rmSync(root, { recursive: true });
  });

  function write(path: string, secondsSince1970: number, text = ''): void {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
    utimesSync(join(root, path), secondsSince1970, secondsSince1970);
  }

  it('takes compiled tests that have a source, and nothing else', () => {
    write('test/unit/a.test.ts', 1);
    write('test/unit/fake.ts', 1);
    for (const name of ['a.test', 'gone.test', 'fake']) write(`test/dist/unit/${name}.js`, 2);
    assert.deepEqual(findTestFiles(root, ['unit']), [FILE]);
  });

  it('refuses a test that is newer than its build', () => {
    write('test/unit/a.test.ts', 2);
    write('test/dist/unit/a.test.js', 1);
    assert.throws(() => findTestFiles(root, ['unit']), /is newer than .*: run `npm run build`/);
  });

  it('takes an older compiled test if the compiler has looked at its source since', () => {
    write('test/unit/a.test.ts', 2);
    write('test/dist/unit/a.test.js', 1);
    write('test/dist/tsconfig.tsbuildinfo', 3);
    assert.deepEqual(findTestFiles(root, ['unit']), [FILE]);
  });

  it('refuses a test that was never compiled, and a kind without tests', () => {
    write('test/unit/a.test.ts', 2);
    assert.throws(() => findTestFiles(root, ['unit']), /is not compiled yet/);
    assert.throws(() => findTestFiles(root, ['interop']), /no test file below test\/interop/);
  });

  it('reads allowed skips with comments, and refuses a line of another form', () => {
    write('skips', 1, '# none\n\ntest/a.test.ts no /dev/\\w+ # in containers\n');
    const [skip] = readAllowedSkips(join(root, 'skips'));
    assert.equal(skip?.matches({ file: 'test/a.test.ts', reason: 'there is no /dev/fuse' }), true);
    assert.equal(skip.matches({ file: 'test/b.test.ts', reason: 'there is no /dev/fuse' }), false);
    write('skips', 1, 'test/a.test.ts\n');
    assert.throws(() => readAllowedSkips(join(root, 'skips')), /skips:1: expected/);
  });
});
