/** Samples of one load → per way: medians, spread, and the ratio to the least way with the same protection. */
import { median } from '../statistics.mjs';
import { leastOf, WAYS } from './ways.mjs';

/**
 * @param samples {round, way, requestsPerSecond, cpuMicroseconds {near, far}, p50Microseconds or undefined}
 * @returns by way; `ratio` and `cpuRatio` are medians of the ratios within each round
 */
export function summarizeWays(samples) {
  return Object.fromEntries(
    WAYS.map((way) => {
      const own = samples.filter((sample) => sample.way === way.name);
      const least = samples.filter((sample) => sample.way === leastOf(way));
      return [way.name, summarizeWay(own, least)];
    }),
  );
}

function summarizeWay(own, least) {
  const medianOf = (valueOf) => median(own.map(valueOf));
  const ratioOf = (valueOf) =>
    median(
      own.map(
        (sample) => valueOf(sample) / valueOf(least.find((one) => one.round === sample.round)),
      ),
    );
  const bothEnds = ({ cpuMicroseconds: { near, far } }) => near + far;
  return {
    requestsPerSecond: medianOf((one) => one.requestsPerSecond),
    spreadPercent: spreadPercent(own.map((one) => one.requestsPerSecond)),
    ratio: ratioOf((one) => one.requestsPerSecond),
    cpuMicroseconds: {
      near: medianOf((one) => one.cpuMicroseconds.near),
      far: medianOf((one) => one.cpuMicroseconds.far),
    },
    cpuSpreadPercent: spreadPercent(own.map(bothEnds)),
    cpuRatio: ratioOf(bothEnds),
    ...(own[0].p50Microseconds === undefined
      ? {}
      : { p50Microseconds: medianOf((one) => one.p50Microseconds) }),
  };
}

/** Half of what is between least and most, of the median. */
function spreadPercent(values) {
  return (100 * (Math.max(...values) - Math.min(...values))) / median(values) / 2;
}
