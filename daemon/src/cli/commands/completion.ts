/** `blkferry completion SHELL`: the script that completes this command in a shell. */
import { Argument, Command } from 'commander';
import type { CommandContext } from '../command-context.js';
import { COMPLETION_SHELLS, completionScript, type CompletionShell } from '../completion-script.js';
import { completionTree } from '../completion-tree.js';

export function completionCommand(context: CommandContext): Command {
  return new Command('completion')
    .description('print the completion script of a shell')
    .addArgument(new Argument('<shell>', 'the shell').choices(COMPLETION_SHELLS))
    .action((shell: CompletionShell, _options: unknown, self: Command) => {
      let program = self;
      while (program.parent !== null) program = program.parent;
      context.surroundings.stdout.write(completionScript(shell, completionTree(program)));
    });
}
