/** What a self test proved, and what it did not, in the words of README's promises. */
import { formatBytes } from '../../config/quantity.js';
import type { VolumeMessage } from '../../rpc/storage-messages.js';
import type { SelftestOutcome } from './selftest-story.js';

export interface SelftestReport extends SelftestOutcome {
  readonly volume: string;
  readonly node: string;
  readonly sizeBytes: number;
  /** Repeats the requests: --seed. */
  readonly seed: number;
  /** Every promise was kept, and no request failed. */
  readonly isKept: boolean;
  readonly proved: readonly string[];
  readonly notProved: readonly string[];
}

export function selftestReport(
  { name, sizeBytes }: VolumeMessage,
  node: string,
  seed: number,
  outcome: SelftestOutcome,
): SelftestReport {
  const isKept = outcome.problemCount === 0 && errorsInWords(outcome) === '';
  const proved = isKept ? whatWasProved(outcome) : [];
  const notProved = whatWasNot(outcome);
  return { ...outcome, volume: name, node, sizeBytes, seed, isKept, proved, notProved };
}

function whatWasProved(outcome: SelftestOutcome): string[] {
  const { counters, cuts, restart } = outcome;
  const { writes, zeroes, trims, flushes, fuaWrites, blocksChecked, reconnects } = counters;
  const changes = writes + zeroes + trims;
  const proved = [
    `reads saw every answered write: ${blocksChecked} blocks were judged against ${changes} changes`,
    `${flushes} flushes and ${fuaWrites} writes with FUA were answered, and nothing before them was missing`,
    `${cuts} connections were cut and opened again (${reconnects} times in all): nothing answered was lost, nothing older came back`,
    "a daemon whose lease was taken changes nothing: its write was refused, and the node's own content is what was promised",
  ];
  if (restart === undefined) return proved;
  const { requestsReplayed, pauseMs } = restart;
  return [
    ...proved,
    `the node was restarted under load: clients waited ${pauseMs} ms, ${requestsReplayed} requests were sent again, nothing was lost`,
  ];
}

function whatWasNot({ restart }: SelftestOutcome): string[] {
  const always = [
    'that flushed data outlives a loss of power: only the node, its disk and a pulled plug can show that',
    'that the daemon can die: kill it under a load of yours, or read how it is tested',
    'writes smaller than 4 KiB, and the kernel device: the test is an NBD client',
  ];
  if (restart !== undefined) return always;
  return ['that the node can be restarted: say --wait-for-restart 60s, and restart it', ...always];
}

/** All of it for people. */
export function reportInWords(report: SelftestReport): string {
  const { counters, problemCount, problems, longestPauseMs } = report;
  const list = (title: string, lines: readonly string[]): string =>
    lines.length === 0 ? '' : `${title}\n${lines.map((line) => `  - ${line}\n`).join('')}`;
  const errors = errorsInWords(report);
  const verdict = report.isKept
    ? 'every promise was kept'
    : `FAILED: ${problemCount} broken promises${errors === '' ? '' : `, requests failed: ${errors}`}`;
  return (
    `${verdict}: volume ${report.volume} at ${report.node}, ${formatBytes(report.sizeBytes)}, seed ${report.seed}\n` +
    `${counters.reads} reads (${formatBytes(counters.readBytes)}), ${counters.writes} writes ` +
    `(${formatBytes(counters.writtenBytes)}), ${counters.flushes} flushes, longest pause ${longestPauseMs} ms\n` +
    list('broken:', problems) +
    list('proved:', report.proved) +
    list('not proved:', report.notProved)
  );
}

function errorsInWords({ counters }: SelftestOutcome): string {
  return Object.entries(counters.errors)
    .map(([errno, count]) => `${count} with ${errno}`)
    .join(', ');
}
