/**
 * `scripts/bench hops`: where the time of one request at depth 1 goes, hop by hop, from the system calls of the
 * generator, the daemon and the node on the kernel's own clock. perf records them without stopping the processes;
 * what it adds is about half a microsecond for each call. Needs root, and perf.
 */
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { BenchFailure } from '../bench-failure.mjs';
import { Blkferry } from '../blkferry.mjs';
import { runFio, startFio } from '../fio.mjs';
import { HOPS, RequestTrace } from '../request-trace.mjs';
import { readCommandOptions, withFolder } from '../command.mjs';
import { run } from '../program.mjs';
import { median, quantile } from '../statistics.mjs';

const USAGE = `usage: scripts/bench hops [--write] [--seconds S] [--json FILE]

  --write      of a 4 KiB write instead of a read
  --seconds S  recorded (default 2)
  --json FILE  the figures as JSON too
`;

const SIZE_BYTES = 256 * 2 ** 20;
const WARM_UP_SECONDS = 4;
/** Of perf's text: about 20 calls of 100 bytes for each of 10,000 requests a second, and much to spare. */
const TRACE_BYTES_MAX = 2 ** 30;

export async function measureHops(words) {
  const options = readCommandOptions(words, USAGE, {
    ...{ write: { type: 'boolean' }, seconds: { type: 'string', default: '2' } },
  });
  await withFolder(options, async (folder) => {
    const ours = await Blkferry.start(folder);
    try {
      const uri = await ours.newVolume('hops', SIZE_BYTES);
      const pattern = options.write ? 'randwrite' : 'randread';
      const job = { name: 'hops', uri, pattern, blockBytes: 4096, depth: 1 };
      await fill(uri);
      await runFio([job], { sizeBytes: SIZE_BYTES, seconds: WARM_UP_SECONDS });
      const requests = await record(ours, job, Number(options.seconds), folder);
      options.report(formatHops(requests, options.write), summarize(requests));
    } finally {
      await ours.stop();
    }
  });
}

/** So that reads find data. */
async function fill(uri) {
  const job = { name: 'fill', uri, pattern: 'write', blockBytes: 2 ** 20, depth: 4 };
  await runFio([job], { sizeBytes: SIZE_BYTES, seconds: 1 });
}

/** @returns the traced requests, each a list of microseconds per hop and counts of calls per process */
async function record(ours, job, seconds, folder) {
  const load = await startFio([job], { sizeBytes: SIZE_BYTES, seconds: seconds + 2 });
  const file = path.join(folder, 'perf.data');
  try {
    await waitForConnection();
    const threads = {
      client: threadsOf(load.pid),
      daemon: [ours.pids.daemon],
      node: [ours.pids.node],
    };
    const words = ['record', '--quiet', '--output', file, '--mmap-pages', '16M'];
    const events = 'raw_syscalls:sys_enter,raw_syscalls:sys_exit';
    const tids = Object.values(threads).flat().join(',');
    await run('perf', [...words, '--event', events, '--tid', tids, '--', 'sleep', String(seconds)]);
    return readTrace(file, threads);
  } finally {
    await load.stop();
  }
}

/** fio starts its threads at once; its connection is there when its last thread is. */
function waitForConnection() {
  return new Promise((resolve) => setTimeout(resolve, 1000));
}

function threadsOf(pid) {
  return readdirSync(`/proc/${pid}/task`).map(Number);
}

function readTrace(file, threads) {
  const roleOf = new Map(
    Object.entries(threads).flatMap(([role, tids]) => tids.map((tid) => [tid, role])),
  );
  const words = ['script', '--input', file, '--fields', 'tid,time,event,trace', '--ns'];
  const output = execFileSync('perf', words, {
    ...{ encoding: 'utf8', maxBuffer: TRACE_BYTES_MAX, stdio: ['ignore', 'pipe', 'ignore'] },
  });
  const trace = new RequestTrace();
  for (const line of output.split('\n')) {
    const found =
      /^\s*(\d+)\s+(\d+)\.(\d{9}):\s+raw_syscalls:sys_(enter|exit): NR (\d+) (.*)$/.exec(line);
    if (found === null) continue;
    const [, tid, seconds, nanoseconds, side, number, rest] = found;
    trace.add({
      role: roleOf.get(Number(tid)),
      atMicroseconds: Number(seconds) * 1e6 + Number(nanoseconds) / 1000,
      side,
      call: Number(number),
      result: side === 'exit' ? Number(rest.replace('= ', '')) : undefined,
    });
  }
  if (trace.requests.length === 0)
    throw new BenchFailure(
      'perf recorded no whole request; is it allowed to trace system calls here?',
    );
  return trace.requests;
}

function summarize(requests) {
  const hops = HOPS.map(({ text }, index) => {
    const values = requests.map(({ microseconds }) => microseconds[index]);
    return { text, medianMicroseconds: median(values), p90Microseconds: quantile(values, 0.9) };
  });
  const totals = requests.map(({ microseconds }) =>
    microseconds.reduce((sum, one) => sum + one, 0),
  );
  return {
    kernel: readFileSync('/proc/sys/kernel/osrelease', 'utf8').trim(),
    loadAverage: Number(readFileSync('/proc/loadavg', 'utf8').split(' ')[0]),
    requests: requests.length,
    hops,
    totalMedianMicroseconds: median(totals),
    calls: Object.fromEntries(
      ['daemon', 'node'].map((role) => [role, mean(requests, ({ calls }) => calls[role])]),
    ),
  };
}

function mean(items, valueOf) {
  return items.reduce((sum, item) => sum + valueOf(item), 0) / items.length;
}

function formatHops(requests, isWrite) {
  const { hops, totalMedianMicroseconds, calls, loadAverage } = summarize(requests);
  const line = (text, middle, high) => `${text.padEnd(56)}${middle.padStart(9)}${high.padStart(9)}`;
  const kind = isWrite ? 'write' : 'read';
  return [
    `One 4k ${kind} at depth 1: ${requests.length} requests, load average ${loadAverage}`,
    '',
    line('microseconds', 'median', 'p90'),
    '-'.repeat(74),
    ...hops.map(({ text, medianMicroseconds, p90Microseconds }) =>
      line(text, medianMicroseconds.toFixed(1), p90Microseconds.toFixed(1)),
    ),
    line('from send to answer (median of the sums)', totalMedianMicroseconds.toFixed(1), ''),
    '',
    `System calls of a request's own: daemon ${calls.daemon.toFixed(1)}, node ${calls.node.toFixed(1)}`,
    ...(isWrite
      ? ['The client sends header and data apart: the third line has the wait for the data.']
      : []),
    '',
  ].join('\n');
}
