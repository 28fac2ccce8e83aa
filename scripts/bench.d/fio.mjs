/**
 * fio with its nbd engine, the generator of every load but whole copies: it is the same for all targets, talks NBD
 * through libnbd, keeps latencies of each request, and needs 3 to 6 microseconds of CPU for one of 4 KiB. What it
 * needs is measured and printed like that of the servers, since on two cores it is part of the result.
 */
import { run, start } from './program.mjs';

/** Percentiles that are kept, as fio writes them. */
const PERCENTILES = { p50: '50.000000', p99: '99.000000', p999: '99.900000' };
const NANOSECONDS_PER_MICROSECOND = 1000;
const MICROSECONDS_PER_MILLISECOND = 1000;

/**
 * @param jobs each {name, uri, pattern, blockBytes, depth, clients, rate, delayMs, leadMs}; `clients` connections of
 *   their own (default 1), `rate` requests a second at most (default: as many as go); it begins `delayMs` after the
 *   others, or goes on for `leadMs` more (default 0)
 */
export function fioWords(jobs, { sizeBytes, seconds }) {
  return [
    ...['--ioengine=nbd', '--thread', '--norandommap', '--randrepeat=0', '--time_based'],
    ...[
      `--runtime=${seconds * 1000}ms`,
      `--size=${sizeBytes}`,
      '--group_reporting',
      '--output-format=json',
    ],
    ...[`--percentile_list=${Object.values(PERCENTILES).map(Number).join(':')}`],
    ...jobs.flatMap((job) => jobWords(job, seconds)),
  ];
}

function jobWords(job, seconds) {
  const { name, uri, pattern, blockBytes, depth, clients = 1, rate, delayMs, leadMs } = job;
  return [
    ...[`--name=${name}`, '--new_group', `--uri=${uri}`, `--rw=${pattern}`, `--bs=${blockBytes}`],
    ...[`--iodepth=${depth}`, `--numjobs=${clients}`],
    ...(rate === undefined ? [] : [`--rate_iops=${rate}`]),
    ...(delayMs === undefined ? [] : [`--startdelay=${delayMs}ms`]),
    ...(leadMs === undefined ? [] : [`--runtime=${seconds * 1000 + leadMs}ms`]),
  ];
}

/** @returns per job, see `toResult` */
export async function runFio(jobs, options) {
  return readResults(await run('fio', fioWords(jobs, options)));
}

/** Begins a load that goes on while something else is looked at. @returns {pid, results, stop} */
export async function startFio(jobs, options) {
  const program = await start('fio', fioWords(jobs, options), () => true);
  const results = async () => {
    await program.ended;
    return readResults(program.output());
  };
  return { pid: program.pid, results, stop: program.stop };
}

function readResults(output) {
  // The engine writes lines of its own before the document.
  return JSON.parse(output.slice(output.indexOf('{'))).jobs.map(toResult);
}

/** `latency` in microseconds; `generatorMicroseconds`: fio's own CPU time. */
function toResult(job) {
  const part = job.read.total_ios > 0 ? job.read : job.write;
  const { percentile = {} } = part.clat_ns;
  const microsecondsOf = (key) => (percentile[key] ?? 0) / NANOSECONDS_PER_MICROSECOND;
  return {
    name: job.jobname,
    operationsPerSecond: part.iops,
    bytesPerSecond: part.bw_bytes,
    requests: part.total_ios,
    generatorMicroseconds:
      ((job.usr_cpu + job.sys_cpu) / 100) * job.job_runtime * MICROSECONDS_PER_MILLISECOND,
    latency: Object.fromEntries(
      Object.entries(PERCENTILES).map(([name, key]) => [name, microsecondsOf(key)]),
    ),
  };
}
