/** The results as text, at most 100 columns wide. */
import { BASELINE } from './targets.mjs';

const LOAD_WIDTH = 35;
const CELL_WIDTH = 16;
const BYTES_PER_MIB = 2 ** 20;

/** Processes of others that want a processor, for each one there is, from which on a result is doubtful. */
const BUSY_PER_CORE = 0.5;

/** @returns tables of speed with ratios, CPU time with spread, latency, and memory with fio's CPU time; ends with a line break */
export function formatReport(results) {
  const { machine, rounds, seconds, targets, loads } = results;
  const baseline = targets.find(({ name }) => name === BASELINE)?.title ?? 'nothing';
  const byFio = loads.filter(({ results: of }) => Object.values(of)[0].latency !== undefined);
  return [
    ...warnOfLoad(machine),
    `${machine.cpu}, ${machine.cores} cores, Linux ${machine.kernel}, Node ${machine.node}`,
    `${rounds} rounds of ${seconds} s, ${machine.sizeBytes / 2 ** 20} MiB each on ${machine.data}`,
    ...targets.map(({ title, description }) => `  ${title.padEnd(12)} ${description}`),
    '',
    `Speed: median of the rounds, and in brackets the ratio to ${baseline} (median of each round's ratio)`,
    '',
    ...rows(targets, loads, (load, result) => {
      const ratio = result.ratio === undefined ? '' : ` (${result.ratio.toFixed(2)}x)`;
      return `${formatNumber(result.median)}${ratio}`;
    }),
    '',
    'CPU microseconds of all server processes per request (nbdcopy: per 256 KiB), and in brackets the',
    'spread of the speed between rounds (half of maximum - minimum, of the median)',
    '',
    ...rows(targets, loads, (_load, result) => {
      return `${formatNumber(result.cpuMicroseconds)} (${result.spreadPercent.toFixed(0)}%)`;
    }),
    '',
    'Latency in microseconds, p50/p99/p99.9: the median of the rounds for each',
    '',
    ...rows(targets, byFio, (_load, { latency }) =>
      [latency.p50, latency.p99, latency.p999].map((value) => formatLatency(value)).join('/'),
    ),
    '',
    'MiB of memory of all server processes, and in brackets the CPU microseconds of fio per request',
    '',
    ...rows(targets, loads, (_load, { memoryBytes, generatorMicroseconds }) => {
      const generator =
        generatorMicroseconds === undefined ? '' : ` (${formatNumber(generatorMicroseconds)})`;
      return `${(memoryBytes / BYTES_PER_MIB).toFixed(0)}${generator}`;
    }),
    '',
  ].join('\n');
}

/** Said first: others that wanted the processor change speed and latency more than the programs do. */
function warnOfLoad({ loadAverageBefore, cores }) {
  if (loadAverageBefore <= cores * BUSY_PER_CORE) return [];
  const load = loadAverageBefore.toFixed(1);
  return [
    `THE MACHINE WAS BUSY: load average ${load} before the first round. Repeat when it is quiet.`,
    '',
  ];
}

function formatLatency(microseconds) {
  return microseconds >= 10_000 ? `${(microseconds / 1000).toFixed(0)}k` : microseconds.toFixed(0);
}

function rows(targets, loads, cellOf) {
  const line = (first, cells) =>
    [first.padEnd(LOAD_WIDTH), ...cells.map((cell) => cell.padStart(CELL_WIDTH))].join('');
  const head = line(
    '',
    targets.map(({ title }) => title),
  );
  return [
    head,
    '-'.repeat(head.length),
    ...loads.map((load) =>
      line(
        `${load.title}, ${load.unit}`,
        targets.map(({ name }) => cellOf(load, load.results[name])),
      ),
    ),
  ];
}

/** Three digits that mean something. */
function formatNumber(value) {
  if (value >= 10_000) return `${(value / 1000).toFixed(1)}k`;
  if (value >= 100) return value.toFixed(0);
  return value.toFixed(1);
}
