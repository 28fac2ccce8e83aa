/**
 * A history before it happens: settings, the requests of the clients and the faults, as data made from a
 * seed. Shrinking leaves parts of it out (shrink.ts).
 */
import { drawSettings, type HistorySettings } from './history-settings.js';
import { SeededRandom } from './seeded-random.js';

/** Blocks of the longest request. */
export const LONGEST_BLOCKS = 6;

/** Reads in a stretch of those that follow each other. */
const RUN_REQUESTS = 14;

export interface PlannedRequest {
  readonly number: number;
  readonly client: number;
  readonly kind: 'read' | 'write' | 'flush' | 'trim' | 'write-zeroes';
  readonly first: number;
  readonly count: number;
  readonly fua: boolean;
  /** Since the client's request before it; 0: in the same turn. */
  readonly gapMs: number;
  /** Goes to a daemon that had the volume before, if one still believes that it has. */
  readonly toFormer: boolean;
}

/** Weights are how often each is drawn. */
const FAULT_WEIGHTS = {
  'cut connections': 4,
  'block both ways': 3,
  'block way to node': 2,
  'block way to daemon': 2,
  'slow network': 2,
  'kill node': 4,
  'cut power of node': 6,
  'stop node in order': 1,
  'freeze node': 2,
  'kill daemon': 4,
  'kill daemon and node': 2,
  'kill daemon and cut power': 3,
  'freeze daemon': 2,
  'daemon clock jumps': 1,
  'node clock jumps': 1,
  'time of day is set': 0.5,
  'take over': 4,
  'attach elsewhere': 3,
  'detach in order': 1,
  'engine restarts': 1,
  'fail now': 0.5,
  'retry now': 0.5,
  'slow disk': 2,
  'failing syncs': 1,
  'failing writes': 1,
  'full replay log': 0.5,
};

export type FaultKind = keyof typeof FAULT_WEIGHTS;

export const FAULT_KINDS = Object.keys(FAULT_WEIGHTS) as FaultKind[];

export interface PlannedFault {
  readonly kind: FaultKind;
  readonly atMs: number;
  /** How long it lasts, or how long what died stays dead. */
  readonly lastsMs: number;
  /** What dies does so after so many further steps. */
  readonly steps: number;
}

export interface HistoryPlan {
  readonly seed: number;
  readonly settings: HistorySettings;
  readonly requests: readonly PlannedRequest[];
  readonly faults: readonly PlannedFault[];
}

/** After the end of a fault: the time in which daemon and node find each other again. */
const SOON_MS = 200;

/** A quarter of all histories has no disk faults and no takeovers: errors have no excuse there. */
const CALM: readonly FaultKind[] = [
  'failing syncs',
  'failing writes',
  'full replay log',
  'take over',
  'attach elsewhere',
];

export interface PlanOptions {
  /** Only these faults are drawn; by default all. */
  readonly faults?: readonly FaultKind[];
  readonly requestCount?: number;
  /** Instead of what the seed says. */
  readonly settings?: Partial<HistorySettings>;
}

export function planHistory(seed: number, options: PlanOptions = {}): HistoryPlan {
  const random = new SeededRandom(seed, 'plan');
  const settings = { ...drawSettings(random.fork('settings')), ...options.settings };
  const drawn = drawRequests(random.fork('requests'), settings, options.requestCount);
  const requests =
    settings.readAheadBytes > 0 ? withRuns(random.fork('runs'), settings, drawn) : drawn;
  const lengthMs = requests.reduce(
    (longest, _one, index) => Math.max(longest, endOfClient(requests, index)),
    0,
  );
  const kinds = options.faults ?? drawKinds(random.fork('kinds'));
  const faults = drawFaults(random.fork('faults'), kinds, lengthMs);
  return { seed, settings, requests, faults };
}

