/**
 * The bugs that the simulator must find: each is a plausible mistake in the daemon, the node or a backend,
 * with the faults under which it shows. planted-bugs.test.ts holds the simulator to them.
 */
import { BLOCK_FLAG, DONE, type BlockRequest } from '#daemon/block/block-request.js';
import type { BlockCompletion } from '#daemon/block/block-device.js';
import type { BackendVolume } from '#daemon/storage-node/backend/backend.js';
import { FlushOrder } from '#daemon/storage-node/flush-order.js';
import { LeaseTable } from '#daemon/storage-node/lease-table.js';
import { SessionTable } from '#daemon/storage-node/session-table.js';
import { WriteVerifiers } from '#daemon/storage-node/write-verifiers.js';
import { JobPipeline } from '#daemon/volume/job-pipeline.js';
import { ResendProgress } from '#daemon/volume/resend-progress.js';
import { ReplayLog } from '#daemon/volume/replay-log.js';
import type { SessionEvents, StorageClient } from '#daemon/transport/storage-client.js';
import type { ReplayStore } from '#daemon/volume/replay-store.js';
import { clientWith } from './daemon-watch.js';
import type { PlanOptions } from './history-plan.js';
import { NO_BUG, type PlantedBug } from './planted-bug.js';
import { SimulatedCatalog } from './simulated-catalog.js';

export interface BugToFind {
  readonly name: string;
  readonly bug: PlantedBug;
  /** Under which it shows; by default all faults. */
  readonly options?: PlanOptions;
}

const NODE_DIES = ['cut power of node', 'kill daemon and cut power'] as const;
const TAKEOVERS = [
  ...['take over', 'freeze daemon', 'block way to daemon', 'cut connections'],
  ...['slow network', 'block both ways', 'attach elsewhere'],
] as NonNullable<PlanOptions['faults']>;
/** Leases expire soon: a daemon that died finds that another one wrote, and died too. */
const RETURNS: PlanOptions = {
  faults: ['kill daemon', 'attach elsewhere', 'take over'],
  settings: { leaseTimeoutMs: 200 },
  requestCount: 120,
};
const MANY: PlanOptions = { requestCount: 120 };

