#!/usr/bin/env node
/** Runs the simulator (test/simulation/README.md) from its compiled form; see `--help`. */
import { existsSync } from 'node:fs';

const program = new URL('../../test/dist/simulation/simulate-command.js', import.meta.url);
if (existsSync(program)) {
  const { simulateCommand } = await import(program.href);
  const print = (text) => process.stdout.write(text);
  process.exitCode = await simulateCommand(process.argv.slice(2), print);
} else {
  console.error('simulate: the simulator is not compiled; run "npm run build" first');
  process.exitCode = 1;
}
