/** Samples of one load → per target: median, spread, ratio to the baseline, CPU time. */
import { BASELINE } from './targets.mjs';

/**
 * @param samples of one load: {round, target, value, cpuMicroseconds of each process, memoryBytes}, with fio also
 *   latency and generatorMicroseconds
 * @returns per target {median, spreadPercent, ratio, ...}, the medians of the others by their names; `ratio` is
 *   the median of the ratios within each round, and undefined without the baseline
 */
export function summarize(samples) {
  const results = {};
  for (const target of new Set(samples.map((sample) => sample.target))) {
    const own = samples.filter((sample) => sample.target === target);
    const values = own.map((sample) => sample.value);
    const ratios = own.flatMap(({ round, value }) => {
      const base = samples.find((one) => one.round === round && one.target === BASELINE);
      return base === undefined ? [] : [value / base.value];
    });
    results[target] = {
      median: median(values),
      spreadPercent: spreadPercent(values),
      ratio: ratios.length === 0 ? undefined : median(ratios),
      cpuMicroseconds: own[0].cpuMicroseconds.map((_of, process) =>
        median(own.map((sample) => sample.cpuMicroseconds[process])),
      ),
      memoryBytes: median(own.map((sample) => sample.memoryBytes)),
      ...(own[0].latency === undefined ? {} : summarizeGenerator(own)),
    };
  }
  return results;
}

function summarizeGenerator(samples) {
  const latencyOf = (key) => median(samples.map(({ latency }) => latency[key]));
  return {
    generatorMicroseconds: median(samples.map((sample) => sample.generatorMicroseconds)),
    latency: { p50: latencyOf('p50'), p99: latencyOf('p99'), p999: latencyOf('p999') },
  };
}

export function median(values) {
  const sorted = [...values].sort((left, right) => left - right);
  const middle = sorted.length / 2;
  return sorted.length % 2 === 1
    ? sorted[Math.floor(middle)]
    : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** Half of maximum - minimum, in percent of the median. */
export function spreadPercent(values) {
  return (100 * (Math.max(...values) - Math.min(...values))) / median(values) / 2;
}

/** @param part from 0 to 1 @returns the value that this part of the values does not exceed */
export function quantile(values, part) {
  const sorted = [...values].sort((left, right) => left - right);
  return sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))];
}
