/**
 * The loads: real clients that tell how fast they were. `run(target, {source, sizeBytes, seconds})`
 * gives `value` in `unit` (more is better) and how many `requests` it took, for the CPU time of each; those by fio
 * also `latency` {p50, p99, p999} and `generatorMicroseconds`, fio's own CPU time of a request, in microseconds.
 */
import { runFio } from './fio.mjs';
import { run } from './program.mjs';

const MB = 1e6;
const KIB = 1024;
const MIB = 1024 * KIB;

/** nbdcopy's own request size. */
const NBDCOPY_REQUEST_BYTES = 256 * KIB;

/** Requests of qemu-img bench for each second asked for; it knows a number only. */
const QEMU_REQUESTS_PER_SECOND = 15_000;

export const LOADS = [
  fio('randread-1', '4k rread', 'randread', 4 * KIB, 1),
  fio('randread-16', '4k rread', 'randread', 4 * KIB, 16),
  fio('randread-64', '4k rread', 'randread', 4 * KIB, 64),
  fio('randwrite-1', '4k rwrite', 'randwrite', 4 * KIB, 1),
  fio('randwrite-16', '4k rwrite', 'randwrite', 4 * KIB, 16),
  fio('randwrite-64', '4k rwrite', 'randwrite', 4 * KIB, 64),
  fio('read-4k', '4k sread', 'read', 4 * KIB, 1),
  fio('read-1m', '1M sread', 'read', MIB, 16),
  fio('write-1m', '1M swrite', 'write', MIB, 16),
  nbdcopy('copy-in', 'nbdcopy in', (target, source) => [source, target.uri]),
  nbdcopy('copy-out', 'nbdcopy out', (target) => [target.uri, 'null:']),
  qemuBench('qemu-read', 'qemu read', []),
  qemuBench('qemu-write', 'qemu write', ['-w']),
  sparse(nbdcopy('sparse-in', 'sparse in', (target, source) => [source, target.uri])),
  sparse(nbdcopy('sparse-out', 'sparse out', (target) => [target.uri, 'null:'])),
];

function fio(name, what, pattern, blockBytes, depth) {
  const isLarge = blockBytes === MIB;
  return {
    ...{ name, kind: 'fio', title: `${what} d${depth}`, unit: isLarge ? 'MB/s' : 'ops/s' },
    run: async (target, data) => {
      const job = { name: 'bench', uri: target.uri, pattern, blockBytes, depth };
      const [result] = await runFio([job], data);
      const { requests, latency, generatorMicroseconds } = result;
      const value = isLarge ? result.bytesPerSecond / MB : result.operationsPerSecond;
      return { value, requests, latency, generatorMicroseconds: generatorMicroseconds / requests };
    },
  };
}

function nbdcopy(name, title, wordsFor) {
  return {
    ...{ name, kind: 'copy', title, unit: 'MB/s' },
    run: async (target, { source, sizeBytes }) => {
      const startMs = performance.now();
      await run('nbdcopy', wordsFor(target, source));
      const seconds = (performance.now() - startMs) / 1000;
      return { value: sizeBytes / MB / seconds, requests: sizeBytes / NBDCOPY_REQUEST_BYTES };
    },
  };
}

/** Of an image that is mostly a hole; MB/s of its whole length. */
function sparse(load) {
  return { ...load, isSparse: true };
}

function qemuBench(name, title, words) {
  return {
    ...{ name, kind: 'qemu', title: `${title} d64`, unit: 'ops/s' },
    run: async (target, { seconds }) => {
      const requests = QEMU_REQUESTS_PER_SECOND * seconds;
      const output = await run('qemu-img', [
        ...['bench', '-f', 'raw', '-t', 'none', '-d', '64', '-s', '4096', '-c', String(requests)],
        ...[...words, target.uri],
      ]);
      const took = Number(/completed in ([\d.]+) seconds/.exec(output)[1]);
      return { value: requests / took, requests };
    },
  };
}
