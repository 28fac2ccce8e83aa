/**
 * `scripts/bench neighbour`: what a quiet client gets beside volumes of the same server that are busy, or whose disk is
 * slow; and the same for nbdkit → nbdkit, because part of it is what two processors do to any server.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { BenchFailure } from '../bench-failure.mjs';
import { chosen, positive, readCommandOptions, wasStopped, withFolder } from '../command.mjs';
import { describeFolder } from '../data-folder.mjs';
import { runFio } from '../fio.mjs';
import { describeMachine, loadAverage } from '../machine.mjs';
import { formatNeighbours, summarizeNeighbours } from '../neighbour-table.mjs';
import { SERVERS, startServer } from '../neighbourhood.mjs';
import { Progress } from '../progress.mjs';
import { writeRandomFile } from '../random-file.mjs';
import { shuffled } from '../random-order.mjs';
import { SlowDisk } from '../slow-disk.mjs';

const KIB = 1024;
const MIB = 1024 * KIB;

/** Well-behaved: one request at a time. */
const CLIENTS = [
  { name: 'read', title: '4k random read', pattern: 'randread' },
  { name: 'write', title: '4k random write', pattern: 'randwrite' },
];

const ALONE = { name: 'alone', title: 'alone' };
const BESIDE = [
  noisy('write-4k', '4k rwrite d64', 'randwrite', 4 * KIB, 64),
  noisy('write-1m', '1M swrite d16', 'write', MIB, 16),
  noisy('read-1m', '1M sread d16', 'read', MIB, 16),
  slow('slow-read', 'slow 4k rread d16', 'randread', 16),
  slow('slow-write', 'slow 4k rwrite d16', 'randwrite', 16),
];

const USAGE = `usage: scripts/bench neighbour [options]

  --rounds N     times that everything is measured (default 5)
  --seconds S    length of one measurement (default 2)
  --beside LIST  some of ${BESIDE.map(({ name }) => name).join(', ')};
                 slow: a volume on a disk of 10 ms a request, which needs root and nbdfuse
  --dir DIR      where the data is kept meanwhile (default /dev/shm)
  --out DIR      where neighbour.txt and neighbour.json go (default tmp/bench)
  --json FILE    the results for programs, there too
  --help
`;

/** Little, so that the slow disk is filled soon; more than processors keep in their caches. */
const SIZE_BYTES = 128 * MIB;
/** So long the neighbour has been at it when the quiet client begins. */
const LEAD_MS = 500;
const WARM_UP_SECONDS = 0.5;

function noisy(name, title, pattern, blockBytes, depth) {
  return { name, title, volume: 'noisy', pattern, blockBytes, depth };
}

function slow(name, title, pattern, depth) {
  return { name, title, volume: 'slow', pattern, blockBytes: 4 * KIB, depth };
}

export async function measureNeighbours(words) {
  const options = readCommandOptions(words, USAGE, {
    ...{ rounds: { type: 'string' }, seconds: { type: 'string' } },
    ...{ beside: { type: 'string' }, out: { type: 'string', default: 'tmp/bench' } },
  });
  const rounds = Math.ceil(positive('--rounds', options.rounds, 5));
  const seconds = Math.ceil(positive('--seconds', options.seconds, 2));
  const wanted = [ALONE, ...chosen('--beside', options.beside, BESIDE, ({ name }) => name)];
  const progress = new Progress();
  await withFolder(options, async (folder, atEnd) => {
    const machine = { ...describeMachine(), data: describeFolder(folder), sizeBytes: SIZE_BYTES };
    const source = path.join(folder, 'source');
    await writeRandomFile(source, SIZE_BYTES);
    progress.show('making a slow disk');
    const { disk, whyNot } = await slowDisk(path.join(folder, 'slow'), source, wanted, atEnd);
    const neighbours = wanted.filter(({ volume }) => volume !== 'slow' || disk !== undefined);
    const leftOut = wanted.filter((one) => !neighbours.includes(one)).map(({ title }) => title);
    const servers = [];
    for (const name of Object.keys(SERVERS)) {
      progress.show(`starting ${name}`);
      const data = { sizeBytes: SIZE_BYTES, source, slowFile: disk?.pathOf(name) };
      servers.push(await startServer(name, path.join(folder, name), data, atEnd));
    }
    const samples = await measure({ servers, neighbours, disk, rounds, seconds }, progress);
    progress.clear();
    const facts = { machine, rounds, seconds, clients: CLIENTS, neighbours, leftOut, whyNot };
    const servedBy = Object.entries(SERVERS).map(([name, { title, description }]) => {
      return { name, title, description };
    });
    const results = { ...facts, servers: servedBy, rows: summarizeNeighbours(samples), samples };
    report(options, results);
  });
}

