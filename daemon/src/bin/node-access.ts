/** The rules of a node (`access_file`) from its start to its end: read or refused, then watched. */
import { AccessRules } from '../config/access-rules.js';
import { SYSTEM_CLOCK } from '../runtime/clock.js';
import type { Logger } from '../runtime/logger.js';
import type { RepeatedWarnings } from '../runtime/repeated-warnings.js';
import { watchFiles } from '../runtime/watched-files.js';
import { AccessControl } from '../storage-node/access-control.js';
import type { AccessGate } from '../storage-node/access-gate.js';

/** @param file "" for none: everybody who gets in may do everything. @throws RuleFileError */
export function readAccess(file: string, refusals: RepeatedWarnings): AccessControl {
  const rules = file === '' ? undefined : AccessRules.fromFile(file);
  return new AccessControl(rules, refusals);
}

/**
 * New rules count at once, also for sessions that are open; a file that cannot be used is told, and the rules of
 * before stay.
 *
 * @returns ends it
 */
export function watchAccess(file: string, gate: AccessGate, logger: Logger): () => void {
  if (file === '') return () => undefined;
  return watchFiles([file], SYSTEM_CLOCK, () => {
    let rules: AccessRules;
    try {
      rules = AccessRules.fromFile(file);
    } catch (error) {
      logger.warn(
        { event: 'access_rules_not_replaced', file },
        `new rules are not used, those of before stay in force: ${(error as Error).message}`,
      );
      return;
    }
    gate.control.replaceRules(rules);
    const endedCount = gate.endUnallowed();
    logger.info(
      { event: 'access_rules_replaced', file, ruleCount: rules.rules.length, endedCount },
      `new rules from ${file} are in force; sessions that they end: ${endedCount}`,
    );
  });
}
