/** What a soak found, in words for people; the lines are at most 80 columns wide. */
import { formatBytes } from '#daemon/config/quantity.js';
import { LIMITS, type Metric } from './growth-judge.js';
import type { SoakOutcome } from './soak.js';
import type { Judgement } from './soak-samples.js';
import { percentile } from './trend.js';

const TITLES: Readonly<Record<Metric, string>> = {
  rssBytes: 'memory (RSS)',
  heapBytes: 'heap, collected',
  fds: 'open files',
  handles: 'handles of Node',
  threads: 'threads',
  cpuMs: 'CPU per request',
  files: 'files on disk',
};

/** True if nothing grew and nothing failed. */
export function isGood({ judgements, failureCount }: SoakOutcome): boolean {
  return failureCount === 0 && judgements.every(({ result }) => result === 'steady');
}

export function reportInWords(outcome: SoakOutcome): string {
  const { requests, requestBytes, blocksChecked, durationMs, warmUpMs, options } = outcome;
  const minutes = (ms: number): string => (ms / 60_000).toFixed(1);
  return [
    `${minutes(durationMs)} minutes, seed ${options.seed}: ${requests} requests (${formatBytes(requestBytes)}), ${blocksChecked} blocks checked`,
    '',
    ...eventLines(outcome),
    '',
    latencyLine(outcome),
    '',
    `growth after the first ${minutes(warmUpMs)} minutes, of a line through the samples`,
    row('', '', 'from', 'to', 'allowed', ''),
    ...outcome.judgements.map(judgementLine),
    ...failureLines(outcome),
    '',
    isGood(outcome) ? 'nothing grew, nothing failed' : `FAILED: ${reasons(outcome)}`,
    '',
  ].join('\n');
}

function eventLines({ events }: SoakOutcome): string[] {
  const line = (kind: string, count: string, median: string, longest: string): string =>
    `${kind.padEnd(34)}${count.padStart(8)}${median.padStart(12)}${longest.padStart(12)}`;
  return [
    line('', 'times', 'median ms', 'longest ms'),
    ...events.map(({ kind, count, medianMs, longestMs }) =>
      line(kind, String(count), medianMs.toFixed(0), longestMs.toFixed(0)),
    ),
    '(restarts: the longest pause of any volume; else the step itself)',
  ];
}

/** Restarts of other programs included; a machine that does other things shows in it. */
function latencyLine({ samples }: SoakOutcome): string {
  const found = samples.flatMap(({ latency }) => latency ?? []);
  const p50Ms = percentile(
    found.map((one) => one.p50Ms),
    0.5,
  );
  const p99Ms = percentile(
    found.map((one) => one.p99Ms),
    0.5,
  );
  const mostMs = percentile(
    found.map((one) => one.mostMs),
    1,
  );
  return `latency: median ${p50Ms.toFixed(1)} ms, 99 % ${p99Ms.toFixed(1)} ms, longest ${mostMs.toFixed(0)} ms`;
}

function judgementLine({
  subject,
  metric,
  result,
  fromValue,
  toValue,
  growthMax,
}: Judgement): string {
  const show = (value: number): string => inUnit(metric, value);
  const verdict = result === 'grows' ? 'GROWS' : result;
  if (result === 'too short') return row(subject, TITLES[metric], '', '', '', verdict);
  return row(
    ...([subject, TITLES[metric], show(fromValue), show(toValue)] as const),
    ...([`+${show(growthMax)}`, verdict] as const),
  );
}

function row(
  subject: string,
  metric: string,
  from: string,
  to: string,
  allowed: string,
  verdict: string,
): string {
  const numbers = [from, to, allowed].map((text) => text.padStart(11)).join('');
  return `${subject.padEnd(10)}${metric.padEnd(18)}${numbers}  ${verdict}`.trimEnd();
}

function inUnit(metric: Metric, value: number): string {
  switch (LIMITS[metric].unit) {
    case 'bytes':
      return `${(value / 2 ** 20).toFixed(1)} MiB`;
    case 'count':
      return value.toFixed(1);
    case 'ms':
      return `${value.toFixed(2)} ms`;
  }
}

function failureLines({ failures, failureCount }: SoakOutcome): string[] {
  if (failureCount === 0) return [];
  const more = failureCount - failures.length;
  return ['', ...failures, ...(more > 0 ? [`and ${more} more`] : [])];
}

function reasons({ judgements, failureCount }: SoakOutcome): string {
  const growing = judgements
    .filter(({ result }) => result === 'grows')
    .map(({ subject, metric }) => `${TITLES[metric]} of ${subject} grows`);
  const short = judgements.some(({ result }) => result === 'too short')
    ? ['too little was measured to judge everything']
    : [];
  const failed = failureCount > 0 ? [`${failureCount} failures`] : [];
  return [...growing, ...short, ...failed].join(', ');
}
