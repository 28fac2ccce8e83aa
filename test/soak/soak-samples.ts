/** The samples of a soak: taken at intervals, written as JSON lines, and turned into what is judged. */
import { appendFileSync, writeFileSync } from 'node:fs';
import { judgeGrowth, type Metric, type Verdict } from './growth-judge.js';
import type { Latency, LatencyMeter } from './latency-meter.js';
import { sampleProcess, type ProcessSample } from './process-sample.js';
import { PROGRAM_NAMES, STEADY_PROGRAMS, type ProgramName, type SoakStack } from './soak-stack.js';
import type { Point } from './trend.js';

export interface SoakSample {
  /** Since the load began. */
  readonly atMs: number;
  readonly programs: Partial<Record<ProgramName, ProcessSample & { readonly pid: number }>>;
  /** Below all directories. */
  readonly files: number;
  /** Of a volume whose programs are not restarted. */
  readonly latency?: Latency;
}

/** What is judged of each program that runs from beginning to end. */
export const PROGRAM_METRICS: readonly Exclude<Metric, 'files'>[] = [
  'rssBytes',
  'heapBytes',
  'fds',
  'handles',
  'threads',
  'cpuMs',
];

export interface Judgement extends Verdict {
  /** A program, or what all have in common. */
  readonly subject: ProgramName | 'all';
}

export class SoakSamples {
  readonly all: SoakSample[] = [];

  constructor(
    readonly file: string,
    readonly stack: SoakStack,
    readonly meter: LatencyMeter,
    readonly elapsedMs: () => number,
  ) {
    writeFileSync(file, '');
  }

  /** @param collect have the programs collect their garbage, so that their heaps can be compared */
  async take(collect: boolean): Promise<SoakSample> {
    const programs: SoakSample['programs'] = {};
    for (const name of PROGRAM_NAMES) {
      const pid = this.stack.program(name)?.pid;
      if (pid === undefined) continue;
      const found = await sampleProcess(pid, this.stack.folder, collect);
      if (found !== undefined) programs[name] = { pid, ...found };
    }
    const latency = this.meter.take();
    const sample: SoakSample = {
      ...{ atMs: Math.round(this.elapsedMs()), programs, files: this.stack.files().length },
      ...(latency === undefined ? {} : { latency }),
    };
    this.all.push(sample);
    appendFileSync(this.file, `${JSON.stringify(sample)}\n`);
    return sample;
  }

  /** @param warmUpMs what comes before it is not judged */
  judge(warmUpMs: number): Judgement[] {
    const points = (valueOf: (sample: SoakSample) => number | undefined): Point[] =>
      pointsOf(this.all, valueOf).filter(({ at }) => at >= warmUpMs);
    const ofPrograms = STEADY_PROGRAMS.flatMap((subject) =>
      PROGRAM_METRICS.map((metric) => {
        const cpuMs = cpuPerRequest(this.all, subject);
        const valueOf = (sample: SoakSample): number | undefined =>
          metric === 'cpuMs' ? cpuMs.get(sample) : sample.programs[subject]?.[metric];
        return { subject, ...judgeGrowth(metric, points(valueOf)) };
      }),
    );
    const files = judgeGrowth(
      'files',
      points((sample) => sample.files),
    );
    return [...ofPrograms, { subject: 'all', ...files }];
  }
}

/** Processor time since the sample before, for each request that the volume of the latency answered. */
export function cpuPerRequest(
  samples: readonly SoakSample[],
  name: ProgramName,
): Map<SoakSample, number> {
  const found = new Map<SoakSample, number>();
  for (const [index, sample] of samples.entries()) {
    const before = samples[index - 1]?.programs[name];
    const now = sample.programs[name];
    if (before === undefined || now?.pid !== before.pid || sample.latency === undefined) continue;
    found.set(sample, (now.cpuMs - before.cpuMs) / sample.latency.requests);
  }
  return found;
}

/** Time in milliseconds, and a value, where there is one. */
export function pointsOf(
  samples: readonly SoakSample[],
  valueOf: (sample: SoakSample) => number | undefined,
): Point[] {
  return samples.flatMap((sample) => {
    const value = valueOf(sample);
    return value === undefined ? [] : [{ at: sample.atMs, value }];
  });
}
