/**
 * The soak: volumes under a checked load all the time; beside it volumes, clients and sizes that change, and
 * restarts of half of the programs. Samples meanwhile. At the end everything is read back and taken away, and
 * no file may be left that was not there in the beginning.
 */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import path from 'node:path';
import { SeededChance } from '#daemon/cli/selftest/seeded-chance.js';
import { clientVisit, grow, volumeLife } from './churn.js';
import { LatencyMeter } from './latency-meter.js';
import { restartSomething } from './restarts.js';
import { SoakJournal, type EventSummary } from './soak-journal.js';
import { workFolderPrefix, type SoakOptions } from './soak-options.js';
import { SoakSamples, type Judgement, type SoakSample } from './soak-samples.js';
import { SoakStack } from './soak-stack.js';
import { VolumeLoad } from './volume-load.js';

const MIB = 1024 * 1024;
const VOLUME_BYTES = 32 * MIB;
const CONNECTIONS = 2;

/** Between two samples: 120 of a short soak, one each 5 s of a long one. */
const SAMPLE_SHARE = 1 / 120;
const SAMPLE_MS_MAX = 5000;
/** Between two collections of the garbage; not so often that memory is never seen as it is in use. */
const COLLECT_SHARE = 1 / 45;
const COLLECT_MS_MAX = 30_000;

/** Not judged: caches fill, code is compiled, memory finds its size. */
const WARM_UP_SHARE = 1 / 3;
const WARM_UP_MS_MIN = 60_000;
const WARM_UP_MS_MAX = 600_000;

/** Between the steps of what goes on beside the load. */
const CHURN_PAUSE_MS = 2000;
const VISIT_PAUSE_MS = 500;
const RESTART_PAUSE_MS = 8000;
const RESIZE_PAUSE_MS = 15_000;

/** Each growth of a volume that stays, and how far it may go: the file is sparse. */
const GROWTH_BYTES = MIB;
const GROWN_BYTES_MAX = 1024 * MIB;

export interface SoakOutcome {
  readonly options: SoakOptions;
  readonly startedAt: string;
  readonly durationMs: number;
  readonly warmUpMs: number;
  readonly judgements: readonly Judgement[];
  readonly events: readonly EventSummary[];
  readonly requests: number;
  readonly requestBytes: number;
  readonly blocksChecked: number;
  /** The first of `failureCount`. */
  readonly failures: readonly string[];
  readonly failureCount: number;
  readonly samples: readonly SoakSample[];
}

export type SoakProgress = (elapsedMs: number, sample: SoakSample, journal: SoakJournal) => void;

