/** What an operator should know of how a program's connections are protected. */
import type { ProtectionFacts } from '../rpc/protection-facts.js';
import { expiryWarning } from '../security/certificate-watch.js';

/** As in "node a:7600 allows plain text ...". */
export function insecureRemark(who: string, { insecure }: ProtectionFacts): string | undefined {
  return insecure
    ? `${who} allows plain text beyond its machine (insecure = true): whoever is on the network can read and change every disk`
    : undefined;
}

/** @param whose as in "of node a:7600" */
export function expiryRemark(
  whose: string,
  { certificateValidToMs }: ProtectionFacts,
  nowMs: number,
): string | undefined {
  return certificateValidToMs === 0 ? undefined : expiryWarning(whose, certificateValidToMs, nowMs);
}

/** Both, for people. */
export function protectionRemarks(who: string, facts: ProtectionFacts, nowMs: number): string[] {
  return [insecureRemark(who, facts), expiryRemark(`of ${who}`, facts, nowMs)].filter(
    (remark) => remark !== undefined,
  );
}
