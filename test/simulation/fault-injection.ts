/**
 * What goes wrong in a history: each kind of fault as a function of the world. When it ends is part of the
 * fault; whether the clients may notice is for the model to say.
 */
import type { Conductor } from './conductor.js';
import type { HistoryModel } from './history-model.js';
import type { FaultKind, PlannedFault } from './history-plan.js';
import type { Latency } from './network.js';
import type { StorageMachine } from './storage-machine.js';
import type { World } from './world.js';

export interface Injection {
  readonly world: World;
  readonly model: HistoryModel;
  readonly machine: StorageMachine;
  readonly conductor: Conductor;
  /** Instead of the history's own while it is set. */
  readonly setLatency: (latency: Latency | undefined) => void;
}

type Inject = (injection: Injection, fault: PlannedFault) => void;

const INJECT: Readonly<Record<FaultKind, Inject>> = {
  'cut connections': ({ machine }) => {
    machine.cutConnections();
  },
  'block both ways': (injection, fault) => {
    block(injection, fault, { toNode: true, toDaemon: true });
  },
  'block way to node': (injection, fault) => {
    block(injection, fault, { toNode: true, toDaemon: false });
  },
  'block way to daemon': (injection, fault) => {
    block(injection, fault, { toNode: false, toDaemon: true });
  },
  'slow network': ({ world, setLatency }, { lastsMs }) => {
    setLatency({ minMs: 20, maxMs: 700 });
    world.schedule(lastsMs, () => {
      setLatency(undefined);
    });
  },
  'kill node': (injection, fault) => {
    nodeDies(injection, fault, 'process');
  },
  'cut power of node': (injection, fault) => {
    nodeDies(injection, fault, 'power');
  },
  'stop node in order': ({ world, machine }, { lastsMs }) => {
    void machine.stopGracefully();
    world.schedule(lastsMs, () => {
      machine.killProcess();
      machine.start();
    });
  },
  'freeze node': ({ world, machine }, { lastsMs }) => {
    const { process } = machine;
    process.stop();
    world.schedule(lastsMs, () => {
      process.resume();
    });
  },
  'kill daemon': (injection, fault) => {
    daemonDies(injection, fault);
  },
  'kill daemon and node': (injection, fault) => {
    daemonDies(injection, fault);
    nodeDies(injection, fault, 'process');
  },
  'kill daemon and cut power': (injection, fault) => {
    daemonDies(injection, fault);
    nodeDies(injection, fault, 'power');
  },
  'freeze daemon': ({ world, conductor }, { lastsMs }) => {
    const { process } = conductor.current;
    process.stop();
    world.schedule(lastsMs, () => {
      process.resume();
    });
  },
  'daemon clock jumps': ({ conductor }, { lastsMs }) => {
    conductor.current.process.skipTime(lastsMs * 4);
  },
  'node clock jumps': ({ machine }, { lastsMs }) => {
    machine.process.skipTime(lastsMs * 4);
  },
  // Back and forth: it stands in sentences and decides nothing.
  'time of day is set': ({ machine }, { steps, lastsMs }) => {
    machine.setTimeOfDay((steps % 2 === 0 ? 1 : -1) * lastsMs * 1_000_000);
  },
  'take over': ({ conductor }) => {
    conductor.attach(true);
  },
  // Gets the volume only if its writer is away for longer than its lease.
  'attach elsewhere': (injection, fault) => {
    const { world, conductor } = injection;
    const writer = conductor.current;
    const other = conductor.attach(false);
    if (fault.steps > 4)
      block(injection, { ...fault, lastsMs: fault.lastsMs + 4_000 }, BOTH, writer);
    world.schedule(fault.lastsMs + 8_000, () => {
      if (other.state === 'connecting') conductor.giveUp(other);
    });
  },
  'detach in order': ({ conductor }) => {
    void conductor.handOver();
  },
  'engine restarts': ({ machine }) => {
    machine.restartEngine();
  },
  'fail now': ({ conductor }) => {
    conductor.current.process.deliver(() => conductor.current.volume?.failNow());
  },
  'retry now': ({ conductor }) => {
    conductor.current.process.deliver(() => void conductor.current.volume?.retryNow());
  },
  'slow disk': ({ world, machine }, { lastsMs }) => {
    const { weather } = machine;
    weather.slowMs = 20;
    weather.syncSlowness = 40;
    world.schedule(lastsMs, () => {
      weather.slowMs = 0;
      weather.syncSlowness = 1;
    });
  },
  'failing syncs': ({ machine, model }, { steps }) => {
    model.diskIsSuspect = true;
    machine.weather.failingSyncs = 1 + (steps % 3);
  },
  'failing writes': ({ world, machine, model }, { steps, lastsMs }) => {
    model.diskIsSuspect = true;
    machine.weather.writeErrno = steps % 2 === 0 ? 'EIO' : 'ENOSPC';
    machine.weather.writeFailures = steps % 2 === 0 ? 0.1 : 0.5;
    world.schedule(lastsMs, () => {
      machine.weather.writeFailures = 0;
    });
  },
  'full replay log': ({ world, model, conductor }, { lastsMs }) => {
    model.diskIsSuspect = true;
    const host = conductor.current;
    host.setLogFull(true);
    world.schedule(lastsMs, () => {
      host.setLogFull(false);
    });
  },
};

const BOTH = { toNode: true, toDaemon: true } as const;

/** Lets the fault begin now. */
export function injectFault(injection: Injection, fault: PlannedFault): void {
  injection.world.note(`fault: ${fault.kind} (${Math.round(fault.lastsMs)} ms)`);
  injection.world.count(`fault: ${fault.kind}`);
  INJECT[fault.kind](injection, fault);
}

function block(
  { world, conductor }: Injection,
  { lastsMs }: PlannedFault,
  ways: { toNode: boolean; toDaemon: boolean },
  host = conductor.current,
): void {
  host.path.block(ways);
  world.schedule(lastsMs, () => {
    host.path.open();
  });
}

function nodeDies(
  { world, machine }: Injection,
  { steps, lastsMs }: PlannedFault,
  how: 'process' | 'power',
): void {
  const kill = (): void => {
    if (how === 'process') machine.killProcess();
    else machine.cutPower();
    world.schedule(lastsMs, () => {
      machine.start();
    });
  };
  if (steps === 0 || !machine.isRunning) kill();
  else machine.process.dieAfter(steps, kill);
}

function daemonDies({ world, conductor }: Injection, { steps, lastsMs }: PlannedFault): void {
  const host = conductor.current;
  const kill = (): void => {
    conductor.kill(host);
    world.schedule(lastsMs, () => {
      host.start();
    });
  };
  if (steps === 0 || !host.isAlive) kill();
  else host.process.dieAfter(steps, kill);
}
