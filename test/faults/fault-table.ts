/**
 * Injects faults into a stack under a checked load, one after the other, and keeps count: how many of each
 * kind, the longest pause that clients felt, the errors that they saw. Chance comes from BLKFERRY_SEED; the
 * seed is printed, so that a failed run can be had again (as far as processes are the same twice).
 */
import assert from 'node:assert/strict';
import { after } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { CheckedLoad } from '#daemon/cli/selftest/checked-load.js';
import type { CuttableDevice } from '#daemon/cli/selftest/load-lane.js';
import { SeededChance } from '#daemon/cli/selftest/seeded-chance.js';
import { SYSTEM_CLOCK } from '#daemon/runtime/clock.js';
import { PATIENCE } from '#test/support/program.js';

/** A load on all suites' stacks: enough to have requests everywhere, little enough for two cores. */
const REQUESTS_PER_SECOND = Math.ceil(1500 / PATIENCE);
const CONNECTIONS = 3;
const DEPTH = 16;

/** So many answers after a fault show that the stack is well again. */
const ANSWERS_AFTER = 30;

/** After a fault is over, the stack must be well again within this: a start of both programs, tripled. */
const RECOVERY_MS = 20_000 * PATIENCE;
const POLL_MS = 5;

/**
 * Times are promised for a machine with time for us; the suite shares two cores with its own load and often
 * with other suites, and programs that were written to be quick take this much longer there.
 */
export const LOAD_FACTOR = 3;

/** Another seed: BLKFERRY_SEED=number. */
export const SEED = Number(process.env['BLKFERRY_SEED'] ?? 20_261_123);

export const chance = new SeededChance(SEED);

interface Row {
  faults: number;
  pausesMs: number[];
  readonly errors: Record<string, number>;
}

/** The load that every suite uses; `connect` opens a connection to whatever is being tested. */
export function newLoad(
  sizeBytes: number,
  connect: (lane: number) => Promise<CuttableDevice>,
): CheckedLoad {
  return new CheckedLoad({
    ...{ connect, connections: CONNECTIONS, depth: DEPTH, sizeBytes, clock: SYSTEM_CLOCK },
    ...{ seed: chance.below(2 ** 31), owner: `faults ${SEED} ${chance.below(2 ** 31)}` },
    requestsPerSecondMax: REQUESTS_PER_SECOND,
  });
}

export class FaultTable {
  readonly #rows = new Map<string, Row>();

  /** Prints itself when the suite is over. */
  constructor(readonly title: string) {
    after(() => {
      console.log(this.render());
    });
  }

  /**
   * One fault, from injection to the end of its consequences.
   * @returns the longest pause in milliseconds
   */
  async inject(kind: string, load: CheckedLoad, fault: () => Promise<void>): Promise<number> {
    const { record } = load;
    const errorsBefore = { ...record.counters.errors };
    record.pauses.restart();
    await fault();
    await recovered(load, kind);
    const row = this.#rows.get(kind) ?? { faults: 0, pausesMs: [], errors: {} };
    this.#rows.set(kind, row);
    row.faults += 1;
    row.pausesMs.push(record.pauses.longestMs);
    for (const [errno, count] of Object.entries(record.counters.errors)) {
      const more = count - (errorsBefore[errno] ?? 0);
      if (more > 0) row.errors[errno] = (row.errors[errno] ?? 0) + more;
    }
    assertKept(load, kind);
    return record.pauses.longestMs;
  }

  get faultCount(): number {
    return [...this.#rows.values()].reduce((sum, { faults }) => sum + faults, 0);
  }

  /** Sorted, in milliseconds. */
  pausesOf(kind: string): readonly number[] {
    return [...(this.#rows.get(kind)?.pausesMs ?? [])].sort((left, right) => left - right);
  }

  errorsOf(kind: string): Readonly<Record<string, number>> {
    return this.#rows.get(kind)?.errors ?? {};
  }

  render(): string {
    const width = Math.max(...[...this.#rows.keys()].map((kind) => kind.length));
    const lines = [...this.#rows].map(([kind, { faults, errors }]) => {
      const pauses = this.pausesOf(kind);
      const median = String(pauses[Math.floor(pauses.length / 2)] ?? 0).padStart(6);
      const longest = String(pauses.at(-1) ?? 0).padStart(6);
      const seen = Object.entries(errors).map(([errno, count]) => `${count} ${errno}`);
      const words = seen.length === 0 ? 'none' : seen.join(', ');
      return `${kind.padEnd(width)} ${String(faults).padStart(6)} ${median} ${longest}  ${words}`;
    });
    return [
      `${this.title}: ${this.faultCount} faults, seed ${SEED} (BLKFERRY_SEED)`,
      `${'kind'.padEnd(width)} faults median longest pause (ms), errors that clients saw`,
      ...lines,
    ].join('\n');
  }
}

/** Waits until the load is answered again. @throws AssertionError with the load's last words */
async function recovered({ record }: CheckedLoad, kind: string): Promise<void> {
  const wanted = record.requestCount + ANSWERS_AFTER;
  await waitFor(() => record.requestCount >= wanted, `requests are answered again after "${kind}"`);
}

/** @throws AssertionError if the condition does not come to hold within RECOVERY_MS */
export async function waitFor(
  condition: () => boolean | Promise<boolean>,
  what: string,
): Promise<void> {
  const untilMs = SYSTEM_CLOCK.nowMs() + RECOVERY_MS;
  while (!(await condition())) {
    assert(SYSTEM_CLOCK.nowMs() < untilMs, `not within ${RECOVERY_MS} ms: ${what}; seed ${SEED}`);
    await wait(POLL_MS);
  }
}

/** @throws AssertionError naming the first promises that were broken */
export function assertKept({ record }: CheckedLoad, when: string): void {
  assert.equal(
    record.problemCount,
    0,
    `after "${when}", seed ${SEED}, ${record.problemCount} broken promises:\n${record.problems.join('\n')}`,
  );
}

/** Lets the load run for a random time, so that faults meet it anywhere. */
export function randomPause(leastMs: number, mostMs: number): Promise<void> {
  return wait(chance.between(leastMs, mostMs));
}
