#!/usr/bin/env node
/**
 * Checks the order of the house: what the compiler and the linter cannot see. Import direction between
 * rooms, import cycles, lengths, names, files nobody uses, leftovers, traces of one machine.
 *
 *   node scripts/dev/tidy.mjs [--root DIRECTORY]
 *
 * Prints `path:line: what is wrong; what to do` for each finding, and exits with 1 if there is one. The
 * limits and tables are in tidy.d/house-rules.mjs, each check in a file of its own beside it.
 */
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { checkTree } from './tidy.d/check-tree.mjs';

function main() {
  const { values } = parseArgs({ options: { root: { type: 'string' } } });
  const rootDirectory = values.root ?? fileURLToPath(new URL('../..', import.meta.url));
  const { fileCount, findings } = checkTree(rootDirectory);
  for (const { path, line, text } of findings) console.log(`${path}:${line}: ${text}`);
  const verdict = findings.length === 0 ? 'in order' : `${findings.length} findings`;
  console.log(`tidy: ${fileCount} files, ${verdict}`);
  return findings.length === 0 ? 0 : 1;
}

process.exitCode = main();