/** @returns {disk} with a file for each server, or {whyNot} */
async function slowDisk(folder, source, wanted, atEnd) {
  if (!wanted.some(({ volume }) => volume === 'slow')) return {};
  const disk = new SlowDisk(folder);
  atEnd(() => disk.stop());
  try {
    await disk.start(Object.keys(SERVERS), source, SIZE_BYTES);
    return { disk };
  } catch (error) {
    if (!(error instanceof BenchFailure) || wasStopped()) throw error;
    await disk.stop();
    return { whyNot: error.message.trim() };
  }
}

/** @returns one sample per round, client, server and neighbour */
async function measure(bench, progress) {
  const { seconds } = bench;
  const turns = turnsOf(bench);
  const samples = [];
  for (const [done, { round, client, server, neighbour }] of turns.entries()) {
    const what = `${client.title}, round ${round}, ${server.title}, ${neighbour.title}`;
    progress.step(done, turns.length, what);
    const whose = { round, client: client.name, server: server.name, neighbour: neighbour.name };
    const machineLoad = loadAverage();
    const forSeconds = round === 0 ? WARM_UP_SECONDS : seconds;
    const result = await measureOne(bench, client, server, neighbour, forSeconds);
    if (round > 0) samples.push({ ...whose, machineLoad, ...result });
  }
  return samples;
}

/** Round 0 warms up. Within a round a client meets servers and neighbours in an order of its own. */
function turnsOf({ servers, neighbours, rounds }) {
  const pairs = servers.flatMap((server) => neighbours.map((neighbour) => ({ server, neighbour })));
  const round = (number, clients) =>
    clients.flatMap((client) =>
      shuffled(pairs).map((pair) => ({ round: number, client, ...pair })),
    );
  const measured = Array.from({ length: rounds }, (_, index) => round(index + 1, CLIENTS));
  return [...round(0, CLIENTS.slice(0, 1)), ...measured.flat()];
}

async function measureOne({ disk }, client, server, neighbour, seconds) {
  const { volume, pattern, blockBytes, depth } = neighbour;
  const quiet = { name: 'quiet', uri: server.uris.quiet, pattern: client.pattern };
  const jobs = [{ ...quiet, blockBytes: 4 * KIB, depth: 1, delayMs: LEAD_MS }];
  if (volume !== undefined) {
    const uri = server.uris[volume];
    jobs.push({ name: 'neighbour', uri, pattern, blockBytes, depth, leadMs: LEAD_MS });
  }
  if (volume === 'slow') await disk.forget(server.name);
  const [own, other] = await runFio(jobs, { sizeBytes: SIZE_BYTES, seconds });
  // What the disk still has to do must not be the next one's neighbour.
  if (volume === 'slow') await disk.settle(server.name);
  return { quiet: own, other };
}

function report(options, results) {
  const out = path.resolve(options.out);
  mkdirSync(out, { recursive: true });
  const table = formatNeighbours(results);
  writeFileSync(path.join(out, 'neighbour.txt'), table);
  writeFileSync(path.join(out, 'neighbour.json'), `${JSON.stringify(results, null, 2)}\n`);
  options.report(`${table}\nWritten to ${out}: neighbour.txt neighbour.json\n`, results);
}
