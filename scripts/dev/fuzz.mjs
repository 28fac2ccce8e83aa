#!/usr/bin/env node
/** Runs the fuzzer (test/fuzz/README.md) from its compiled form; see `--help`. */
import { existsSync } from 'node:fs';

const program = new URL('../../test/dist/fuzz/fuzz-command.js', import.meta.url);
if (existsSync(program)) {
  const { fuzzCommand } = await import(program.href);
  const print = (text) => process.stdout.write(text);
  process.exitCode = await fuzzCommand(process.argv.slice(2), print);
} else {
  console.error('fuzz: the fuzzer is not compiled; run "npm run build" first');
  process.exitCode = 1;
}
