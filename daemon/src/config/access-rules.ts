/**
 * Who may do what with the volumes of a storage node: the rules of `access_file`, and the decision, as values.
 * Whose names a caller has, what happens to one who is refused, and when the file is read again is the
 * business of storage-node/access-control.ts.
 *
 * Rules only give; what none gives is refused.
 */
import * as z from 'zod';
import { firstMatch, matches } from './name-pattern.js';
import { PATTERNS, RULE_NAME, parseRules, readRuleFile, ruleLabel } from './rule-file.js';

/** In the order in which people are told of them. */
export const VOLUME_RIGHTS = ['read', 'write', 'take-over', 'administer'] as const;

/**
 * - read: see the volume, open it for reading.
 * - write: read, and hold its lease.
 * - take-over: write, and take the lease from another client that is alive.
 * - administer: see, make, resize and delete it; its content only together with one of the others.
 */
export type VolumeRight = (typeof VOLUME_RIGHTS)[number];

/** What each right brings with it. Seeing a volume (list, show) comes with every one. */
const INCLUDED: Readonly<Record<VolumeRight, readonly VolumeRight[]>> = {
  read: ['read'],
  write: ['write', 'read'],
  'take-over': ['take-over', 'write', 'read'],
  administer: ['administer'],
};

/** A right, or to know that the volume is there. */
export type Wanted = VolumeRight | 'see';

export interface AccessRule {
  readonly name?: string | undefined;
  /** Patterns of the names in clients' certificates. */
  readonly clients: readonly string[];
  /** Patterns of volumes' names. */
  readonly volumes: readonly string[];
  readonly rights: readonly VolumeRight[];
}

const RULE: z.ZodType<AccessRule> = z.strictObject({
  name: RULE_NAME,
  clients: PATTERNS,
  volumes: PATTERNS,
  rights: z
    .array(
      z.enum(VOLUME_RIGHTS, {
        error: (issue) =>
          `${JSON.stringify(issue.input) ?? 'nothing'} is no right; there are ${VOLUME_RIGHTS.join(', ')}`,
      }),
    )
    .min(1, 'the list is empty: the rule would give nothing'),
});

export interface AccessDecision {
  readonly allowed: boolean;
  /** One clause for logs and for who writes the file: the rule that gave it, or why none does. */
  readonly reason: string;
}

export class AccessRules {
  constructor(readonly rules: readonly AccessRule[]) {}

  /** @throws RuleFileError with everything that is wrong */
  static fromFile(file: string): AccessRules {
    return new AccessRules(readRuleFile(file, RULE));
  }

  /** @param file for messages @throws RuleFileError */
  static fromText(text: string, file: string): AccessRules {
    return new AccessRules(parseRules(file, text, RULE));
  }

  /**
   * @param clientNames the names in the caller's certificate
   * @param volume its name; undefined if there is none, as for an id that no volume has: then only a rule for
   *   all volumes (`*`) counts, so that others do not learn that it is missing
   */
  decide(
    clientNames: readonly string[],
    volume: string | undefined,
    wanted: Wanted,
  ): AccessDecision {
    const given = new Set<string>();
    let isKnown = false;
    for (const [index, rule] of this.rules.entries()) {
      const client = firstMatch(rule.clients, clientNames);
      if (client === undefined) continue;
      isKnown = true;
      const pattern = rule.volumes.find((one) =>
        volume === undefined ? one === '*' : matches(one, volume),
      );
      if (pattern === undefined) continue;
      if (gives(rule.rights, wanted)) {
        const reason = `${ruleLabel(index, rule.name)} gives ${rule.rights.join(', ')} on ${pattern} to ${client.pattern}`;
        return { allowed: true, reason };
      }
      for (const right of rule.rights) given.add(right);
    }
    return { allowed: false, reason: whyNot(isKnown, given, wanted) };
  }

  /** Whether any rule names this client: enough to ask the node what it is. */
  knows(clientNames: readonly string[]): AccessDecision {
    const index = this.rules.findIndex(({ clients }) => firstMatch(clients, clientNames));
    return index >= 0
      ? { allowed: true, reason: `${ruleLabel(index, this.rules[index]?.name)} names it` }
      : { allowed: false, reason: whyNot(false, new Set(), 'see') };
  }
}

function gives(rights: readonly VolumeRight[], wanted: Wanted): boolean {
  return rights.some((right) => wanted === 'see' || INCLUDED[right].includes(wanted));
}

function whyNot(isKnown: boolean, given: ReadonlySet<string>, wanted: Wanted): string {
  if (!isKnown) return 'no rule names this client';
  if (given.size === 0) return 'no rule that names this client is for this volume';
  return `the rules for this client and volume give ${[...given].join(', ')}, not ${wanted}`;
}
