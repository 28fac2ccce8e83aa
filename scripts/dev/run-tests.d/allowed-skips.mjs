/**
 * The list of tests that may be skipped on a machine where everything should run. One entry a line:
 * the path of the test file, a space, and a regular expression that the reason must match; `#` begins
 * a comment. A machine without /dev/fuse is named here once, instead of being overlooked each time.
 */
import { readFileSync } from 'node:fs';

/**
 * @returns entries with matches({file, reason})
 * @throws Error when the file cannot be read or a line has another form
 */
export function readAllowedSkips(path) {
  return readFileSync(path, 'utf8')
    .split('\n')
    .map((line, index) => ({ text: line.replace(/(^|\s)#.*$/, '').trim(), line: index + 1 }))
    .filter(({ text }) => text !== '')
    .map(({ text, line }) => {
      const [, file, reason] = /^(\S+)\s+(.+)$/.exec(text) ?? [];
      if (file === undefined) throw new Error(`${path}:${line}: expected "PATH REASON-PATTERN"`);
      const pattern = new RegExp(reason);
      return { matches: (skip) => skip.file === file && pattern.test(skip.reason) };
    });
}
