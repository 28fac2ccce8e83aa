/** Whether what goes over a network is protected, and for how long still. */
import { tlsFiles } from '../../config/tls-settings.js';
import { expiryRemark, insecureRemark } from '../protection-words.js';
import type { ProtectionFacts } from '../../rpc/protection-facts.js';
import type { Examination } from './examination.js';
import { ok, problem, warning, type Check, type Finding } from './finding.js';

const PROTECTION: Check = {
  name: 'encryption',
  run: (examination) => {
    const { report } = examination;
    const findings = ofFiles(examination);
    const nowMs = examination.machine.wallClockMs();
    if (report.daemon !== undefined) findings.push(...ofProgram('blkferryd', report.daemon, nowMs));
    for (const { address, node } of report.nodes) {
      if (node !== undefined) findings.push(...ofProgram(`node ${address}`, node, nowMs));
    }
    return findings;
  },
};

export const PROTECTION_CHECKS: readonly Check[] = [PROTECTION];

/** The files that the daemon would read at its next start, and reads when they change. */
function ofFiles({ config, machine }: Examination): Finding[] {
  const files = config === undefined ? undefined : tlsFiles(config);
  if (files === undefined) return [];
  const unusable = machine.tlsProblem(files);
  if (unusable === undefined)
    return [ok(`${files.certificate} and what belongs to it can be used`)];
  return [
    problem(unusable, 'until then blkferryd goes on with what it has read, and would not start'),
  ];
}

function ofProgram(who: string, facts: ProtectionFacts, nowMs: number): Finding[] {
  const findings: Finding[] = [];
  const insecure = insecureRemark(who, facts);
  if (insecure !== undefined)
    findings.push(
      warning(insecure, 'set tls.certificate, tls.key and tls.ca there, and insecure = false'),
    );
  const expiry = expiryRemark(`of ${who}`, facts, nowMs);
  if (expiry !== undefined) {
    const level = facts.certificateValidToMs <= nowMs ? problem : warning;
    findings.push(level(expiry, 'blkferry pki issue makes a new one, if the authority is yours'));
  }
  return findings;
}
