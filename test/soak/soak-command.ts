/** The command behind scripts/soak: reads its options, shows how far it is, writes the results. */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { runSoak, type SoakOutcome, type SoakProgress } from './soak.js';
import { readOptions, UsageError, type SoakOptions } from './soak-options.js';
import { drawPlot } from './soak-plot.js';
import { isGood, reportInWords } from './soak-report.js';

/** Without a terminal a line at least this long after the one before. */
const LINE_EVERY_MS = 30_000;
/** A shell's exit status after Ctrl-C. */
const EXIT_INTERRUPTED = 130;
/** A line that fits every terminal. */
const COLUMNS_MAX = 79;

/** @returns the exit status */
async function main(words: readonly string[]): Promise<number> {
  const options = readOptions(words, Math.floor(Math.random() * 2 ** 31));
  const ending = new AbortController();
  const end = (): void => {
    // Who insists gets no verdict; the programs end with this one (support/program.ts).
    if (ending.signal.aborted) process.exit(EXIT_INTERRUPTED);
    process.stderr.write('\nsoak: ending early; once more to end at once\n');
    ending.abort();
  };
  process.on('SIGINT', end).on('SIGTERM', end);
  const outcome = await runSoak(options, ending.signal, progressOn(options));
  if (process.stderr.isTTY) process.stderr.write('\r\x1b[K');
  writeResults(outcome);
  return isGood(outcome) ? 0 : 1;
}

function writeResults(outcome: SoakOutcome): void {
  const { resultFolder, json } = outcome.options;
  const { samples, ...result } = outcome;
  const text = `${JSON.stringify({ ...result, isGood: isGood(outcome) }, null, 2)}\n`;
  writeFileSync(path.join(resultFolder, 'result.json'), text);
  writeFileSync(path.join(resultFolder, 'plot.svg'), drawPlot(samples, outcome));
  process.stdout.write(json ? text : reportInWords(outcome));
  process.stderr.write(`soak: samples, events, logs and plot are in ${resultFolder}\n`);
}

function progressOn({ durationMs }: SoakOptions): SoakProgress {
  let shownMs = -Infinity;
  return (elapsedMs, { programs, latency }, journal) => {
    const isTerminal = process.stderr.isTTY;
    if (!isTerminal && elapsedMs - shownMs < LINE_EVERY_MS) return;
    shownMs = elapsedMs;
    const rss = (name: 'daemon-1' | 'node-1'): string =>
      `${((programs[name]?.rssBytes ?? 0) / 2 ** 20).toFixed(0)} MiB ${programs[name]?.fds ?? 0} files`;
    const line = [
      `${(elapsedMs / 60_000).toFixed(1)}/${(durationMs / 60_000).toFixed(1)} min`,
      `daemon ${rss('daemon-1')}`,
      `node ${rss('node-1')}`,
      `${latency?.p50Ms.toFixed(1) ?? '-'} ms`,
      `${journal.eventCount} events`,
      ...(journal.failureCount > 0 ? [`${journal.failureCount} FAILED`] : []),
    ].join(', ');
    const fitting = line.slice(0, COLUMNS_MAX);
    process.stderr.write(isTerminal ? `\r\x1b[K${fitting}` : `${fitting}\n`);
  };
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof UsageError)) throw error;
  const stream = error.isWanted ? process.stdout : process.stderr;
  stream.write(error.isWanted ? error.message : `scripts/soak: ${error.message}`);
  process.exitCode = error.isWanted ? 0 : 2;
}