export const BUGS_TO_FIND: readonly BugToFind[] = [
  {
    name: 'the node does not check generations',
    bug: replacing(LeaseTable, 'requireCurrent', () => () => undefined),
    options: { faults: TAKEOVERS },
  },
  {
    name: 'the node goes on with requests of the old writer after a takeover',
    bug: both(
      replacing(LeaseTable, 'requireCurrent', () => () => undefined),
      replacing(SessionTable, 'evictWriters', () => () => Promise.resolve()),
    ),
    options: { faults: TAKEOVERS },
  },
  {
    name: 'the lease goes to whoever asks',
    bug: replacing(LeaseTable, 'isHeld', () => () => false),
    options: { faults: ['attach elsewhere'] },
  },
  {
    name: 'a granted lease is not durable',
    bug: replacing(
      SimulatedCatalog,
      'setLease',
      (original) =>
        async function (this: SimulatedCatalog, ...words) {
          const before = this.options.durable.record;
          const record = await original.apply(this, words);
          this.options.durable.record = before;
          return record;
        },
    ),
    options: { faults: ['take over', 'kill node', 'freeze daemon'] },
  },
  {
    name: 'a new session does not wait for the old one',
    bug: replacing(SessionTable, 'predecessor', () => () => undefined),
    options: { faults: ['cut connections', 'block both ways', 'slow network', 'slow disk'] },
  },
  {
    name: 'nothing is sent again after the node lost it',
    bug: both(
      replacing(
        JobPipeline,
        'begin',
        (original) =>
          function (this: JobPipeline, session, terms) {
            original.call(this, session, {
              ...terms,
              writeVerifier: this.writeVerifier ?? terms.writeVerifier,
            });
          },
      ),
      { ...NO_BUG, wrapClient: deafToVerifiers },
    ),
    options: { faults: ['cut power of node'] },
  },
  {
    name: 'the log is sent again out of order',
    bug: replacing(
      ReplayLog,
      'load',
      (original) =>
        function (this: ReplayLog, sequence) {
          const kept = [...this.sequencesFrom(0)];
          const other = kept[kept.indexOf(sequence) ^ 1] ?? sequence;
          return original.call(this, other);
        },
    ),
    options: { faults: NODE_DIES },
  },
  {
    name: 'after an unanswered write the answered ones behind it are not sent again',
    bug: replacing(
      ReplayLog,
      'sequencesFrom',
      (original) =>
        function* (this: ReplayLog, sequence) {
          if (sequence === 0) yield* original.call(this, sequence);
        },
    ),
    options: { faults: ['cut connections', 'block way to daemon', 'block way to node'], ...MANY },
  },
  {
    name: 'an interrupted replay is not begun again',
    bug: replacing(ResendProgress, 'begin', () => () => undefined),
    options: {
      faults: ['cut power of node', 'cut connections', 'kill daemon'],
      // One at a time over a slow network: a replay takes long enough to be interrupted.
      settings: { nodeRequestsMax: 1, latency: { minMs: 1, maxMs: 40 }, replayEntriesMax: 1000 },
      ...MANY,
    },
  },
  {
    name: 'writes with FUA are not logged',
    bug: replacing(
      ReplayLog,
      'append',
      (original) =>
        function (this: ReplayLog, sequence, request) {
          if ((request.flags & BLOCK_FLAG.FUA) === 0) original.call(this, sequence, request);
        },
    ),
    options: { faults: NODE_DIES },
  },
  {
    name: 'a flush forgets the whole log',
    bug: replacing(
      ReplayLog,
      'dropBelow',
      (original) =>
        function (this: ReplayLog) {
          original.call(this, Infinity);
        },
    ),
    options: { faults: NODE_DIES, ...MANY },
  },
  {
    name: 'a write is answered before it is logged',
    bug: replacing(ReplayLog, 'commit', (original) => {
      let calls = 0;
      return function (this: ReplayLog) {
        calls += 1;
        if (calls % 6 === 0) original.call(this);
      };
    }),
    options: { faults: ['kill daemon and cut power'] },
  },
  {
    name: 'a torn record of the log counts as a whole one',
    bug: { ...NO_BUG, tornCountsAsWhole: true },
    options: {
      faults: ['kill daemon', 'kill daemon and cut power'],
      settings: { clientsAskAgain: false },
    },
  },
  {
    name: 'a write that failed stays in the log',
    bug: replacing(ReplayLog, 'remove', () => () => undefined),
    options: { faults: ['failing writes', ...NODE_DIES], ...MANY },
  },
  {
    name: 'the log of an older generation is sent again',
    bug: { ...NO_BUG, expectedGeneration: () => 0 },
    options: RETURNS,
  },
  {
    name: 'the log does not learn its generation',
    bug: { ...NO_BUG, wrapStore: withoutGeneration },
    options: RETURNS,
  },
  {
    name: 'the verifier of a flush reply is not looked at',
    bug: { ...NO_BUG, wrapClient: deafToVerifiers },
    options: { faults: ['engine restarts'] },
  },
  {
    name: 'the node answers a flush before the disk has',
    bug: onDevice((device, request, complete) => {
      if (request.kind !== 'flush') device.submit(request, complete);
      else complete(request, DONE);
    }),
    options: { faults: NODE_DIES },
  },
  {
    name: 'a flush does not wait for the changes before it',
    bug: replacing(FlushOrder, 'arrived', () => () => true),
    options: { faults: NODE_DIES, settings: { diskMs: 20, nodeRequestsMax: 1000 }, ...MANY },
  },
  {
    name: 'a failed flush counts as success',
    bug: both(
      replacing(WriteVerifiers, 'flushFailed', () => () => false),
      onDevice((device, request, complete) => {
        device.submit(request, (one, result) => {
          complete(one, request.kind === 'flush' ? DONE : result);
        });
      }),
    ),
    options: { faults: ['failing syncs', ...NODE_DIES] },
  },
  {
    name: 'a failed flush is forgotten by the next one',
    bug: both(
      replacing(WriteVerifiers, 'flushFailed', () => () => false),
      forgetfulDevice(),
    ),
    options: { faults: ['failing syncs', ...NODE_DIES] },
  },
  {
    name: 'overlapping writes of one batch change places',
    bug: onDevice(changingPlaces()),
    options: MANY,
  },
  {
    name: 'a write lands one block too far',
    bug: onDevice(misplacing()),
  },
];

