/** The command tree as the completion scripts need it, taken from commander so that it cannot lag behind. */
import type { Argument, Command, Option } from 'commander';

/** What a word may be. Names are asked from the node or daemon at the moment of completion. */
export type WordKind =
  | { readonly kind: 'volumes' | 'exports' | 'files' | 'anything' }
  | { readonly kind: 'choices'; readonly choices: readonly string[] };

export interface CompletionOption {
  /** "--node", and a short form if there is one. */
  readonly flags: readonly string[];
  readonly description: string;
  /** Undefined for a flag without a value. */
  readonly value: WordKind | undefined;
}

export interface CompletionCommand {
  /** Words after the program's name: "volume create"; empty for the program itself. */
  readonly path: string;
  readonly description: string;
  readonly subcommands: readonly CompletionCommand[];
  readonly options: readonly CompletionOption[];
  /** In their order. */
  readonly words: readonly WordKind[];
}

/** Kinds of values by the name that the usage text gives them. */
const KIND_OF_NAME: Readonly<Record<string, WordKind['kind']>> = {
  volume: 'volumes',
  export: 'exports',
  file: 'files',
  path: 'files',
};

export function completionTree(command: Command, path: readonly string[] = []): CompletionCommand {
  const help = command.createHelp();
  return {
    path: path.join(' '),
    description: command.description(),
    subcommands: help
      .visibleCommands(command)
      .map((child) => completionTree(child, [...path, child.name()])),
    options: help.visibleOptions(command).map(toOption),
    words: command.registeredArguments.map(toWordKind),
  };
}

/** All commands of the tree, parents before children. */
export function everyCommand(tree: CompletionCommand): CompletionCommand[] {
  return [tree, ...tree.subcommands.flatMap(everyCommand)];
}

function toOption(option: Option): CompletionOption {
  const flags = [option.short, option.long].filter((flag) => flag !== undefined);
  const takesValue = option.required || option.optional;
  const valueName = /[<[]([\w-]+)/.exec(option.flags)?.[1] ?? '';
  return {
    flags,
    description: option.description,
    value: takesValue ? kindOf(option.argChoices, valueName) : undefined,
  };
}

function toWordKind(argument: Argument): WordKind {
  return kindOf(argument.argChoices, argument.name());
}

function kindOf(choices: readonly string[] | undefined, name: string): WordKind {
  if (choices !== undefined) return { kind: 'choices', choices };
  const kind = KIND_OF_NAME[name] ?? 'anything';
  return kind === 'choices' ? { kind: 'anything' } : { kind };
}
