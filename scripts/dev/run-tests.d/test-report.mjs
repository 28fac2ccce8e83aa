/**
 * Turns the events of node:test into a report for people: one line a file, every failure in full, every
 * skip with its reason, and the counts. Knows nothing about how the files were chosen.
 *
 * A suite (`describe`) is not counted, only the tests in it; a suite that is skipped as a whole counts as
 * one skip. A file that holds no test, or that ends badly after its tests passed, counts as a failure.
 */
import { relative } from 'node:path';
import { inspect } from 'node:util';

/** What a failing file printed is shown up to here: enough for a stack trace, not for a flood. */
const OUTPUT_CHARACTERS_MAX = 8000;

export class TestReport {
  #rootDirectory;
  #verbose;
  #files = new Map();
  #currentFile;
  #failures = [];
  #skips = [];
  #passedCount = 0;

  constructor({ rootDirectory, verbose }) {
    this.#rootDirectory = rootDirectory;
    this.#verbose = verbose;
  }

  get failedCount() {
    return this.#failures.length;
  }

  /** Takes one event of node:test's stream. Passes and failures arrive in the order of the files. */
  add({ type, data }) {
    switch (type) {
      case 'test:pass':
      case 'test:fail':
        this.#addResult(data, type === 'test:pass');
        break;
      case 'test:complete':
        if (data.name === data.file) this.#file(data.file).end = data.details;
        break;
      case 'test:stdout':
      case 'test:stderr':
        this.#addOutput(data);
        break;
    }
  }

  /** Call once after the last event; checks that every file that was asked for said something. */
  finish(files, { allowEmptyFiles }) {
    this.#startFile(undefined);
    for (const { compiled, source } of files) {
      const file = [...this.#files.values()].find((one) => one.compiled === compiled);
      if (file === undefined) {
        this.#addFailure(source, 'the whole file', new Error('it was never run'));
      } else if (file.end?.passed === false && !file.hasFailure) {
        this.#addFailure(source, 'the whole file', file.end.error);
      } else if (file.testCount === 0 && !file.hasFailure && !allowEmptyFiles) {
        this.#addFailure(source, 'the whole file', new Error('it holds no test'));
      }
    }
  }

  printSummary() {
    if (this.#skips.length > 0) console.log('\nSkipped:');
    for (const skip of this.#skips)
      console.log(`  ${skip.file}: ${skip.test}\n      ${skip.reason}`);
    for (const failure of this.#failures) {
      console.log(`\nFAILED ${failure.file}: ${failure.test}\n${indent(failure.message)}`);
    }
    for (const file of this.#files.values()) {
      if (!file.hasFailure || file.output === '') continue;
      console.log(`\nPrinted by ${file.source}:\n${indent(file.output)}`);
    }
    console.log('');
  }

  lastLine() {
    return (
      `${this.#passedCount} passed, ${this.#failures.length} failed, ` +
      `${this.#skips.length} skipped`
    );
  }

  toJson() {
    return { passed: this.#passedCount, failures: this.#failures, skips: this.#skips };
  }

  #addResult(data, isPass) {
    const file = this.#file(data.file);
    this.#startFile(file);
    const isFile = data.name === data.file;
    const isSuite = data.details.type === 'suite';
    const skip = data.skip ?? data.todo;
    if (isFile) {
      if (!isPass) this.#addFailure(file.source, 'the whole file', data.details.error);
      return;
    }
    if (!isPass && data.todo === undefined) {
      if (data.details.error?.failureType !== 'subtestsFailed') {
        this.#addFailure(file.source, data.name, data.details.error);
      }
    } else if (skip !== undefined) {
      const reason = typeof skip === 'string' && skip !== '' ? skip : 'no reason was given';
      this.#skips.push({ file: file.source, test: data.name, reason });
    } else if (!isSuite) {
      this.#passedCount += 1;
      file.passedCount += 1;
    }
    if (!isSuite || skip !== undefined) file.testCount += 1;
    if (this.#verbose)
      console.log(`${isPass ? '  ok  ' : '  FAIL'} ${'  '.repeat(data.nesting)}${data.name}`);
  }

  #addOutput(data) {
    const file = this.#file(data.file);
    if (this.#verbose) process.stdout.write(data.message);
    if (file.output.length < OUTPUT_CHARACTERS_MAX) file.output += data.message;
  }

  #addFailure(source, test, error) {
    const cause = error?.cause ?? error;
    const message = typeof cause === 'string' ? cause : inspect(cause, { depth: 4 });
    this.#failures.push({ file: source, test, message });
    for (const file of this.#files.values()) if (file.source === source) file.hasFailure = true;
  }

  #file(path) {
    let file = this.#files.get(path);
    if (file === undefined) {
      const compiled = relative(this.#rootDirectory, path);
      const source = compiled.replace(/^test\/dist\//, 'test/').replace(/\.js$/, '.ts');
      file = { compiled, source, testCount: 0, passedCount: 0, hasFailure: false, output: '' };
      this.#files.set(path, file);
    }
    return file;
  }

  /** Prints the line of the file before, when another one begins. */
  #startFile(file) {
    const before = this.#currentFile;
    if (before === file) return;
    this.#currentFile = file;
    if (before === undefined) return;
    const seconds = ((before.end?.duration_ms ?? 0) / 1000).toFixed(1);
    const word = before.hasFailure || before.end?.passed === false ? 'FAIL' : 'ok  ';
    console.log(`${word} ${before.source}  (${before.passedCount} tests, ${seconds} s)`);
  }
}

function indent(text) {
  return text
    .trimEnd()
    .split('\n')
    .map((line) => `    ${line}`)
    .join('\n');
}
