/** The results as text, at most 100 columns wide. */
import { BASELINE } from './targets.mjs';

const LOAD_WIDTH = 35;
const CELL_WIDTH = 16;

/** @returns two tables: speed with ratios, and CPU time with spread; ends with a line break */
export function formatReport(results) {
  const { machine, rounds, seconds, targets, loads } = results;
  const baseline = targets.find(({ name }) => name === BASELINE)?.title ?? 'nothing';
  return [
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
  ].join('\n');
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
