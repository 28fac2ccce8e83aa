/** The results as text, at most 80 columns wide. */
import { BASELINE } from './targets.mjs';

const LOAD_WIDTH = 14;
const CELL_WIDTH = 11;
const WIDTH_MAX = 80;
const BYTES_PER_MIB = 2 ** 20;

/** Processes of others that want a processor, for each one there is, from which on a result is doubtful. */
const BUSY_PER_CORE = 0.5;

const SHORT_UNITS = { 'ops/s': '/s', 'MB/s': 'MB' };

/** @returns tables of speed, ratios, CPU time, latency and memory; ends with a line break */
export function formatReport(results) {
  const { machine, rounds, seconds, targets, loads } = results;
  const baseline = targets.find(({ name }) => name === BASELINE)?.title;
  const byFio = loads.filter(({ results: of }) => Object.values(of)[0].latency !== undefined);
  const table = (title, of, cellOf) => [...wrapped(title), '', ...rows(targets, of, cellOf), ''];
  return [
    ...warnOfLoad(machine),
    ...wrapped(`${machine.cpu}, ${machine.cores} cores, Linux ${machine.kernel}`),
    ...wrapped(`Node ${machine.node}, ${Object.values(machine.versions).join(', ')}`),
    ...wrapped(
      `${machine.date.slice(0, 16)}Z, ${rounds} rounds of ${seconds} s, ${machine.sizeBytes / 2 ** 20} MiB each on ${machine.data}`,
    ),
    ...targets.flatMap(({ title, description }) =>
      wrapped(`${title.padEnd(10)} ${description}`, 11),
    ),
    '',
    ...table(
      'Speed in requests (/s) or MB a second, median of the rounds',
      loads,
      (result, { unit }) => {
        return `${formatNumber(result.median)}${SHORT_UNITS[unit]}`.replace('kMB', 'GB');
      },
    ),
    ...(baseline === undefined
      ? []
      : table(
          `Ratio to ${baseline}, median of each round's; and the spread of the speed, half of maximum - minimum`,
          loads,
          ({ ratio, spreadPercent }) => `${ratio.toFixed(2)} ±${spreadPercent.toFixed(0)}%`,
        )),
    ...table(
      'CPU microseconds of a request (copies: of 256 KiB): the front server + the one behind',
      loads,
      ({ cpuMicroseconds }) => cpuMicroseconds.map(formatCpu).join('+'),
    ),
    ...table('Latency in microseconds, p50/p99, median of the rounds', byFio, ({ latency }) =>
      [latency.p50, latency.p99].map(formatLatency).join('/'),
    ),
    ...table('Latency in microseconds, p99.9', byFio, ({ latency }) => formatLatency(latency.p999)),
    ...table(
      "MiB of memory of all server processes / fio's own CPU microseconds of a request",
      loads,
      ({ memoryBytes, generatorMicroseconds }) =>
        [
          (memoryBytes / BYTES_PER_MIB).toFixed(0),
          ...(generatorMicroseconds === undefined ? [] : [formatCpu(generatorMicroseconds)]),
        ].join('/'),
    ),
  ].join('\n');
}

/** Said first: others that wanted the processor change speed and latency more than the programs do. */
export function warnOfLoad({ loadAverageBefore, cores }) {
  if (loadAverageBefore <= cores * BUSY_PER_CORE) return [];
  const load = loadAverageBefore.toFixed(1);
  return [
    `THE MACHINE WAS BUSY: load average ${load} before the first round.`,
    'Repeat when it is quiet.',
    '',
  ];
}

/** @returns lines of at most WIDTH_MAX, the further ones indented */
export function wrapped(sentence, indent = 0) {
  const lines = [];
  for (const word of sentence.split(/(?<! ) (?! )/)) {
    const last = lines.at(-1);
    if (last === undefined || last.length + 1 + word.length > WIDTH_MAX)
      lines.push(`${last === undefined ? '' : ' '.repeat(indent)}${word}`);
    else lines[lines.length - 1] = `${last} ${word}`;
  }
  return lines;
}

/** @returns lines: a row for each load, a column for each target */
export function rows(targets, loads, cellOf) {
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
        load.title,
        targets.map(({ name }) => {
          const result = load.results[name];
          return result === undefined ? '' : cellOf(result, load);
        }),
      ),
    ),
  ];
}

export function formatLatency(microseconds) {
  return microseconds >= 10_000 ? `${(microseconds / 1000).toFixed(0)}k` : microseconds.toFixed(0);
}

export function formatCpu(microseconds) {
  return microseconds >= 100 ? microseconds.toFixed(0) : microseconds.toFixed(1);
}

/** Three digits that mean something. */
export function formatNumber(value) {
  if (value >= 10_000) return `${(value / 1000).toFixed(1)}k`;
  if (value >= 100) return value.toFixed(0);
  return value.toFixed(1);
}
