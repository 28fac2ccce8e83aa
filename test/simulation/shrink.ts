/**
 * Makes a failing history small: leaves out faults and requests, and makes the settings plain, as long as the
 * same rule is still broken.
 */
import type { HistoryPlan } from './history-plan.js';
import { runHistory } from './history.js';
import type { HistorySettings } from './history-settings.js';
import type { PlantedBug } from './planted-bug.js';

/** Most histories that are tried; each takes some hundredths of a second. */
const TRIES_MAX = 400;

/** What makes a history easier to read. */
const PLAIN: readonly Partial<HistorySettings>[] = [
  { codec: false, checksum: 'none', damageChance: 0 },
  { diskMs: 0 },
  { latency: { minMs: 0.05, maxMs: 0.4 } },
  { clientDepth: 1 },
];

/**
 * @param rule what the history broke
 * @returns a history, perhaps the same, that breaks the same rule
 */
export async function shrinkHistory(
  plan: HistoryPlan,
  rule: string,
  bug: PlantedBug,
): Promise<HistoryPlan> {
  const budget = { left: TRIES_MAX };
  const stillFails = async (smaller: HistoryPlan): Promise<boolean> => {
    if (budget.left <= 0) return false;
    budget.left -= 1;
    return (await runHistory(smaller, bug)).violation?.rule === rule;
  };
  let smallest = plan;
  for (;;) {
    const before = smallest;
    smallest = await withLess(smallest, 'faults', stillFails);
    smallest = await withLess(smallest, 'requests', stillFails);
    for (const plain of PLAIN) {
      const plainer = { ...smallest, settings: { ...smallest.settings, ...plain } };
      if (await stillFails(plainer)) smallest = plainer;
    }
    const isSmaller =
      smallest.faults.length < before.faults.length ||
      smallest.requests.length < before.requests.length;
    if (!isSmaller || budget.left <= 0) return smallest;
  }
}

/** Leaves out ever smaller pieces of one of the two lists. */
async function withLess(
  plan: HistoryPlan,
  list: 'faults' | 'requests',
  stillFails: (plan: HistoryPlan) => Promise<boolean>,
): Promise<HistoryPlan> {
  let smallest = plan;
  for (let size = Math.ceil(plan[list].length / 2); size >= 1; size = Math.floor(size / 2)) {
    for (let start = 0; start < smallest[list].length;) {
      const items: readonly unknown[] = smallest[list];
      const fewer = [...items.slice(0, start), ...items.slice(start + size)];
      const smaller = { ...smallest, [list]: fewer };
      if (await stillFails(smaller)) smallest = smaller;
      else start += size;
    }
  }
  return smallest;
}
