/** What a quiet client gets beside its neighbours: samples → medians → a table of at most 80 columns. */
import { median, spreadPercent } from './statistics.mjs';
import { formatLatency, formatNumber, warnOfLoad, wrapped } from './table.mjs';
import { DELAY_MS, UNWRITTEN_BYTES_MAX } from './slow-disk.mjs';

const MIB = 2 ** 20;
const MB = 1e6;

/** 'nbdkit x2, 4k random write'; with the others 80. */
const FIRST_WIDTH = 26;
const COLUMNS = [
  ['', -FIRST_WIDTH],
  ['quiet/s', 9],
  ['ratio', 12],
  ['p50', 7],
  ['p99', 7],
  ['p99.9', 8],
  ['neighbour', 11],
];

const SLOW_DISK =
  `slow       a volume on ext4, on a disk of ${DELAY_MS} ms a request that has ` +
  `${UNWRITTEN_BYTES_MAX / MIB} MiB of the page cache for what is not written yet`;

/**
 * @param samples {round, client, server, neighbour, quiet, other}; the last two as of fio.mjs
 * @returns for each client, server and neighbour: medians, `ratio` of what the client gets alone in the same round
 */
export function summarizeNeighbours(samples) {
  const keyOf = ({ client, server, neighbour }) => `${client} ${server} ${neighbour}`;
  return [...new Set(samples.map(keyOf))].map((key) => {
    const own = samples.filter((sample) => keyOf(sample) === key);
    const { client, server, neighbour } = own[0];
    const speeds = own.map(({ quiet }) => quiet.operationsPerSecond);
    const ratios = own.map(({ round, quiet }) => {
      const alone = samples.find(
        (one) => one.round === round && keyOf(one) === `${client} ${server} alone`,
      );
      return quiet.operationsPerSecond / alone.quiet.operationsPerSecond;
    });
    const latencyOf = (name) => median(own.map(({ quiet }) => quiet.latency[name]));
    const others = own.flatMap(({ other }) => other ?? []);
    return {
      ...{ client, server, neighbour },
      operationsPerSecond: median(speeds),
      spreadPercent: spreadPercent(speeds),
      ratio: median(ratios),
      latency: { p50: latencyOf('p50'), p99: latencyOf('p99'), p999: latencyOf('p999') },
      ...(others.length === 0 ? {} : { other: summarizeOther(others) }),
    };
  });
}

function summarizeOther(others) {
  return {
    operationsPerSecond: median(others.map((one) => one.operationsPerSecond)),
    bytesPerSecond: median(others.map((one) => one.bytesPerSecond)),
  };
}

/** @returns the table; ends with a line break */
export function formatNeighbours(results) {
  const { machine, rounds, seconds, clients, servers, neighbours, leftOut, whyNot } = results;
  return [
    ...warnOfLoad(machine),
    ...wrapped(`${machine.cpu}, ${machine.cores} cores, Linux ${machine.kernel}`),
    ...wrapped(
      `${machine.date.slice(0, 16)}Z, ${rounds} rounds of ${seconds} s, volumes of ${machine.sizeBytes / MIB} MiB on ${machine.data}`,
    ),
    ...servers.flatMap(({ title, description }) =>
      wrapped(`${title.padEnd(10)} ${description}`, 11),
    ),
    ...(neighbours.some(({ volume }) => volume === 'slow') ? wrapped(SLOW_DISK, 11) : []),
    '',
    ...wrapped(
      'What the client of a quiet volume gets, one request at a time, beside a neighbour: requests a second, the ratio to what it gets alone and the spread, latency in microseconds; and what the neighbour gets.',
    ),
    '',
    ...clients.flatMap((client) => servers.flatMap((server) => section(results, client, server))),
    ...(leftOut.length === 0
      ? []
      : [
          `Left out: ${leftOut.join(', ')}. There is no slow disk here:`,
          ...whyNot.split('\n').flatMap((sentence) => wrapped(sentence)),
          '',
        ]),
  ].join('\n');
}

function section({ neighbours, rows }, client, server) {
  const [, ...titles] = COLUMNS.map(([title]) => title);
  const head = line([`${server.title}, ${client.title}`, ...titles]);
  return [
    head,
    '-'.repeat(head.length),
    ...neighbours.map((neighbour) => {
      const row = rows.find(
        (one) =>
          one.client === client.name &&
          one.server === server.name &&
          one.neighbour === neighbour.name,
      );
      return line(cells(neighbour, row));
    }),
    '',
  ];
}

function cells(
  { title, blockBytes },
  { operationsPerSecond, ratio, spreadPercent: spread, latency, other },
) {
  return [
    title,
    formatNumber(operationsPerSecond),
    `${ratio.toFixed(ratio < 0.1 ? 3 : 2)} ±${spread.toFixed(0)}%`,
    ...[latency.p50, latency.p99, latency.p999].map(formatLatency),
    other === undefined ? '' : formatOther(other, blockBytes),
  ];
}

function formatOther({ operationsPerSecond, bytesPerSecond }, blockBytes) {
  if (blockBytes === MIB) return `${formatNumber(bytesPerSecond / MB)}MB/s`;
  return `${formatNumber(operationsPerSecond)}/s`;
}

function line(texts) {
  return texts
    .map((text, index) => {
      const [, width] = COLUMNS[index];
      return width < 0 ? text.padEnd(-width) : text.padStart(width);
    })
    .join('')
    .trimEnd();
}
