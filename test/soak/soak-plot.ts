/**
 * The samples as a picture: memory, heap, files and latency over time, one panel below the other; lives of
 * restarted programs are pieces of a line. Dashed: the lines that were judged. Grey: the warm-up. The text is
 * SVG, which browsers and repositories show.
 */
import type { Metric } from './growth-judge.js';
import { cpuPerRequest, pointsOf, type Judgement, type SoakSample } from './soak-samples.js';
import { PROGRAM_NAMES, STEADY_PROGRAMS, type ProgramName } from './soak-stack.js';
import { percentile, type Point } from './trend.js';

const WIDTH = 960;
const LEFT = 70;
const RIGHT = 20;
const PANEL_HEIGHT = 120;
const PANEL_GAP = 44;
const TOP = 50;
/** More points than this cannot be seen; a piece of line keeps the highest of those it merges. */
const POINTS_MAX = 400;
/** Of the programs that are restarted, over all their lives. */
const LIVES_SAMPLES_MAX = 240;

/** Distinguishable also without colours: restarted programs are lighter. */
const COLOURS: Readonly<Record<ProgramName, string>> = {
  'daemon-1': '#1b6ca8',
  'node-1': '#b03a2e',
  'daemon-2': '#a9cbe3',
  'node-2': '#e8b4ae',
};

interface Line {
  readonly points: readonly Point[];
  readonly colour: string;
}

interface Panel {
  readonly title: string;
  readonly lines: readonly Line[];
  readonly judged: readonly (readonly [Judgement, string])[];
  readonly scale: number;
}

export interface PlotFacts {
  readonly startedAt: string;
  readonly durationMs: number;
  readonly warmUpMs: number;
  readonly judgements: readonly Judgement[];
}

/** @returns the text of an SVG file */
export function drawPlot(samples: readonly SoakSample[], facts: PlotFacts): string {
  const panels = panelsOf(samples, facts.judgements);
  const height = TOP + panels.length * (PANEL_HEIGHT + PANEL_GAP);
  const endMs = Math.max(1, samples.at(-1)?.atMs ?? 1);
  const drawn = panels.map((panel, index) =>
    drawPanel(panel, TOP + index * (PANEL_HEIGHT + PANEL_GAP), endMs, facts.warmUpMs),
  );
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" font-family="sans-serif" font-size="12">`,
    `<rect width="${WIDTH}" height="${height}" fill="#fff"/>`,
    text(LEFT, 20, `soak of ${facts.startedAt.slice(0, 10)}, ${minutes(facts.durationMs)} minutes`),
    ...PROGRAM_NAMES.map((name, index) => {
      const note = name.endsWith('2') ? `${name} (restarted)` : name;
      return text(LEFT + 330 + index * 145, 20, note, `fill="${COLOURS[name]}" font-weight="bold"`);
    }),
    ...drawn,
    '</svg>',
    '',
  ].join('\n');
}

function panelsOf(samples: readonly SoakSample[], judgements: readonly Judgement[]): Panel[] {
  const ofPrograms = (
    title: string,
    metric: 'rssBytes' | 'heapBytes' | 'fds' | 'handles',
    scale: number,
  ): Panel => ({
    ...{ title, scale },
    lines: [...PROGRAM_NAMES].reverse().flatMap((name) => livesOf(samples, name, metric)),
    judged: judgedLines(judgements, metric),
  });
  const latency = (key: 'p50Ms' | 'p99Ms', colour: string): Line => ({
    colour,
    points: pointsOf(samples, (sample) => sample.latency?.[key]),
  });
  return [
    ofPrograms('memory (RSS), MiB', 'rssBytes', 2 ** 20),
    ofPrograms('heap after collecting the garbage, MiB', 'heapBytes', 2 ** 20),
    ofPrograms('open files', 'fds', 1),
    ofPrograms('handles of Node (sockets, timers, requests)', 'handles', 1),
    {
      title: 'processor time for each request of volume-11, ms',
      lines: STEADY_PROGRAMS.map((name) => {
        const cpuMs = cpuPerRequest(samples, name);
        return { colour: COLOURS[name], points: pointsOf(samples, (sample) => cpuMs.get(sample)) };
      }),
      judged: judgedLines(judgements, 'cpuMs'),
      scale: 1,
    },
    {
      title:
        'latency of all requests on volume-11 in each interval: median (dark), 99 % (light), ms',
      lines: [latency('p99Ms', '#c8c8c8'), latency('p50Ms', '#444')],
      judged: [],
      scale: 1,
    },
  ];
}