/** @param signal ends the load early; what was measured until then is judged */
export async function runSoak(
  options: SoakOptions,
  signal: AbortSignal,
  progress: SoakProgress,
): Promise<SoakOutcome> {
  const folder = mkdtempSync(workFolderPrefix());
  try {
    mkdirSync(options.resultFolder, { recursive: true });
    rmSync(path.join(options.resultFolder, 'logs'), { recursive: true, force: true });
    const stack = await SoakStack.start(folder, path.join(options.resultFolder, 'logs'));
    return await new Soak(options, stack, signal, progress).run();
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

class Soak {
  readonly #startMs = performance.now();
  readonly #startedAt = new Date().toISOString();
  readonly #chance: SeededChance;
  readonly #journal: SoakJournal;
  /** Of the volume between the steady programs, and of all others. */
  readonly #meter = new LatencyMeter();
  readonly #otherMeter = new LatencyMeter();
  readonly #samples: SoakSamples;
  readonly #volumes: VolumeLoad[] = [];
  readonly #ending = new AbortController();

  constructor(
    readonly options: SoakOptions,
    readonly stack: SoakStack,
    readonly signal: AbortSignal,
    readonly progress: SoakProgress,
  ) {
    this.#chance = new SeededChance(options.seed);
    const elapsedMs = (): number => performance.now() - this.#startMs;
    const inFolder = (name: string): string => path.join(options.resultFolder, name);
    this.#journal = new SoakJournal(inFolder('events.jsonl'), elapsedMs);
    this.#samples = new SoakSamples(inFolder('samples.jsonl'), stack, this.#meter, elapsedMs);
  }

  async run(): Promise<SoakOutcome> {
    try {
      await this.#firstAttachments();
      const filesBefore = new Set(this.stack.files());
      await this.#startVolumes();
      await this.#underLoad();
      await this.#takeAway();
      const left = this.stack.files().filter((file) => !filesBefore.has(file));
      for (const file of left) this.#journal.failed(`${file} was left behind`);
    } catch (error) {
      this.#journal.failed((error as Error).message);
      await Promise.all(this.#volumes.map(({ load }) => load.abandon()));
    } finally {
      for (const problem of await this.stack.stop()) this.#journal.failed(problem);
    }
    return this.#outcome();
  }

  #elapsedMs(): number {
    return performance.now() - this.#startMs;
  }

  /** What a program makes once and keeps, as the folder of its replay logs, is not left behind by anybody. */
  async #firstAttachments(): Promise<void> {
    for (const [index, node] of this.stack.nodes.entries()) {
      const volume = await VolumeLoad.start(node, this.stack.daemon(index), {
        ...{ name: 'first', sizeBytes: MIB, connections: 1, requestsPerSecond: 10 },
        ...{ seed: this.options.seed, meter: this.#otherMeter },
      });
      await volume.verify();
      await volume.remove();
    }
  }

  /** One volume for each way from a daemon to a node. */
  async #startVolumes(): Promise<void> {
    for (const daemonIndex of [0, 1]) {
      for (const [nodeIndex, node] of this.stack.nodes.entries()) {
        const isSteady = daemonIndex === 0 && nodeIndex === 0;
        const volume = await VolumeLoad.start(node, this.stack.daemon(daemonIndex), {
          name: `volume-${daemonIndex + 1}${nodeIndex + 1}`,
          ...{ sizeBytes: VOLUME_BYTES, connections: CONNECTIONS },
          requestsPerSecond: this.options.requestsPerSecond,
          seed: this.#chance.below(2 ** 31),
          meter: isSteady ? this.#meter : this.#otherMeter,
        });
        this.#volumes.push(volume);
      }
    }
  }

  /** Everything that goes on at once, until the time is over or one of it fails. */
  async #underLoad(): Promise<void> {
    const stop = (): void => {
      this.#ending.abort();
    };
    this.signal.addEventListener('abort', stop, { once: true });
    const timer = setTimeout(stop, this.options.durationMs);
    const stories = [
      this.#repeat(CHURN_PAUSE_MS, () => this.#churn()),
      this.#repeat(VISIT_PAUSE_MS, () => this.#visit()),
      this.#repeat(RESTART_PAUSE_MS, () => this.#restart()),
      this.#repeat(RESIZE_PAUSE_MS, () => this.#resize()),
      this.#sampling(),
    ];
    await Promise.all(stories);
    clearTimeout(timer);
  }

  /** Over and over; a failure ends the soak, and does not keep the others from ending in order. */
  async #repeat(pauseMs: number, step: () => Promise<void>): Promise<void> {
    const { signal } = this.#ending;
    while (!signal.aborted) {
      try {
        await this.#wait(pauseMs);
        await step();
      } catch (error) {
        if (signal.aborted && error === signal.reason) return;
        this.#journal.failed((error as Error).message);
        this.#ending.abort();
      }
    }
  }

  /** @throws the signal's reason when the soak is to end */
  #wait(ms: number): Promise<void> {
    const { signal } = this.#ending;
    return new Promise((resolve, reject) => {
      const give = (): void => {
        clearTimeout(timer);
        reject(signal.reason as Error);
      };
      const timer = setTimeout(() => {
        signal.removeEventListener('abort', give);
        resolve();
      }, ms);
      if (signal.aborted) give();
      else signal.addEventListener('abort', give, { once: true });
    });
  }

  async #churn(): Promise<void> {
    const peers = {
      ...{ journal: this.#journal, chance: this.#chance, meter: this.#otherMeter },
      requestsPerSecond: this.options.requestsPerSecond,
      // A volume's life is short and goes to its end.
      wait: (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms)),
    };
    await volumeLife(peers, this.stack.nodes[0], this.stack.daemon(0));
  }

  async #visit(): Promise<void> {
    await clientVisit(
      { journal: this.#journal, chance: this.#chance },
      this.stack.daemon(0),
      'volume-11',
    );
    if (this.#chance.fraction() < 0.2) {
      this.#chance
        .pick([...this.#volumes] as [VolumeLoad])
        .load.cut(this.#chance.below(CONNECTIONS));
    }
  }

  async #restart(): Promise<void> {
    await restartSomething({
      ...{ journal: this.#journal, chance: this.#chance, stack: this.stack },
      volumes: this.#volumes,
      wait: (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms)),
    });
  }

  /** Of a volume of the steady programs, which stays. */
  async #resize(): Promise<void> {
    const [volume] = this.#volumes;
    if (volume === undefined) return;
    const { sizeBytes } = await volume.node.storage.getVolume(volume.name);
    if (sizeBytes + GROWTH_BYTES > GROWN_BYTES_MAX) return;
    const wait = (ms: number): Promise<void> => this.#wait(ms);
    await grow({ journal: this.#journal, wait }, volume, sizeBytes + GROWTH_BYTES);
  }

  async #sampling(): Promise<void> {
    const intervalMs = Math.min(SAMPLE_MS_MAX, this.options.durationMs * SAMPLE_SHARE);
    const collectMs = Math.min(COLLECT_MS_MAX, this.options.durationMs * COLLECT_SHARE);
    let collectedAtMs = 0;
    await this.#repeat(intervalMs, async () => {
      const isDue = this.#elapsedMs() - collectedAtMs >= collectMs;
      if (isDue) collectedAtMs = this.#elapsedMs();
      const sample = await this.#samples.take(isDue);
      this.#otherMeter.take();
      this.progress(this.#elapsedMs(), sample, this.#journal);
    });
  }

  async #takeAway(): Promise<void> {
    for (const volume of this.#volumes) {
      await volume.verify();
      await volume.remove();
    }
  }

  #outcome(): SoakOutcome {
    const share = this.options.durationMs * WARM_UP_SHARE;
    const warmUpMs = Math.min(WARM_UP_MS_MAX, Math.max(WARM_UP_MS_MIN, share));
    for (const volume of this.#volumes) {
      for (const problem of volume.problems()) this.#journal.failed(problem);
    }
    const judgements = this.#samples.judge(warmUpMs);
    const records = this.#volumes.map(({ load }) => load.record);
    const sum = (numbers: readonly number[]): number => numbers.reduce((all, one) => all + one, 0);
    return {
      ...{ options: this.options, startedAt: this.#startedAt, warmUpMs, judgements },
      durationMs: Math.round(this.#elapsedMs()),
      events: this.#journal.summary(),
      requests: sum(records.map(({ requestCount }) => requestCount)),
      requestBytes: sum(records.map(({ counters }) => counters.readBytes + counters.writtenBytes)),
      blocksChecked: sum(records.map(({ counters }) => counters.blocksChecked)),
      failures: this.#journal.failures,
      failureCount: this.#journal.failureCount,
      samples: this.#samples.all,
    };
  }
}
