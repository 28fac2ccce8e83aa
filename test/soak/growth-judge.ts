/**
 * Whether a process grows. After a warm-up a line is put through what was measured (trend.ts); a process grows
 * if the line rises by more than a limit over the time that was measured, and if it rises rather than
 * jumps about. Each limit stands here with its reason.
 *
 * What a limit means depends on how long was measured: 8 MiB in two minutes find 16 KiB lost by each of 500
 * requests, 8 MiB in fifty minutes find 16 bytes lost by each of a third of a million.
 */
import { fitTrend, type Point, type Trend } from './trend.js';

const MIB = 1024 * 1024;

export type Metric = 'rssBytes' | 'heapBytes' | 'fds' | 'handles' | 'threads' | 'cpuMs' | 'files';

interface Limit {
  /** The line may rise by this much over the whole time ... */
  readonly growthMax: number;
  /** ... and by this share of where it began. */
  readonly shareMax: number;
  readonly unit: 'bytes' | 'count' | 'ms';
}

export const LIMITS: Readonly<Record<Metric, Limit>> = {
  // malloc's arenas and V8's pages come and go by megabytes, and settle only after minutes.
  rssBytes: { growthMax: 16 * MIB, shareMax: 0.1, unit: 'bytes' },
  // After the garbage was collected: code that V8 compiles late, the buffers of requests just under way.
  heapBytes: { growthMax: 4 * MIB, shareMax: 0.1, unit: 'bytes' },
  // Clients and volumes come and go, but as many of them at the end as in the beginning.
  fds: { growthMax: 4, shareMax: 0.05, unit: 'count' },
  handles: { growthMax: 4, shareMax: 0.05, unit: 'count' },
  // Node starts its threads once; calls that block the kernel have one each for a moment.
  threads: { growthMax: 2, shareMax: 0, unit: 'count' },
  // Below the data, state and runtime directories of all programs.
  files: { growthMax: 6, shareMax: 0.1, unit: 'count' },
  // Processor time for each request of one volume, at an even rate: a list that is searched from its beginning
  // for every request makes it many times as much. Latency says the same only on a machine of its own, and is
  // shown, not judged.
  cpuMs: { growthMax: 1, shareMax: 0.5, unit: 'ms' },
};

/**
 * A rise that samples without order show by chance less than once in 30,000. What grows steadily is beyond it
 * after ten samples.
 */
const DEVIATIONS_MIN = 4;

/** With fewer points after the warm-up there is no line worth the name. */
export const POINTS_MIN = 10;

export interface Verdict {
  readonly metric: Metric;
  readonly result: 'steady' | 'grows' | 'too short';
  readonly points: number;
  /** Of the line, where the warm-up was over, and at the end. */
  readonly fromValue: number;
  readonly toValue: number;
  readonly growthMax: number;
  /** Absent if it was too short. */
  readonly trend?: Trend;
}

/** @param points after the warm-up, in the order of time */
export function judgeGrowth(metric: Metric, points: readonly Point[]): Verdict {
  const { growthMax, shareMax } = LIMITS[metric];
  const [first, last] = [points[0], points.at(-1)];
  if (first === undefined || last === undefined || points.length < POINTS_MIN) {
    const result = 'too short';
    return { metric, result, points: points.length, fromValue: 0, toValue: 0, growthMax };
  }
  const trend = fitTrend(points);
  const fromValue = trend.intercept + trend.slope * first.at;
  const toValue = trend.intercept + trend.slope * last.at;
  const allowed = Math.max(growthMax, shareMax * fromValue);
  const isGrowing = toValue - fromValue > allowed && trend.deviations > DEVIATIONS_MIN;
  return {
    ...{ metric, result: isGrowing ? 'grows' : 'steady', points: points.length },
    ...{ fromValue, toValue, growthMax: allowed, trend },
  };
}