function judgedLines(judgements: readonly Judgement[], metric: Metric): Panel['judged'] {
  return judgements.flatMap((one) =>
    one.metric === metric && one.subject !== 'all' ? [[one, COLOURS[one.subject]] as const] : [],
  );
}

/** One line for each process id that the program had. */
function livesOf(
  samples: readonly SoakSample[],
  name: ProgramName,
  metric: 'rssBytes' | 'heapBytes' | 'fds' | 'handles',
): Line[] {
  // Hundreds of lives of some samples each cannot be merged one by one.
  const stride = STEADY_PROGRAMS.includes(name) ? 1 : Math.ceil(samples.length / LIVES_SAMPLES_MAX);
  const some = samples.filter((_, index) => index % stride === 0);
  const pids = new Set(some.map(({ programs }) => programs[name]?.pid));
  pids.delete(undefined);
  const lines = [...pids].map((pid) => ({
    colour: COLOURS[name],
    points: pointsOf(some, ({ programs }) =>
      programs[name]?.pid === pid ? programs[name]?.[metric] : undefined,
    ),
  }));
  return lines.filter(({ points }) => points.length > 1);
}

function drawPanel(panel: Panel, top: number, endMs: number, warmUpMs: number): string {
  const values = panel.lines.flatMap(({ points }) => points.map(({ value }) => value));
  // A single wild sample must not press everything else to the ground; it is cut off at the top.
  const most = Math.max(percentile(values, 0.995), Number.MIN_VALUE) / panel.scale;
  const step = niceStep(most / 4);
  const ceiling = Math.max(step, Math.ceil((most * 1.05) / step) * step);
  const x = (ms: number): number => LEFT + (ms / endMs) * (WIDTH - LEFT - RIGHT);
  const y = (value: number): number =>
    top + PANEL_HEIGHT - (Math.min(value / panel.scale, ceiling) / ceiling) * PANEL_HEIGHT;
  const place = ({ at, value }: Point): string => `${x(at).toFixed(1)},${y(value).toFixed(1)}`;
  const grid: string[] = [];
  for (let value = 0; value <= ceiling * 1.001; value += step) {
    const at = y(value * panel.scale).toFixed(1);
    grid.push(`<path d="M${LEFT} ${at}H${WIDTH - RIGHT}" stroke="#e4e4e4"/>`);
    grid.push(text(LEFT - 6, Number(at) + 4, shortNumber(value), 'text-anchor="end"'));
  }
  const timeStep = niceStep(endMs / 60_000 / 8);
  for (let minute = 0; minute <= endMs / 60_000; minute += timeStep) {
    const label = `${shortNumber(minute)} min`;
    grid.push(text(x(minute * 60_000), top + PANEL_HEIGHT + 16, label, 'text-anchor="middle"'));
  }
  return [
    text(LEFT, top - 8, panel.title, 'font-weight="bold"'),
    `<rect x="${LEFT}" y="${top}" width="${(x(warmUpMs) - LEFT).toFixed(1)}" height="${PANEL_HEIGHT}" fill="#f3f3f3"/>`,
    ...grid,
    ...panel.lines.map(
      ({ points, colour }) =>
        `<polyline points="${merged(points).map(place).join(' ')}" fill="none" stroke="${colour}" stroke-width="1.3"/>`,
    ),
    ...panel.judged.flatMap(([{ trend, fromValue, toValue }, colour]) => {
      if (trend === undefined) return [];
      const ends = [
        { at: warmUpMs, value: fromValue },
        { at: endMs, value: toValue },
      ];
      return `<polyline points="${ends.map(place).join(' ')}" fill="none" stroke="${colour}" stroke-width="2.5" stroke-dasharray="7 5" opacity="0.75"/>`;
    }),
  ].join('\n');
}

function merged(points: readonly Point[]): readonly Point[] {
  const size = Math.ceil(points.length / POINTS_MAX);
  if (size <= 1) return points;
  return Array.from({ length: Math.ceil(points.length / size) }, (_, index) =>
    points
      .slice(index * size, (index + 1) * size)
      .reduce((highest, point) => (point.value > highest.value ? point : highest)),
  );
}

/** 1, 2 or 5 times a power of ten, not below the value. */
function niceStep(value: number): number {
  const power = 10 ** Math.floor(Math.log10(value));
  const factor = [1, 2, 5, 10].find((one) => one * power >= value * 0.999) ?? 10;
  return factor * power;
}

function shortNumber(value: number): string {
  return String(Number(value.toPrecision(3)));
}

function minutes(ms: number): string {
  return (ms / 60_000).toFixed(0);
}

function text(x: number, y: number, words: string, more = ''): string {
  return `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" ${more}>${words}</text>`;
}
