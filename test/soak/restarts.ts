/** Restarts under load: killed or in order, one program or both. The load must be answered again. */
import type { SeededChance } from '#daemon/cli/selftest/seeded-chance.js';
import type { SoakJournal } from './soak-journal.js';
import type { Manner, SoakStack } from './soak-stack.js';
import type { VolumeLoad } from './volume-load.js';

/** A start of a program takes a second or two, on a machine that is busy with other things many. */
const RECOVERY_MS = 90_000;
/** So many answers show that the volume is well again. */
const ANSWERS_AFTER = 20;
const POLL_MS = 20;

export type Restart =
  'node killed' | 'node stopped' | 'daemon killed' | 'daemon stopped' | 'both killed';

const RESTARTS: readonly [Restart, ...Restart[]] = [
  ...(['node killed', 'node stopped', 'daemon killed', 'daemon stopped', 'both killed'] as const),
];

export interface RestartPeers {
  readonly journal: SoakJournal;
  readonly chance: SeededChance;
  readonly stack: SoakStack;
  /** Every load that runs all the time; those that a restart does not touch are quick to answer. */
  readonly volumes: readonly VolumeLoad[];
  readonly wait: (ms: number) => Promise<void>;
}

/** One restart, and the recovery from it. @throws Error if requests are not answered again */
export async function restartSomething(peers: RestartPeers): Promise<void> {
  const { journal, chance, stack, volumes } = peers;
  const restart = chance.pick(RESTARTS);
  for (const { load } of volumes) load.record.pauses.restart();
  await carryOut(stack, restart);
  const answered = volumes.map(({ load }) => load.record.requestCount + ANSWERS_AFTER);
  const untilMs = performance.now() + RECOVERY_MS;
  for (const [index, { load, name }] of volumes.entries()) {
    while (load.record.requestCount < (answered[index] ?? 0)) {
      if (performance.now() > untilMs) {
        throw new Error(`${name} was not answered within ${RECOVERY_MS} ms after "${restart}"`);
      }
      await peers.wait(POLL_MS);
    }
  }
  const pausesMs = volumes.map(({ load }) => load.record.pauses.longestMs);
  journal.event(`restart: ${restart}`, Math.max(...pausesMs));
}

async function carryOut(stack: SoakStack, restart: Restart): Promise<void> {
  if (restart === 'both killed') {
    await Promise.all([stack.end('node-2', 'kill'), stack.end('daemon-2', 'kill')]);
    await Promise.all([stack.begin('node-2'), stack.begin('daemon-2')]);
    return;
  }
  const manner: Manner = restart.endsWith('killed') ? 'kill' : 'stop';
  await stack.restart(restart.startsWith('node') ? 'node-2' : 'daemon-2', manner);
}
