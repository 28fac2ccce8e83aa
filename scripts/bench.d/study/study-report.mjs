/** The study as text, at most 80 columns wide. */
import { formatCpu, formatNumber, rows, warnOfLoad, wrapped } from '../table.mjs';

const BYTES_PER_MB = 1e6;
/** Requests of this length are told in MB a second. */
const LARGE_BYTES = 2 ** 20;

/** @returns tables of speed, ratios, CPU time and latency; ends with a line break */
export function formatStudy({ machine, starts, rounds, seconds, ways, loads }) {
  const table = (title, of, cellOf) => [...wrapped(title), '', ...rows(ways, of, cellOf), ''];
  const single = loads.filter(({ depth }) => depth === 1);
  return [
    ...warnOfLoad(machine),
    ...wrapped(
      `${machine.cpu}, ${machine.cores} cores, Linux ${machine.kernel}, Node ${machine.node}`,
    ),
    ...wrapped(
      `${machine.date.slice(0, 16)}Z, rounds of ${seconds} s: ${rounds} after each of ${starts} starts`,
    ),
    ...ways.filter(({ isTls }) => !isTls).map(describe),
    '',
    ...table('Speed in requests (/s) or MB a second, median of the rounds', loads, formatSpeed),
    ...table(
      "Ratio to bare with the same protection, median of each round's; and the spread of the speed, half of maximum - minimum",
      loads,
      ({ ratio, spreadPercent }) => withSpread(ratio, spreadPercent),
    ),
    ...table(
      'CPU microseconds of a request: the near end + the far end',
      loads,
      ({ cpuMicroseconds: { near, far } }) => `${formatCpu(near)}+${formatCpu(far)}`,
    ),
    ...table(
      'The same of both ends as a ratio to bare, and the spread of it',
      loads,
      ({ cpuRatio, cpuSpreadPercent }) => withSpread(cpuRatio, cpuSpreadPercent),
    ),
    ...(single.length === 0
      ? []
      : table('Round trip in microseconds, p50', single, ({ p50Microseconds }) =>
          p50Microseconds.toFixed(0),
        )),
  ].join('\n');
}

function describe({ title, description }) {
  return `${title.padEnd(10)} ${description}`;
}

function formatSpeed({ requestsPerSecond }, { lengthBytes }) {
  if (lengthBytes < LARGE_BYTES) return `${formatNumber(requestsPerSecond)}/s`;
  return `${((requestsPerSecond * lengthBytes) / BYTES_PER_MB).toFixed(0)}MB`;
}

function withSpread(ratio, spreadPercent) {
  return `${ratio.toFixed(2)} ±${spreadPercent.toFixed(0)}%`;
}
