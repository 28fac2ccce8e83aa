/**
 * Turns the events of node:test into a report for people: one line a file, every failure in full, every
 * skip with its reason, and the counts. Knows nothing about how the files were chosen.
 *
 * A suite (`describe`) is not counted, only the tests in it; a suite that is skipped as a whole counts as
 * one skip. A file that holds no test, or that ends badly after its tests passed, counts as a failure.
 */
import { inspect } from 'node:util';

/** What a failing file printed is shown up to here: enough for a stack trace, not for a flood. */
const OUTPUT_CHARACTERS_MAX = 8000;

/** Stands for the name of a test where the file itself is what failed. */
const WHOLE_FILE = 'the whole file';

export class TestReport {
  #verbose;
  /** By source path: what is known of each file that has begun. */
  #files = new Map();
  #failures = [];
  #skips = [];
  #passedCount = 0;

  constructor({ verbose }) {
    this.#verbose = verbose;
  }

  get failedCount() {
    return this.#failures.length;
  }

  /** Takes one event of node:test's stream for a file ({source}) that run-tests.mjs chose. */
  add({ source }, { type, data }) {
    const file = this.#begun(source);
    switch (type) {
      case 'test:pass':
      case 'test:fail':
        this.#addResult(file, data, type === 'test:pass');
        break;
      case 'test:complete':
        if (data.name === data.file) file.end = data.details;
        break;
      case 'test:stdout':
      case 'test:stderr':
        if (this.#verbose) process.stdout.write(data.message);
        if (file.output.length < OUTPUT_CHARACTERS_MAX) file.output += data.message;
        break;
    }
  }

  /** Prints the line of a file of which no more events come. */
  endFile({ source }) {
    const file = this.#begun(source);
    const seconds = ((file.end?.duration_ms ?? 0) / 1000).toFixed(1);
    const word = file.hasFailure || file.end?.passed === false ? 'FAIL' : 'ok  ';
    console.log(`${word} ${source}  (${file.passedCount} passed, ${seconds} s)`);
  }

  /** Call once after the last event; checks that every file that was asked for said something. */
  finish(files, { allowEmptyFiles }) {
    for (const { source } of files) {
      const file = this.#files.get(source);
      if (file === undefined) {
        this.#addFailure(this.#begun(source), WHOLE_FILE, new Error('it was never run'));
      } else if (file.end?.passed === false && !file.hasFailure) {
        this.#addFailure(file, WHOLE_FILE, file.end.error);
      } else if (file.testCount === 0 && !file.hasFailure && !allowEmptyFiles) {
        this.#addFailure(file, WHOLE_FILE, new Error('it holds no test'));
      }
    }
  }

  /** Counts every skip that no entry allows as a failure: on that machine the test was expected to run. */
  refuseOtherSkips(allowedSkips) {
    for (const skip of this.#skips) {
      if (allowedSkips.some((allowed) => allowed.matches(skip))) continue;
      const reason = `skipped here, which is not expected: ${skip.reason}`;
      this.#addFailure(this.#begun(skip.file), skip.test, new Error(reason));
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

  #addResult(file, data, isPass) {
    if (data.name === data.file) {
      if (!isPass) this.#addFailure(file, WHOLE_FILE, data.details.error);
      return;
    }
    const isSuite = data.details.type === 'suite';
    const skip = data.skip ?? data.todo;
    if (!isPass && data.todo === undefined) {
      if (data.details.error?.failureType !== 'subtestsFailed') {
        this.#addFailure(file, data.name, data.details.error);
      }
    } else if (skip !== undefined) {
      const reason = typeof skip === 'string' && skip !== '' ? skip : 'no reason was given';
      this.#skips.push({ file: file.source, test: data.name, reason });
    } else if (!isSuite) {
      this.#passedCount += 1;
      file.passedCount += 1;
    }
    if (!isSuite || skip !== undefined) file.testCount += 1;
    if (this.#verbose) {
      console.log(`${isPass ? '  ok  ' : '  FAIL'} ${'  '.repeat(data.nesting)}${data.name}`);
    }
  }

  #addFailure(file, test, error) {
    const cause = error?.cause ?? error;
    const message = typeof cause === 'string' ? cause : inspect(cause, { depth: 4 });
    this.#failures.push({ file: file.source, test, message });
    file.hasFailure = true;
  }

  #begun(source) {
    let file = this.#files.get(source);
    if (file === undefined) {
      file = {
        source,
        testCount: 0,
        passedCount: 0,
        hasFailure: false,
        output: '',
        end: undefined,
      };
      this.#files.set(source, file);
    }
    return file;
  }
}

function indent(text) {
  return text
    .trimEnd()
    .split('\n')
    .map((line) => `    ${line}`)
    .join('\n');
}