type Submit = (
  device: BackendVolume,
  request: BlockRequest,
  complete: BlockCompletion<BlockRequest>,
) => void;

/** A bug of the backend: `submit` is replaced. */
function onDevice(submit: Submit): PlantedBug {
  const wrapDevice = (device: BackendVolume): BackendVolume => ({
    get facts() {
      return device.facts;
    },
    submit: (request, complete) => {
      submit(device, request, complete as BlockCompletion<BlockRequest>);
    },
    resize: (sizeBytes) => device.resize(sizeBytes),
    close: () => device.close(),
  });
  return { ...NO_BUG, wrapDevice };
}

/** A bug in a method of the product, for the time of a history. */
function replacing<Class extends object, Name extends keyof Class>(
  owner: { readonly prototype: Class },
  name: Name,
  replace: (original: Class[Name]) => Class[Name],
): PlantedBug {
  const install = (): (() => void) => {
    const original = owner.prototype[name];
    owner.prototype[name] = replace(original);
    return () => {
      owner.prototype[name] = original;
    };
  };
  return { ...NO_BUG, install };
}

function both(one: PlantedBug, other: PlantedBug): PlantedBug {
  const install = (): (() => void) => {
    const ends = [one.install(), other.install()];
    return () => {
      for (const end of ends.reverse()) end();
    };
  };
  return {
    ...NO_BUG,
    wrapClient: (client) => other.wrapClient(one.wrapClient(client)),
    wrapDevice: (device) => other.wrapDevice(one.wrapDevice(device)),
    install,
  };
}

function withoutGeneration(store: ReplayStore): ReplayStore {
  return {
    append: (record, payload) => store.append(record, payload),
    commit: () => {
      store.commit();
    },
    read: (position, lengthBytes) => store.read(position, lengthBytes),
    forgetBelow: (sequence) => {
      store.forgetBelow(sequence);
    },
    setGeneration: () => undefined,
    close: (options) => {
      store.close(options);
    },
  };
}

function deafToVerifiers(client: StorageClient): StorageClient {
  const openSession: StorageClient['openSession'] = (open, events) => {
    const deaf: SessionEvents = {
      opened: (facts) => {
        events.opened(facts);
      },
      completed: (sequence, result) => {
        events.completed(sequence, result);
      },
      verifierSeen: () => undefined,
      resized: () => undefined,
      ended: (reason) => {
        events.ended(reason);
      },
    };
    return client.openSession(open, deaf);
  };
  return clientWith(client, { openSession });
}

/** As Linux does with a newly opened file: the error is told once. */
function forgetfulDevice(): PlantedBug {
  const hasFailed = new WeakSet<BackendVolume>();
  return onDevice((device, request, complete) => {
    if (request.kind === 'flush' && hasFailed.has(device)) {
      complete(request, DONE);
      return;
    }
    device.submit(request, (one, result) => {
      if (result.error !== undefined) hasFailed.add(device);
      complete(one, result);
    });
  });
}

/** Now and then a write is done behind the request that follows it in the same turn. */
function changingPlaces(): Submit {
  let count = 0;
  let held: (() => void) | undefined;
  const release = (): void => {
    const go = held;
    held = undefined;
    go?.();
  };
  return (device, request, complete) => {
    count += 1;
    if (request.kind === 'write' && count % 5 === 0 && held === undefined) {
      held = () => {
        device.submit(request, complete);
      };
      queueMicrotask(release);
      return;
    }
    device.submit(request, complete);
    release();
  };
}

function misplacing(): Submit {
  let count = 0;
  return (device, request, complete) => {
    const { blockBytes, sizeBytes } = device.facts;
    const offsetBytes = request.offsetBytes + blockBytes;
    if (request.kind === 'write') count += 1;
    const isChosen = request.kind === 'write' && count % 10 === 0;
    if (!isChosen || offsetBytes + request.lengthBytes > sizeBytes) {
      device.submit(request, complete);
      return;
    }
    device.submit({ ...request, offsetBytes }, (_moved, result) => {
      complete(request, result);
    });
  };
}
