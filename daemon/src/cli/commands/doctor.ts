/**
 * `blkferry doctor`: looks at everything that has to be right for guests to use volumes here, and says in
 * plain words what is not and what to do. Changes nothing. Ends with 1 when there is a problem; warnings
 * and notes are told only.
 */
import type { Command } from 'commander';
import { DEFAULT_DAEMON_CONFIG } from '../../config/default-paths.js';
import type { CommandContext } from '../command-context.js';
import { addDaemonOptions, newCommand, type OutputOptions } from '../command-options.js';
import { DAEMON_CHECKS } from '../doctor/daemon-checks.js';
import { countOf, renderFindings, type NamedFinding } from '../doctor/doctor-report.js';
import { examine, type Examination, type ExaminationOptions } from '../doctor/examination.js';
import type { Check } from '../doctor/finding.js';
import { KERNEL_CHECKS } from '../doctor/kernel-checks.js';
import { NODE_CHECKS } from '../doctor/node-checks.js';
import { PROTECTION_CHECKS } from '../doctor/protection-checks.js';
import { SERVICE_CHECKS } from '../doctor/service-checks.js';
import { XEN_CHECKS } from '../doctor/xen-checks.js';
import { EXIT_CODES, EXIT_OK } from '../exit-codes.js';
import { addProtectionOptions } from '../protection-options.js';

type DoctorOptions = ExaminationOptions & OutputOptions;

/** From the machine to the guests: what comes first may explain what follows. */
const CHECKS: readonly Check[] = [
  ...KERNEL_CHECKS,
  ...SERVICE_CHECKS,
  ...DAEMON_CHECKS,
  ...NODE_CHECKS,
  ...PROTECTION_CHECKS,
  ...XEN_CHECKS,
];

export function doctorCommand(context: CommandContext): Command {
  const command = newCommand('doctor', 'look for what is wrong on this machine, and say what to do')
    .option('--config <file>', "the daemon's configuration file", DEFAULT_DAEMON_CONFIG)
    .addHelpText('after', '\nEnds with 1 if there is a problem; warnings and notes do not count.');
  return addDaemonOptions(addProtectionOptions(command)).action((options: DoctorOptions) =>
    runDoctor(context, options),
  );
}

async function runDoctor(context: CommandContext, options: DoctorOptions): Promise<void> {
  const examination = await examine(context, options);
  const findings = await runChecks(examination);
  const problems = countOf(findings, 'problem');
  context.exitCode = problems === 0 ? EXIT_OK : EXIT_CODES.failed;
  const document = { problems, warnings: countOf(findings, 'warning'), findings };
  context.print(options, document, () => renderFindings(findings, context.columnsMax));
}

async function runChecks(examination: Examination): Promise<NamedFinding[]> {
  const findings: NamedFinding[] = [];
  for (const { name, run } of CHECKS) {
    for (const finding of await run(examination)) findings.push({ name, ...finding });
  }
  return findings;
}
