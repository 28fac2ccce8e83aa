/** Files and functions stay short enough to be read at once; see the limits in house-rules.mjs. */
import {
  FILE_LINES_HARD_MAX,
  FILE_LINES_MAX,
  FILE_LINES_MEDIAN_MAX,
  FUNCTION_LINES_MAX,
  LONG_FILES,
} from './house-rules.mjs';

export function checkLengths(tree) {
  const files = tree.files.filter(isCode);
  return [
    ...files.flatMap(checkFile),
    ...files.flatMap(checkFunctions),
    ...checkMedian(files.filter((file) => file.path.startsWith('daemon/'))),
    ...checkExceptions(tree),
  ];
}

function isCode(file) {
  const isShell = file.text.startsWith('#!');
  return isShell || /\.(ts|mjs|js|c|h|py|proto)$/.test(file.path);
}

function checkFile(file) {
  const count = file.lines.length;
  const isExcused = file.path.startsWith('test/') || file.path in LONG_FILES;
  const linesMax = isExcused ? FILE_LINES_HARD_MAX : FILE_LINES_MAX;
  if (count <= linesMax) return [];
  const text = `has ${count} lines, at most ${linesMax} are allowed; find the second noun in it`;
  return [{ path: file.path, line: linesMax + 1, text }];
}

function checkFunctions(file) {
  return (file.module?.functions ?? [])
    .filter((one) => one.lineCount > FUNCTION_LINES_MAX && !one.isSuite)
    .map((one) => ({
      path: file.path,
      line: one.line,
      text: `${one.name} has ${one.lineCount} lines, at most ${FUNCTION_LINES_MAX} are allowed; cut it`,
    }));
}

function checkMedian(files) {
  const counts = files.map((file) => file.lines.length).sort((left, right) => left - right);
  const median = counts[Math.floor(counts.length / 2)] ?? 0;
  if (median <= FILE_LINES_MEDIAN_MAX) return [];
  const text = `the median file has ${median} lines, at most ${FILE_LINES_MEDIAN_MAX} are wanted`;
  return [{ path: 'daemon', line: 1, text }];
}

/** An exception that nobody needs any more hides the next long file. */
function checkExceptions(tree) {
  return Object.keys(LONG_FILES)
    .filter((path) => (tree.byPath.get(path)?.lines.length ?? Infinity) <= FILE_LINES_MAX)
    .map((path) => ({ path, line: 1, text: 'is short now; take it out of LONG_FILES' }));
}
