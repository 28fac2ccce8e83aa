/** Nothing unfinished, nothing switched off, nothing undescribed is left in a source file. */

/** Put together here so that this file does not find itself. */
const LEFTOVERS = [
  [['TO', 'DO'], 'finish it, or write down elsewhere what is missing'],
  [['FIX', 'ME'], 'finish it, or write down elsewhere what is missing'],
  [['X', 'XX'], 'finish it, or write down elsewhere what is missing'],
  [['@ts-', 'ignore'], 'make the types right'],
  [['@ts-', 'nocheck'], 'make the types right'],
  [['eslint-', 'disable'], 'change the code, or the rule in eslint.config.mjs with its reason'],
].map(([pieces, advice]) => ({ word: pieces.join(''), advice }));

const ONLY = /\b(describe|it|test|suite)\.only\(|\bonly:\s*true/;

export function checkLeftovers(tree) {
  return tree.files.flatMap((file) => {
    if (file.module === undefined && !/\.(c|h|py|proto)$/.test(file.path)) return [];
    return [...checkLines(file), ...checkOpeningComment(file)];
  });
}

function checkLines(file) {
  return file.lines.flatMap((line, index) => {
    const leftover = LEFTOVERS.find(({ word }) => containsWord(line, word));
    if (leftover !== undefined) {
      return [{ path: file.path, line: index + 1, text: `"${leftover.word}"; ${leftover.advice}` }];
    }
    if (file.path.endsWith('.test.ts') && ONLY.test(line)) {
      return [{ path: file.path, line: index + 1, text: 'runs only this test; remove `only`' }];
    }
    return [];
  });
}

function containsWord(line, word) {
  const at = line.indexOf(word);
  if (at < 0) return false;
  const isLetter = (character) => character !== undefined && /[A-Za-z0-9_]/.test(character);
  return !isLetter(line[at - 1]) && !isLetter(line[at + word.length]);
}

/** Every source file begins with what it is for. */
function checkOpeningComment(file) {
  if (!/^(daemon|test|scripts)\/.*\.(ts|mjs)$/.test(file.path)) return [];
  const first = file.lines[0]?.startsWith('#!') ? file.lines[1] : file.lines[0];
  if (first?.startsWith('/**')) return [];
  const text = 'does not begin with a comment (/** ... */) that says what the file is for; add one';
  return [{ path: file.path, line: 1, text }];
}
