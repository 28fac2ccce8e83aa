/**
 * One history from beginning to end: the plan happens, then everything is healed, and what is left must be
 * what the contract promises: all requests answered, every block read back, the disk's own content compared,
 * and once more after the power of the node and the daemon have gone together.
 */
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { Conductor } from './conductor.js';
import { injectFault } from './fault-injection.js';
import { FinalCheck } from './final-check.js';
import { HistoryModel } from './history-model.js';
import type { HistoryPlan } from './history-plan.js';
import type { Latency } from './network.js';
import { NO_BUG, type PlantedBug } from './planted-bug.js';
import { SeededRandom } from './seeded-random.js';
import { SimulatedClients } from './simulated-clients.js';
import { StorageMachine } from './storage-machine.js';
import type { Violation } from './violation.js';
import { VALUE_FORM, codecForm } from './wire-form.js';
import { World } from './world.js';

export interface HistoryOutcome {
  readonly violation: Violation | undefined;
  readonly trace: readonly string[];
  readonly counts: ReadonlyMap<string, number>;
  readonly eventCount: number;
  readonly simulatedMs: number;
}

/** Replay logs belong on tmpfs, and a thousand histories write many. */
const LOG_PLACE = fs.existsSync('/dev/shm') ? '/dev/shm' : os.tmpdir();

export async function runHistory(
  plan: HistoryPlan,
  bug: PlantedBug = NO_BUG,
): Promise<HistoryOutcome> {
  const folder = fs.mkdtempSync(path.join(LOG_PLACE, 'blkferry-simulation-'));
  const world = new World(new SeededRandom(plan.seed, 'world'));
  const uninstall = bug.install();
  const realSetImmediate = globalThis.setImmediate;
  globalThis.setImmediate = simulatedSetImmediate(world);
  try {
    await happen(world, plan, bug, folder);
  } finally {
    globalThis.setImmediate = realSetImmediate;
    uninstall();
    fs.rmSync(folder, { recursive: true, force: true });
  }
  const { violation, trace, counts, eventCount, nowMs } = world;
  return { violation, trace, counts, eventCount, simulatedMs: nowMs };
}

async function happen(
  world: World,
  plan: HistoryPlan,
  bug: PlantedBug,
  folder: string,
): Promise<void> {
  const { random } = world;
  const { settings } = plan;
  const model = new HistoryModel(
    world,
    settings.blockCount,
    settings.blockBytes,
    settings.writeCache,
    settings.readAheadBytes > 0,
  );
  let otherLatency: Latency | undefined;
  const machine = new StorageMachine({
    world,
    random: random.fork('machine'),
    model,
    blockCount: settings.blockCount,
    blockBytes: settings.blockBytes,
    leaseTimeoutMs: settings.leaseTimeoutMs,
    sessionLimits: {
      requestsInFlightMax: settings.nodeRequestsMax,
      bytesInFlightMax: settings.nodeBytesMax,
    },
    latency: () => otherLatency ?? settings.latency,
    mayTakeOver: (attachmentId) => conductor.mayTakeOver(attachmentId),
    wrapDevice: bug.wrapDevice,
  });
  machine.weather.slowMs = settings.diskMs;
  machine.start();
  const damage = random.fork('damage');
  const wireForm = settings.codec
    ? codecForm((frameBytes) =>
        damage.chance(settings.damageChance) ? damage.between(0, frameBytes - 1) : undefined,
      )
    : VALUE_FORM;
  const conductor: Conductor = new Conductor({
    ...{ world, random: random.fork('conductor'), model, machine, plan, wireForm, folder, bug },
    onDeath: (host) => {
      clients.daemonDied(host);
    },
  });
  const clients: SimulatedClients = new SimulatedClients(
    { world, model, settings, target: (request) => conductor.target(request) },
    plan.requests,
  );
  const setLatency = (latency: Latency | undefined): void => {
    otherLatency = latency;
  };
  for (const fault of plan.faults) {
    world.schedule(fault.atMs, () => {
      injectFault({ world, model, machine, conductor, setLatency }, fault);
    });
  }
  clients.start();
  const check = new FinalCheck({ world, model, machine, conductor, clients, settings, setLatency });
  await check.run(plan.faults);
  for (const host of conductor.hosts) host.end();
}

/** The product's few uses of it become events of the process that runs. */
function simulatedSetImmediate(world: World): typeof setImmediate {
  const simulated = (callback: () => void): NodeJS.Immediate => {
    const { running } = world;
    if (running === undefined) throw new Error('setImmediate outside of a process');
    running.defer(callback);
    return undefined as unknown as NodeJS.Immediate;
  };
  return Object.assign(simulated, { __promisify__: setImmediate.__promisify__ });
}
