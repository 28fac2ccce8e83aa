/**
 * The command `blkferry`: the tree of commands, and the way from the words of a command line to an exit
 * code. What a command does is in commands/.
 *
 * Results go to stdout. Errors go to stderr, one sentence, or one JSON document with `--json`.
 */
import { Command, CommanderError } from 'commander';
import { VERSION } from '../runtime/version.js';
import { CommandContext } from './command-context.js';
import { toCommandError } from './command-failure.js';
import { accessCheckCommand } from './commands/access-check.js';
import { attachCommand } from './commands/attach.js';
import { completeNamesCommand } from './commands/complete-names.js';
import { completionCommand } from './commands/completion.js';
import { detachCommand } from './commands/detach.js';
import { doctorCommand } from './commands/doctor.js';
import { exportCommand } from './commands/export.js';
import { failNowCommand } from './commands/fail-now.js';
import { importCommand } from './commands/import.js';
import { listCommand } from './commands/list.js';
import { pkiInitCommand } from './commands/pki-init.js';
import { pkiIssueCommand } from './commands/pki-issue.js';
import { retryNowCommand } from './commands/retry-now.js';
import { selftestCommand } from './commands/selftest.js';
import { showCommand } from './commands/show.js';
import { statusCommand } from './commands/status.js';
import { volumeCreateCommand } from './commands/volume-create.js';
import { volumeDeleteCommand } from './commands/volume-delete.js';
import { volumeListCommand } from './commands/volume-list.js';
import { volumeResizeCommand } from './commands/volume-resize.js';
import { volumeShowCommand } from './commands/volume-show.js';
import { CommandError, EXIT_OK, exitCodesHelp } from './exit-codes.js';
import { errorToJson } from './json-output.js';
import type { Surroundings } from './surroundings.js';
import { printable } from './table-output.js';

const HELP_TAIL = `
Sizes are bytes, or have a unit: 64KiB, 1G, 20T (all powers of 1024).
Environment: BLKFERRY_NODE (--node), BLKFERRY_ADMIN_SOCKET (--admin-socket).
${exitCodesHelp()}`;

/**
 * Runs one command line.
 *
 * @param words what follows the program's name
 * @returns the exit code; nothing is thrown
 */
export async function runCommandLine(
  words: readonly string[],
  surroundings: Surroundings,
): Promise<number> {
  const context = new CommandContext(surroundings);
  try {
    await buildProgram(context).parseAsync(words, { from: 'user' });
    return context.exitCode;
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === EXIT_OK) return EXIT_OK;
    const failure = error instanceof CommanderError ? usageError(error) : toCommandError(error);
    const text = wantsJson(words)
      ? errorToJson(failure)
      : `blkferry: ${failure.message.split('\n').map(printable).join('\n')}\n`;
    surroundings.stderr.write(text);
    return failure.exitCode;
  }
}

export function buildProgram(context: CommandContext): Command {
  const program = new Command('blkferry')
    .description('Volumes on storage nodes, and their attachments to this machine.')
    .version(VERSION, '--version', 'show the version')
    .helpOption('-h, --help', 'show help')
    .addHelpText('after', HELP_TAIL);
  const volume = new Command('volume').description('make, show and delete volumes on a node');
  for (const command of [
    volumeCreateCommand,
    volumeListCommand,
    volumeShowCommand,
    volumeResizeCommand,
    volumeDeleteCommand,
  ]) {
    volume.addCommand(command(context));
  }
  program.addCommand(volume);
  for (const command of [
    attachCommand,
    detachCommand,
    listCommand,
    showCommand,
    statusCommand,
    doctorCommand,
    failNowCommand,
    retryNowCommand,
    selftestCommand,
    importCommand,
    exportCommand,
    completionCommand,
  ]) {
    program.addCommand(command(context));
  }
  const access = new Command('access').description('files that say who may do what');
  access.addCommand(accessCheckCommand(context));
  program.addCommand(access);
  const pki = new Command('pki').description('certificates, for those who have no authority');
  pki.addCommand(pkiInitCommand(context)).addCommand(pkiIssueCommand(context));
  program.addCommand(pki);
  program.addCommand(completeNamesCommand(context), { hidden: true });
  tame(program, context);
  return program;
}

/** Commander neither exits nor prints by itself; help goes to stdout when asked for. */
function tame(command: Command, context: CommandContext): void {
  const { stdout, stderr, stdoutColumns } = context.surroundings;
  command.exitOverride().configureOutput({
    writeOut: (text) => stdout.write(text),
    writeErr: (text) => stderr.write(text),
    // Errors are written by runCommandLine, which knows about --json.
    outputError: () => undefined,
    getOutHelpWidth: () => stdoutColumns ?? 80,
    getErrHelpWidth: () => 80,
  });
  for (const child of command.commands) tame(child, context);
}

/** @param error what commander found wrong; it begins with "error: " and may end with a suggestion */
function usageError(error: CommanderError): CommandError {
  if (error.code === 'commander.help') {
    return new CommandError('usage', 'a command is missing');
  }
  return new CommandError('usage', error.message.replace(/^error: /, ''), { cause: error });
}

/** Also for a command line that commander refuses. */
function wantsJson(words: readonly string[]): boolean {
  const end = words.indexOf('--');
  return (end === -1 ? words : words.slice(0, end)).includes('--json');
}
