/**
 * The bugs that the simulator must find: each is a plausible mistake in the daemon, the node or a backend,
 * with the faults under which it shows. planted-bugs.test.ts holds the simulator to them.
 */
import { BLOCK_FLAG, changesContent, DONE } from '#daemon/block/block-request.js';
import { FlushOrder } from '#daemon/storage-node/flush-order.js';
import { LeaseTable } from '#daemon/storage-node/lease-table.js';
import { SessionTable } from '#daemon/storage-node/session-table.js';
import { WriteVerifiers } from '#daemon/storage-node/write-verifiers.js';
import { CoveredRanges } from '#daemon/volume/covered-ranges.js';
import { JobPipeline } from '#daemon/volume/job-pipeline.js';
import { ReadAhead } from '#daemon/volume/read-ahead.js';
import { Resend } from '#daemon/volume/resend.js';
import { ReplayLog } from '#daemon/volume/replay-log.js';
import { WriteCache } from '#daemon/volume/write-cache.js';
import {
  both,
  changingPlaces,
  deafToVerifiers,
  forgetfulDevice,
  misplacing,
  onDevice,
  replacing,
  takingBack,
  withoutGeneration,
} from './bug-planting.js';
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
const CACHED = { writeCache: true };
const AHEAD = { readAheadBytes: 8192 };
const MANY: PlanOptions = { requestCount: 120 };
/** One at a time over a slow network: sending again takes long enough for the lease to move meanwhile. */
const DURING_RESENDS: PlanOptions = {
  faults: ['cut power of node', 'take over', 'kill node'],
  settings: { nodeRequestsMax: 1, latency: { minMs: 1, maxMs: 40 }, replayEntriesMax: 1000 },
  ...MANY,
};

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
    name: 'of two writes of a block in the log the older one is sent again',
    bug: replacing(
      ReplayLog,
      'recordsFrom',
      (original) =>
        function* (this: ReplayLog, sequence) {
          yield* [...original.call(this, sequence)].reverse();
        },
    ),
    options: { faults: NODE_DIES },
  },
  {
    name: 'an older write is sent again before the durable newer one',
    bug: replacing(
      CoveredRanges,
      'gapsIn',
      () =>
        function (this: CoveredRanges, range) {
          return [range];
        },
    ),
    options: DURING_RESENDS,
  },
  {
    name: 'a write of which a part is covered is not sent again at all',
    bug: replacing(
      CoveredRanges,
      'gapsIn',
      (original) =>
        function (this: CoveredRanges, range) {
          const gaps = original.call(this, range);
          return gaps.length === 1 && gaps[0]?.endBytes === range.endBytes ? gaps : [];
        },
    ),
    options: { faults: NODE_DIES },
  },
  {
    name: 'an interrupted replay is not begun again',
    bug: replacing(Resend, 'interrupt', (original) => {
      let isInside = false;
      return function (this: Resend) {
        original.call(this);
        if (isInside) return;
        // A session with nothing to send again: nothing is owed after it.
        isInside = true;
        this.begin(0, []);
        isInside = false;
      };
    }),
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
    name: 'the write cache answers before the log is written',
    bug: replacing(ReplayLog, 'commit', (original) => {
      let calls = 0;
      return function (this: ReplayLog) {
        calls += 1;
        if (calls % 6 === 0) original.call(this);
      };
    }),
    options: { faults: ['kill daemon'], settings: CACHED },
  },
  {
    name: 'the write cache answers what promises durability',
    bug: replacing(WriteCache, 'takes', () => (job) => changesContent(job.request.kind)),
    options: { faults: ['take over', 'cut connections', ...NODE_DIES], settings: CACHED },
  },
  {
    name: 'what the write cache had answered may fail unheard',
    bug: replacing(WriteCache, 'judge', () => () => undefined),
    options: { faults: ['failing writes'], settings: CACHED, ...MANY },
  },
  {
    name: 'a write leaves what was read ahead of its blocks',
    bug: replacing(
      ReadAhead,
      'submit',
      (original) =>
        function (this: ReadAhead, request, complete, facts, isWriter) {
          // Cuts the range that is voided short.
          const told = changesContent(request.kind) ? { ...request, lengthBytes: 0 } : request;
          original.call(this, told, (_told, result) => complete(request, result), facts, isWriter);
        },
    ),
    options: { settings: AHEAD },
  },
  {
    name: 'what was read ahead never gets old',
    bug: replacing(
      ReadAhead,
      'submit',
      (original) =>
        function (this: ReadAhead, ...words) {
          // Its age is asked for by this clock alone.
          Object.assign(this, { clock: { ...this.clock, nowMs: () => 0 } });
          original.apply(this, words);
        },
    ),
    options: { faults: ['block way to daemon', 'attach elsewhere', 'take over'], settings: AHEAD },
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
    name: 'a daemon that lost its lease takes the volume back',
    bug: { ...NO_BUG, wrapClient: takingBack },
    options: { faults: TAKEOVERS },
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
    name: 'sessions go on after a failed flush, and read what is left',
    bug: replacing(SessionTable, 'endAll', () => () => undefined),
    options: { faults: ['failing syncs'], ...MANY },
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
