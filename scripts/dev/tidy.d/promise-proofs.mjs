/**
 * The promises of README.md and the tests that prove them: each promise has a test in the table below them, and
 * each test named there exists in these words, so that the table cannot outlive the tests.
 */

const DOCUMENT = 'README.md';
/** `4. **No older write ...**`, of the list under the heading. */
const PROMISE = /^(\d+)\. \*\*/;
const HEADING = '## What is promised about your data';
/** `| 4 | words | `test/unit/x.test.ts`: a sentence |` */
const PROOF = /^\| *(\d+) *\|[^|]*\| *`(test\/[^`]+)`: *(.+?) *\|$/;

export function checkPromiseProofs(tree) {
  const document = tree.byPath.get(DOCUMENT);
  const begin = document?.lines.indexOf(HEADING) ?? -1;
  if (begin < 0) return [];
  const findings = [];
  const find = (index, text) => findings.push({ path: DOCUMENT, line: index + 1, text });
  const unproved = new Map();
  for (let index = begin + 1; index < document.lines.length; index += 1) {
    const line = document.lines[index];
    if (line.startsWith('## ')) break;
    const promise = PROMISE.exec(line);
    if (promise !== null) unproved.set(promise[1], index);
    const proof = PROOF.exec(line);
    if (proof === null) continue;
    const [, number, path, sentence] = proof;
    unproved.delete(number);
    const test = tree.byPath.get(path);
    if (test === undefined) find(index, `proves by ${path}, which is not there`);
    else if (!says(test.text, sentence))
      find(index, `proves by words that ${path} does not say; take them from the test`);
  }
  for (const [number, index] of unproved)
    find(index, `promise ${number} is proved by no test; name one in the table below`);
  return findings;
}

/** As the name of a test: a whole text between quotes. */
function says(text, sentence) {
  return ["'", '"', '`'].some((quote) => text.includes(quote + sentence + quote));
}
