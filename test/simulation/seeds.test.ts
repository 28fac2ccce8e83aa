/**
 * A thousand histories, always the same ones, so that a commit that breaks a rule is the one that is told so.
 * Other seeds are for long runs: `npm run simulate -- --from 1001 --seeds 100000`.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { CoverageTable } from './coverage-table.js';
import { reportFailure } from './failure-report.js';
import { planHistory } from './history-plan.js';
import { runHistory } from './history.js';

const SEEDS = 1000;
const SEEDS_PER_TEST = 100;

/** Everything that the contract is about has to have happened, and more than once. */
const EXERCISED = [
  'requests: read',
  'requests: write with FUA',
  'requests: flush',
  'requests: trim',
  'requests: write-zeroes with FUA',
  'requests asked again after a daemon died',
  'requests replayed from the log',
  'requests to a former writer',
  'clients that waited for room',
  'daemon: killed',
  'node: process killed',
  'node: power cut',
  'node: stopped in order',
  'node: engine restarted behind its sessions',
  'blocks that fell back to an older state',
  'blocks that kept an unsynced state',
  'changes that failed half done',
  'syncs that failed',
  'blocks lost by a failed sync',
  'blocks of a failed sync that left the cache',
  'replay log: found after a death',
  'replay log: torn tail',
  'replay log: full',
  'connections cut',
  'messages that arrive after their connection',
  'sessions lost',
  'volume: holding',
  'volume: failing',
  'volume: fenced',
  'fault: take over',
  'fault: attach elsewhere',
  'fault: freeze daemon',
  'fault: freeze node',
  'fault: daemon clock jumps',
  'fault: node clock jumps',
  'fault: time of day is set',
  'detached in order',
  'answers that came after the lease had moved',
  'answered changes exposed by a takeover and perhaps lost',
] as const;

describe('simulated histories', () => {
  const table = new CoverageTable();
  for (let from = 1; from <= SEEDS; from += SEEDS_PER_TEST) {
    it(`keep the contract for the seeds ${from} to ${from + SEEDS_PER_TEST - 1}`, async () => {
      for (let seed = from; seed < from + SEEDS_PER_TEST; seed += 1) {
        const plan = planHistory(seed);
        const outcome = await runHistory(plan);
        table.add(outcome.counts);
        if (outcome.violation !== undefined) assert.fail(await reportFailure(plan, outcome));
      }
    });
  }

  it('exercised every fault and every way out of it', () => {
    const missing = EXERCISED.filter((what) => table.sum(what) < 3);
    assert.deepEqual(missing, [], table.toString());
  });
});
