/**
 * Every file has somebody who needs it: a product file a program or a package door, a test's support file
 * a test, a script's piece a script.
 */
import { PACKAGE_DOORS, TEST_ONLY_FILES } from './house-rules.mjs';
import { reachableFrom, roomOf } from './import-graph.mjs';

export function checkUnusedFiles(tree) {
  const paths = tree.files.filter((file) => file.module !== undefined).map((file) => file.path);
  const products = paths.filter((path) => roomOf(path) !== undefined && /\.ts$/.test(path));
  const programs = products.filter((path) => roomOf(path) === 'bin');
  const tests = paths.filter((path) => path.endsWith('.test.ts'));
  const usedByProduct = reachableFrom(tree, [...programs, ...PACKAGE_DOORS]);
  const usedByTests = withStarted(tree, paths, reachableFrom(tree, tests));
  const commands = tree.files
    .filter((file) => file.path.startsWith('scripts/') && file.text.startsWith('#!'))
    .map((file) => file.path);
  const usedByCommands = reachableFrom(tree, commands);
  return [
    ...products
      .filter((path) => !usedByProduct.has(path) && !(path in TEST_ONLY_FILES))
      .map((path) => unused(path, usedByTests.has(path) ? 'only tests use it' : 'nobody uses it')),
    ...paths
      .filter((path) => /^test\/.*\.ts$/.test(path) && !usedByTests.has(path))
      .map((path) => unused(path, 'no test imports it')),
    ...paths
      .filter((path) => /^scripts\/.*\.mjs$/.test(path))
      .filter((path) => !usedByCommands.has(path) && !usedByTests.has(path))
      .map((path) => unused(path, 'no script imports it and it is not a command itself')),
  ];
}

/** Together with the programs of their own that tests start, and what those import. */
function withStarted(tree, paths, usedByTests) {
  const started = paths.filter(
    (path) =>
      /^test\/.*\.ts$/.test(path) && !usedByTests.has(path) && isStartedBy(tree, usedByTests, path),
  );
  return new Set([...usedByTests, ...reachableFrom(tree, started)]);
}

/** A program that a test starts as a process of its own is named there, not imported. */
function isStartedBy(tree, starters, path) {
  const name = path.split('/').pop().replace(/\.ts$/, '.js');
  return [...starters].some((starter) => tree.byPath.get(starter)?.text.includes(name));
}

function unused(path, why) {
  return { path, line: 1, text: `${why}; remove it or use it` };
}
