/**
 * Which compiled test files belong to which kind of test. The sources decide: a compiled file without a
 * source, or older than its source, is a build that has to be done first, not a test.
 */
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';

/** The folders of test/ that hold tests, in the order in which they are worth running. */
export const TEST_KINDS = [
  'unit',
  'contract',
  'property',
  'simulation',
  'integration',
  'faults',
  'interop',
  'system',
];

/**
 * @param rootDirectory the checkout
 * @param kinds some of TEST_KINDS
 * @param only a piece of text every chosen path contains, or undefined
 * @returns [{kind, source, compiled}], paths relative to the checkout, sorted, in the order of the kinds
 * @throws Error when a kind has no test file, or when the build is missing or old
 */
export function findTestFiles(rootDirectory, kinds, only) {
  const files = [];
  for (const kind of kinds) {
    const ofKind = sourcesBelow(rootDirectory, `test/${kind}`).map((source) => ({
      kind,
      source,
      compiled: source.replace(/^test\//, 'test/dist/').replace(/\.ts$/, '.js'),
    }));
    if (ofKind.length === 0) {
      throw new Error(
        `there is no test file below test/${kind}; a kind without tests proves nothing`,
      );
    }
    files.push(...ofKind);
  }
  const chosen = only === undefined ? files : files.filter((file) => file.source.includes(only));
  if (chosen.length === 0) throw new Error(`no test file of these kinds has "${only}" in its path`);
  for (const file of chosen) requireFreshBuild(rootDirectory, file);
  return chosen;
}

function sourcesBelow(rootDirectory, folder) {
  let names;
  try {
    names = readdirSync(join(rootDirectory, folder), { recursive: true });
  } catch (error) {
    if (error.code === 'ENOENT') return [];
    throw error;
  }
  return names
    .filter((name) => name.endsWith('.test.ts'))
    .map((name) => `${folder}/${name}`)
    .sort();
}

/** The compiler touches this file at each build, and the compiled ones only where the text changed. */
const BUILD_RECORD = 'test/dist/tsconfig.tsbuildinfo';

function requireFreshBuild(rootDirectory, file) {
  const source = statSync(join(rootDirectory, file.source));
  const built = [file.compiled, BUILD_RECORD].map((path) =>
    statSync(join(rootDirectory, path), { throwIfNoEntry: false }),
  );
  if (built[0] === undefined) {
    throw new Error(`${file.source} is not compiled yet: run \`npm run build\``);
  }
  if (built.every((one) => one === undefined || one.mtimeMs < source.mtimeMs)) {
    throw new Error(`${file.source} is newer than ${file.compiled}: run \`npm run build\``);
  }
}
