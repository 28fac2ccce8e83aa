/** The command line of the bench. */
import path from 'node:path';
import { parseArgs } from 'node:util';
import { BenchFailure } from './bench-failure.mjs';
import { chosen, dataFolder, positive } from './command.mjs';
import { LOADS } from './loads.mjs';
import { TARGETS } from './targets.mjs';

const GIB = 2 ** 30;

const USAGE = `usage: scripts/bench [options]

  --rounds N      times that each load is measured on each target (default 5)
  --seconds S     length of one fio measurement (default 3)
  --size GIB      data per target, in GiB (default 2, or what fits)
  --quick         3 rounds of 1 second, 0.25 GiB, the loads and rivals that say most:
                  under 3 minutes, and less exact
  --loads LIST    some of: ${wrapped(LOADS.map((load) => load.name))}
                  (sparse: an image of 10 times the size, a twentieth of it data)
  --rivals LIST   some of: ${wrapped(Object.keys(TARGETS).filter((name) => name !== 'blkferry'))}
                  or none; blkferry itself is always measured
  --dir DIR       where the data is kept meanwhile (default /dev/shm: memory, so that the
                  software is measured and not a disk; else the folder for temporary files)
  --out DIR       where the results go (default tmp/bench)
  --json FILE     the results for programs, there too
  --help
`;

const DEFAULTS = { rounds: 5, seconds: 3, sizeGib: 2 };
const QUICK = {
  ...{ rounds: 3, seconds: 1, sizeGib: 0.25 },
  loads:
    'randread-1,randread-16,randwrite-1,randwrite-16,read-4k,read-1m,write-1m,copy-in,copy-out',
  rivals: 'cached,nbdkit2,qemu2',
};

function wrapped(names) {
  const lines = [''];
  for (const name of names) {
    const line = lines.at(-1);
    if (line.length + name.length > 66) lines.push(name);
    else lines[lines.length - 1] = line === '' ? name : `${line},${name}`;
  }
  return lines.join(',\n                  ');
}

/** @throws BenchFailure with a sentence for wrong usage; prints the usage and ends for --help */
export function readOptions(words) {
  const values = parse(words);
  if (values.help) {
    process.stdout.write(USAGE);
    process.exit(0);
  }
  const base = values.quick ? QUICK : DEFAULTS;
  const sizeGib = positive('--size', values.size, base.sizeGib);
  return {
    rounds: Math.ceil(positive('--rounds', values.rounds, base.rounds)),
    seconds: Math.ceil(positive('--seconds', values.seconds, base.seconds)),
    sizeBytes: {
      wanted: Math.round(sizeGib * 64) * (GIB / 64),
      isFixed: values.size !== undefined,
    },
    loads: chosen('--loads', values.loads ?? base.loads, LOADS, (load) => load.name),
    targets: ['blkferry', ...rivals(values.rivals ?? base.rivals)],
    folder: dataFolder(values.dir),
    json: values.json,
    out: path.resolve(values.out ?? 'tmp/bench'),
  };
}

function parse(words) {
  try {
    return parseArgs({
      args: words,
      options: {
        ...{ rounds: { type: 'string' }, seconds: { type: 'string' }, size: { type: 'string' } },
        ...{ quick: { type: 'boolean' }, help: { type: 'boolean' } },
        ...{ loads: { type: 'string' }, rivals: { type: 'string' } },
        ...{ dir: { type: 'string' }, out: { type: 'string' } },
        json: { type: 'string' },
      },
    }).values;
  } catch (error) {
    throw new BenchFailure(`${error.message}\n${USAGE}`, 2);
  }
}

function rivals(list) {
  const names = Object.keys(TARGETS).filter((name) => name !== 'blkferry');
  return list === 'none' ? [] : chosen('--rivals', list, names, (name) => name);
}
