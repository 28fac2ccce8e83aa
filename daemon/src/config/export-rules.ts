/**
 * Which NBD client may open which export over TLS: the rules of `nbd.access_file`, and the decision, as values.
 * How a client is known, and what it is told, is the frontend's business. Rules only give; what none gives is
 * refused.
 */
import * as z from 'zod';
import { firstMatch, matches } from './name-pattern.js';
import { PATTERNS, RULE_NAME, parseRules, readRuleFile, ruleLabel } from './rule-file.js';

/** Rising: who may write may read. */
export const EXPORT_RIGHTS = ['read', 'write'] as const;

export type ExportRight = (typeof EXPORT_RIGHTS)[number];

export interface ExportRule {
  readonly name?: string | undefined;
  /**
   * Patterns of clients' names: the DNS and URI names of a certificate as they are, its subject as in
   * "dn:CN=vm-7", the name of a pre-shared key as in "psk:vm-7".
   */
  readonly clients: readonly string[];
  /** Patterns of exports' names. */
  readonly exports: readonly string[];
  readonly right: ExportRight;
}

const RULE: z.ZodType<ExportRule> = z.strictObject({
  name: RULE_NAME,
  clients: PATTERNS,
  exports: PATTERNS,
  right: z.enum(EXPORT_RIGHTS, {
    error: (issue) =>
      `${JSON.stringify(issue.input) ?? 'nothing'} is no right; there are ${EXPORT_RIGHTS.join(', ')}`,
  }),
});

export class ExportRules {
  constructor(readonly rules: readonly ExportRule[]) {}

  /** @throws RuleFileError with everything that is wrong */
  static fromFile(file: string): ExportRules {
    return new ExportRules(readRuleFile(file, RULE));
  }

  /** @param file for messages @throws RuleFileError */
  static fromText(text: string, file: string): ExportRules {
    return new ExportRules(parseRules(file, text, RULE));
  }

  /** @returns the highest right that a rule gives, and that rule in a clause; or why none does */
  decide(
    clientNames: readonly string[],
    exportName: string,
  ): { readonly right: ExportRight | undefined; readonly reason: string } {
    let isKnown = false;
    let reads: string | undefined;
    for (const [index, rule] of this.rules.entries()) {
      const client = firstMatch(rule.clients, clientNames);
      if (client === undefined) continue;
      isKnown = true;
      const pattern = rule.exports.find((one) => matches(one, exportName));
      if (pattern === undefined) continue;
      const reason = `${ruleLabel(index, rule.name)} gives ${rule.right} on ${pattern} to ${client.pattern}`;
      if (rule.right === 'write') return { right: 'write', reason };
      reads ??= reason;
    }
    if (reads !== undefined) return { right: 'read', reason: reads };
    return {
      right: undefined,
      reason: isKnown
        ? 'no rule that names this client is for this export'
        : 'no rule names this client',
    };
  }
}
