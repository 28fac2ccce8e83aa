/**
 * `scripts/bench study`: what HTTP/2 costs between daemon and node. The frames of a session go between two processes on
 * this machine over gRPC by grpc-js, over gRPC by our own connections, and over a bare socket, which is not shipped: it
 * says what there would be to win. The ways take turns, in an order drawn anew in each round; and the processes are started
 * anew several times, because what one of them is lucky with for as long as it lives would be taken for its way's.
 */
import { chosen, positive, readCommandOptions, withFolder } from '../command.mjs';
import { describeMachine } from '../machine.mjs';
import { Progress } from '../progress.mjs';
import { makeCertificates } from '../study/certificates.mjs';
import { FRAME_LOADS } from '../study/frame-loads.mjs';
import { formatStudy } from '../study/study-report.mjs';
import { summarizeWays } from '../study/way-summary.mjs';
import { WayPair } from '../study/way-pair.mjs';
import { WAYS } from '../study/ways.mjs';

const USAGE = `usage: scripts/bench study [options]

  --starts N    times that both ends of each way are started, for each load (default 2)
  --rounds N    times that they are measured then, in turn (default 3)
  --seconds S   length of one measurement (default 0.5)
  --loads LIST  some of: ${FRAME_LOADS.map(({ name }) => name).join(',')}
  --dir FOLDER  where the certificates are meanwhile (default /dev/shm)
  --json FILE   the figures as JSON too
`;

/** Until V8 has compiled what a load needs, and TCP has found its window; the more code there is the longer. */
const WARM_UP_SECONDS = 1.2;

export async function studyWays(words) {
  const options = readCommandOptions(words, USAGE, {
    ...{ starts: { type: 'string' }, rounds: { type: 'string' } },
    ...{ seconds: { type: 'string' }, loads: { type: 'string' } },
  });
  const plan = {
    starts: Math.ceil(positive('--starts', options.starts, 2)),
    rounds: Math.ceil(positive('--rounds', options.rounds, 3)),
    seconds: positive('--seconds', options.seconds, 0.5),
  };
  const chosenLoads = chosen('--loads', options.loads, FRAME_LOADS, ({ name }) => name);
  const machine = describeMachine();
  await withFolder(options, async (folder) => {
    const certificates = await makeCertificates(folder);
    const progress = new Progress();
    const steps = chosenLoads.length * plan.starts;
    const loads = [];
    for (const [index, load] of chosenLoads.entries()) {
      const samples = [];
      for (let start = 0; start < plan.starts; start += 1) {
        progress.step(index * plan.starts + start, steps, `${load.title}, start ${start + 1}`);
        for (const sample of await measureStarted(load, plan, certificates))
          samples.push({ ...sample, round: start * plan.rounds + sample.round });
      }
      loads.push({ ...load, results: summarizeWays(samples), samples });
    }
    progress.clear();
    const results = { machine, ...plan, ways: WAYS, loads };
    options.report(formatStudy(results), results);
  });
}

/** All rounds of one load with the same processes. @returns the samples */
async function measureStarted(load, { rounds, seconds }, certificates) {
  const pairs = [];
  try {
    for (const way of WAYS) {
      const pair = await WayPair.start(way, certificates);
      pairs.push(pair);
      await pair.measure(load, WARM_UP_SECONDS);
    }
    const samples = [];
    for (let round = 0; round < rounds; round += 1) {
      for (const pair of shuffled(pairs))
        samples.push({ round, way: pair.way.name, ...(await pair.measure(load, seconds)) });
    }
    return samples;
  } finally {
    for (const pair of pairs) await pair.stop();
  }
}

function shuffled(items) {
  return items
    .map((item) => ({ item, place: Math.random() }))
    .sort((left, right) => left.place - right.place)
    .map(({ item }) => item);
}
