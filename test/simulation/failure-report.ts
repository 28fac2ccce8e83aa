/** A broken rule for people: the seed, the smallest history that breaks it, and its last events. */
import type { HistoryPlan } from './history-plan.js';
import { runHistory, type HistoryOutcome } from './history.js';
import { NO_BUG, type PlantedBug } from './planted-bug.js';
import { shrinkHistory } from './shrink.js';

/** The end of a history is where it goes wrong; what led there is seldom further back. */
const LINES_SHOWN = 80;

/** @returns several lines */
export async function reportFailure(
  plan: HistoryPlan,
  outcome: HistoryOutcome,
  bug: PlantedBug = NO_BUG,
): Promise<string> {
  const { violation } = outcome;
  if (violation === undefined) return 'no rule was broken';
  const small = await shrinkHistory(plan, violation.rule, bug);
  const { trace, violation: smallViolation } = await runHistory(small, bug);
  return [
    `seed ${plan.seed} breaks a rule: ${violation.message}`,
    `shrunk from ${plan.requests.length} to ${small.requests.length} requests ` +
      `and from ${plan.faults.length} to ${small.faults.length} faults: ${smallViolation?.message ?? ''}`,
    `settings: ${JSON.stringify(small.settings)}`,
    ...shown(trace),
    `again, in full: npm run simulate -- --seed ${plan.seed} --trace`,
  ].join('\n');
}

function shown(trace: readonly string[]): string[] {
  const left = trace.length - LINES_SHOWN;
  const last = trace.slice(-LINES_SHOWN);
  return left > 0 ? [`(${left} events before)`, ...last] : last;
}
