#!/usr/bin/env node
/** Runs the simulator (test/simulation/README.md) from its compiled form; see `--help`. */
import { existsSync } from 'node:fs';

const program = new URL('../../test/dist/simulation/main.js', import.meta.url);
if (existsSync(program)) await import(program.href);
else {
  console.error('simulate: the simulator is not compiled; run "npm run build" first');
  process.exitCode = 1;
}
