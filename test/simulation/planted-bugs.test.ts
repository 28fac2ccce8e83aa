/**
 * The test of the tests: bugs are planted one at a time, and the simulator has to find each. A bug that is
 * not found any more means that the simulator has gone blind, not that the bug is harmless.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { planHistory } from './history-plan.js';
import { runHistory } from './history.js';
import { reportFailure } from './failure-report.js';
import { BUGS_TO_FIND } from './planted-bugs.js';

/** Most bugs show within ten seeds, the shiest within two hundred. */
const SEEDS_MAX = 1000;

describe('the simulator finds the bug that', () => {
  for (const { name, bug, options } of BUGS_TO_FIND) {
    it(name, async () => {
      for (let seed = 1; seed <= SEEDS_MAX; seed += 1) {
        const { violation } = await runHistory(planHistory(seed, options), bug);
        if (violation === undefined) continue;
        // A planted exception would say nothing about the model.
        assert.notEqual(violation.rule, 'no exception', violation.detail);
        return;
      }
      assert.fail(`not found in ${SEEDS_MAX} seeds`);
    });
  }

  it('is shown as a small history with its seed', async () => {
    const one = BUGS_TO_FIND.find(({ name }) => name.startsWith('nothing is sent again'));
    assert.ok(one !== undefined);
    for (let seed = 1; seed <= SEEDS_MAX; seed += 1) {
      const plan = planHistory(seed, one.options);
      const outcome = await runHistory(plan, one.bug);
      if (outcome.violation === undefined) continue;
      const report = await reportFailure(plan, outcome, one.bug);
      assert.match(report, new RegExp(`^seed ${seed} breaks a rule: `));
      assert.match(report, /BROKEN/);
      const [, requests] = /to (\d+) requests/.exec(report) ?? [];
      assert.ok(Number(requests) < plan.requests.length / 3, report);
      return;
    }
  });
});
