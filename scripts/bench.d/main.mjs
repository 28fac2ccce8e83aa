#!/usr/bin/env node
/**
 * The bench: its first word says what is measured. Started by scripts/bench. Nothing it starts or writes outlives
 * it but the results.
 */
import { BenchFailure } from './bench-failure.mjs';
import { wasStopped } from './command.mjs';
import { compare } from './commands/compare.mjs';
import { drawFlameGraph } from './commands/flames.mjs';
import { measureHops } from './commands/hops.mjs';
import { measureNeighbours } from './commands/neighbour.mjs';
import { measureSafety } from './commands/safety.mjs';
import { measureScale } from './commands/scale.mjs';
import { studyWays } from './commands/study.mjs';

const COMMANDS = {
  hops: measureHops,
  flames: drawFlameGraph,
  neighbour: measureNeighbours,
  safety: measureSafety,
  scale: measureScale,
  study: studyWays,
};

async function main() {
  const [word = '', ...rest] = process.argv.slice(2);
  if (word in COMMANDS) await COMMANDS[word](rest);
  else if (word === '' || word.startsWith('-')) await compare(process.argv.slice(2));
  else throw new BenchFailure(`there is no ${word}; known: ${Object.keys(COMMANDS).join(', ')}`, 2);
}

main().catch((error) => {
  if (wasStopped()) return;
  const text = error instanceof BenchFailure ? error.message : error.stack;
  process.stderr.write(`scripts/bench: ${text}\n`);
  process.exitCode = error.exitCode ?? 1;
});
