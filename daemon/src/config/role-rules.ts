/**
 * Who may do what with a daemon over TCP: the rules of `admin.access_file`, and the role they give, as
 * values. Which call needs which role is admin/caller-role.ts.
 */
import * as z from 'zod';
import { firstMatch } from './name-pattern.js';
import { PATTERNS, RULE_NAME, parseRules, readRuleFile, ruleLabel } from './rule-file.js';

/** Rising: each may do what those before it may. */
export const ROLES = ['viewer', 'operator', 'admin'] as const;

/**
 * - viewer: look at everything.
 * - operator: attach and detach, fail-now, retry-now.
 * - admin: also what can lose data or take it from others: by force, take-over.
 */
export type Role = (typeof ROLES)[number];

export interface RoleRule {
  readonly name?: string | undefined;
  /** Patterns of the names in clients' certificates. */
  readonly clients: readonly string[];
  readonly role: Role;
}

const RULE: z.ZodType<RoleRule> = z.strictObject({
  name: RULE_NAME,
  clients: PATTERNS,
  role: z.enum(ROLES, {
    error: (issue) =>
      `${JSON.stringify(issue.input) ?? 'nothing'} is no role; there are ${ROLES.join(', ')}`,
  }),
});

export interface RoleDecision {
  /** The highest that a rule gives; undefined if none names the client. */
  readonly role: Role | undefined;
  /** One clause: the rule that gave it, or why none does. */
  readonly reason: string;
}

export class RoleRules {
  constructor(readonly rules: readonly RoleRule[]) {}

  /** @throws RuleFileError with everything that is wrong */
  static fromFile(file: string): RoleRules {
    return new RoleRules(readRuleFile(file, RULE));
  }

  /** @param file for messages @throws RuleFileError */
  static fromText(text: string, file: string): RoleRules {
    return new RoleRules(parseRules(file, text, RULE));
  }

  /** @param clientNames the names in the caller's certificate */
  roleOf(clientNames: readonly string[]): RoleDecision {
    let best: RoleDecision = { role: undefined, reason: 'no rule names this client' };
    for (const [index, rule] of this.rules.entries()) {
      const client = firstMatch(rule.clients, clientNames);
      if (client === undefined) continue;
      if (best.role !== undefined && reaches(best.role, rule.role)) continue;
      const reason = `${ruleLabel(index, rule.name)} gives ${rule.role} to ${client.pattern}`;
      best = { role: rule.role, reason };
    }
    return best;
  }
}

/** Whether a role may do what another one may. */
export function reaches(role: Role, needed: Role): boolean {
  return ROLES.indexOf(role) >= ROLES.indexOf(needed);
}
