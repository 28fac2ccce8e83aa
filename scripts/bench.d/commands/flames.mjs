/**
 * `scripts/bench flames`: what daemon and node do with their processor time under one load, as one flame graph of
 * both and as a table. V8 samples both (--cpu-prof); only what was sampled while the load ran is counted, so
 * neither start nor warming up is in it.
 */
import { readdirSync, readFileSync, writeFileSync, mkdirSync } from 'node:fs';
import path from 'node:path';
import { BenchFailure } from '../bench-failure.mjs';
import { Blkferry } from '../blkferry.mjs';
import { readCommandOptions, withFolder } from '../command.mjs';
import { readProfile, selfTimes } from '../cpu-profile.mjs';
import { runFio } from '../fio.mjs';
import { drawFlames } from '../flame-graph.mjs';

const LOADS = {
  'read-4k': { pattern: 'randread', blockBytes: 4096, depth: 1 },
  'read-4k-deep': { pattern: 'randread', blockBytes: 4096, depth: 64 },
  'write-4k': { pattern: 'randwrite', blockBytes: 4096, depth: 1 },
  'write-4k-deep': { pattern: 'randwrite', blockBytes: 4096, depth: 64 },
  'read-1m': { pattern: 'read', blockBytes: 2 ** 20, depth: 16 },
  'write-1m': { pattern: 'write', blockBytes: 2 ** 20, depth: 16 },
};

const USAGE = `usage: scripts/bench flames [--load LOAD] [--seconds S] [--out DIR] [--json FILE]

  --load LOAD  one of ${Object.keys(LOADS).join(', ')} (default read-4k)
  --seconds S  sampled (default 5)
  --out DIR    where flames-LOAD.svg goes (default tmp/bench)
`;

const SIZE_BYTES = 512 * 2 ** 20;
const WARM_UP_SECONDS = 3;
const SAMPLE_MICROSECONDS = 100;
const FUNCTIONS_SHOWN = 12;

export async function drawFlameGraph(words) {
  const options = readCommandOptions(words, USAGE, {
    load: { type: 'string', default: 'read-4k' },
    seconds: { type: 'string', default: '5' },
    out: { type: 'string', default: 'tmp/bench' },
  });
  const load = LOADS[options.load];
  if (load === undefined)
    throw new BenchFailure(`--load ${options.load}: known are ${Object.keys(LOADS).join(', ')}`, 2);
  await withFolder(options, async (folder) => {
    const { requests, profiles } = await sample(folder, load, Number(options.seconds));
    const file = path.join(path.resolve(options.out), `flames-${options.load}.svg`);
    mkdirSync(path.dirname(file), { recursive: true });
    const title = `${options.load}: processor time of ${requests} requests`;
    writeFileSync(file, drawFlames(title, profiles));
    const summary = profiles.map((profile) => ({
      process: profile.name,
      microsecondsPerRequest: profile.microseconds / requests,
      ...selfTimes(profile, FUNCTIONS_SHOWN),
    }));
    options.report(`${formatSummary(options.load, summary)}\nWritten: ${file}\n`, {
      load: options.load,
      requests,
      processes: summary,
    });
  });
}

async function sample(folder, load, seconds) {
  const nodeWords = (name) => [
    ...['--cpu-prof', `--cpu-prof-dir=${path.join(folder, name)}`],
    `--cpu-prof-interval=${SAMPLE_MICROSECONDS}`,
  ];
  const ours = await Blkferry.start(path.join(folder, 'run'), {
    daemon: { nodeWords: nodeWords('blkferryd') },
    node: { nodeWords: nodeWords('blkferry-node') },
  });
  let window;
  let requests;
  try {
    const uri = await ours.newVolume('flames', SIZE_BYTES);
    const fill = { name: 'fill', uri, pattern: 'write', blockBytes: 2 ** 20, depth: 4 };
    await runFio([fill], { sizeBytes: SIZE_BYTES, seconds: 1 });
    const job = { name: 'flames', uri, ...load };
    await runFio([job], { sizeBytes: SIZE_BYTES, seconds: WARM_UP_SECONDS });
    const beginMicroseconds = nowMicroseconds();
    const [result] = await runFio([job], { sizeBytes: SIZE_BYTES, seconds });
    window = { beginMicroseconds, endMicroseconds: nowMicroseconds() };
    requests = result.requests;
  } finally {
    await ours.stop();
  }
  const profiles = ['blkferryd', 'blkferry-node'].map((name) => {
    const [file] = readdirSync(path.join(folder, name));
    const document = JSON.parse(readFileSync(path.join(folder, name, file), 'utf8'));
    return readProfile(name, document, window);
  });
  return { requests, profiles };
}

/** The clock that V8's profiles count in. */
function nowMicroseconds() {
  return Number(process.hrtime.bigint() / 1000n);
}

function formatSummary(load, processes) {
  return processes
    .flatMap(({ process: name, microsecondsPerRequest, kinds, functions }) => [
      `${name}, ${load}: ${microsecondsPerRequest.toFixed(1)} microseconds per request on its main thread`,
      ...kinds.map(({ kind, part }) => `  ${percent(part)}  ${kind}`),
      '  most of it in',
      ...functions.map(({ name: what, part }) => `    ${percent(part)}  ${what}`),
      '',
    ])
    .join('\n');
}

function percent(part) {
  return `${(100 * part).toFixed(1).padStart(5)} %`;
}
