/**
 * A line through samples that a few wild ones do not bend: the slope is the median of the slopes between all
 * pairs (Theil and Sen), and whether there is a slope at all is told by how many pairs rise and how many fall
 * (Mann and Kendall). Least squares would follow a single peak at either end.
 */

export interface Point {
  /** Of time, any unit. */
  readonly at: number;
  readonly value: number;
}

export interface Trend {
  /** Of the value, for one unit of time. */
  readonly slope: number;
  /** The fitted value where `at` is 0. */
  readonly intercept: number;
  /** How many standard deviations the excess of rising pairs is from that of samples without any order. */
  readonly deviations: number;
}

/** Pairs grow with the square: more points are thinned out to this, two million pairs at most. */
const POINTS_MAX = 2000;

/** @param points in the order of time, at least two at different times */
export function fitTrend(points: readonly Point[]): Trend {
  const some = thinned(points);
  const slopes: number[] = [];
  let risingMinusFalling = 0;
  for (const [index, first] of some.entries()) {
    for (const second of some.slice(index + 1)) {
      if (second.at === first.at) continue;
      slopes.push((second.value - first.value) / (second.at - first.at));
      risingMinusFalling += Math.sign(second.value - first.value);
    }
  }
  const slope = median(slopes);
  const intercept = median(some.map(({ at, value }) => value - slope * at));
  return { slope, intercept, deviations: deviationsOf(risingMinusFalling, some) };
}

/** @param values at least one */
export function median(values: readonly number[]): number {
  return percentile(values, 0.5);
}

/** @param share 0 to 1. @returns 0 without values */
export function percentile(values: readonly number[], share: number): number {
  const sorted = Float64Array.from(values).sort();
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
}

/** With the correction for equal values: counts of files are equal most of the time. */
function deviationsOf(risingMinusFalling: number, points: readonly Point[]): number {
  const ties = new Map<number, number>();
  for (const { value } of points) ties.set(value, (ties.get(value) ?? 0) + 1);
  const weight = (count: number): number => count * (count - 1) * (2 * count + 5);
  const tied = [...ties.values()].reduce((sum, count) => sum + weight(count), 0);
  const variance = (weight(points.length) - tied) / 18;
  return variance <= 0 ? 0 : risingMinusFalling / Math.sqrt(variance);
}

function thinned(points: readonly Point[]): readonly Point[] {
  if (points.length <= POINTS_MAX) return points;
  const step = points.length / POINTS_MAX;
  return Array.from({ length: POINTS_MAX }, (_, index) => points[Math.floor(index * step)]!);
}