function drawRequests(
  random: SeededRandom,
  settings: HistorySettings,
  requestCount = random.between(40, 160),
): PlannedRequest[] {
  const { blockCount, clientCount } = settings;
  const hotFirst = random.between(0, blockCount - 6);
  const pause = random.pick([20, 80, 300]);
  const flushes = random.pick([0.5, 2, 8]);
  const weights = { write: 40, read: 30, flush: flushes, trim: 2, 'write-zeroes': 4 };
  return Array.from({ length: requestCount }, (_, number) => {
    const kind = random.weighted(weights);
    const isHot = random.chance(0.7);
    const first = isHot ? hotFirst + random.between(0, 5) : random.between(0, blockCount - 1);
    const count =
      kind === 'flush' ? 0 : Math.min(blockCount - first, random.between(1, LONGEST_BLOCKS));
    return {
      number: number + 1,
      client: random.between(0, clientCount - 1),
      kind,
      first,
      count,
      fua: kind !== 'read' && kind !== 'flush' && random.chance(0.12),
      gapMs: random.chance(0.5) ? 0 : random.next() * pause,
      toFormer: random.chance(0.2),
    };
  });
}

/** Some stretches become reads that follow each other, one at a time, with a change among them now and then. */
function withRuns(
  random: SeededRandom,
  settings: HistorySettings,
  requests: readonly PlannedRequest[],
): PlannedRequest[] {
  const changed = [...requests];
  for (let begin = 0; begin + RUN_REQUESTS <= changed.length; begin += RUN_REQUESTS) {
    if (!random.chance(0.4)) continue;
    const first = random.between(0, settings.blockCount - RUN_REQUESTS);
    const client = random.between(0, settings.clientCount - 1);
    for (let index = 0; index < RUN_REQUESTS; index += 1) {
      const before = changed[begin + index];
      if (before === undefined || random.chance(0.06)) continue;
      const gapMs = settings.latency.maxMs * (1 + 2 * random.next());
      const read = { kind: 'read' as const, first: first + index, count: 1, fua: false };
      changed[begin + index] = { ...before, ...read, client, gapMs };
    }
  }
  return changed;
}

function endOfClient(requests: readonly PlannedRequest[], last: number): number {
  const client = requests[last]?.client;
  let ms = 0;
  for (let index = 0; index <= last; index += 1) {
    const request = requests[index];
    if (request !== undefined && request.client === client) ms += request.gapMs;
  }
  return ms;
}

function drawKinds(random: SeededRandom): readonly FaultKind[] {
  const isCalm = random.chance(0.25);
  // Few kinds in one history meet more often than many.
  const dice = FAULT_KINDS.filter((kind) => !isCalm || !CALM.includes(kind));
  const share = random.pick([0.25, 0.5, 1]);
  const kinds = dice.filter(() => random.chance(share));
  return kinds.length === 0 ? dice : kinds;
}

function drawFaults(
  random: SeededRandom,
  kinds: readonly FaultKind[],
  lengthMs: number,
): PlannedFault[] {
  const weights = Object.fromEntries(kinds.map((kind) => [kind, FAULT_WEIGHTS[kind]])) as Record<
    FaultKind,
    number
  >;
  const count = random.between(1, 8);
  const faults: PlannedFault[] = [];
  for (let index = 0; index < count; index += 1) {
    const before = faults.at(-1);
    // Recovering is the hard part: the next thing often goes wrong just then.
    const isSoonAfter = before !== undefined && random.chance(0.4);
    const begin = random.next();
    faults.push({
      kind: random.weighted(weights),
      atMs: isSoonAfter
        ? before.atMs + before.lastsMs + begin * SOON_MS
        : begin * Math.max(lengthMs, 100) * 1.5,
      lastsMs: random.pick([30, 300, 1_500, 5_000]) * (0.5 + random.next()),
      steps: random.chance(0.5) ? 0 : random.between(1, 12),
    });
  }
  return faults.sort((left, right) => left.atMs - right.atMs);
}
