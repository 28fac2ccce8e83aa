/**
 * Completion scripts for bash, zsh and fish out of the command tree. Commands, options and choices stand
 * in the script; names of volumes and exports are asked from the program (`blkferry complete-names`).
 *
 * bash and zsh share one shape: find the command path among the words typed so far, then look up what
 * that command takes.
 */
import {
  everyCommand,
  type CompletionCommand,
  type CompletionOption,
  type WordKind,
} from './completion-tree.js';

export const COMPLETION_SHELLS = ['bash', 'zsh', 'fish'] as const;
export type CompletionShell = (typeof COMPLETION_SHELLS)[number];

export function completionScript(shell: CompletionShell, tree: CompletionCommand): string {
  switch (shell) {
    case 'bash':
      return bashScript(tree);
    case 'zsh':
      return zshScript(tree);
    case 'fish':
      return fishScript(tree);
  }
}

function bashScript(tree: CompletionCommand): string {
  return `# bash completion of blkferry. Load it with: source <(blkferry completion bash)
${lookupFunctions(tree)}
_blkferry() {
  local current=\${COMP_WORDS[COMP_CWORD]} path='' count=0 index=1 word value
  while ((index < COMP_CWORD)); do
    word=\${COMP_WORDS[index]}
    if [[ $word == -* ]]; then
      value=$(_blkferry_value "$path" "$word")
      [[ -n $value ]] && ((index += 1))
    elif [[ " $(_blkferry_words "$path") " == *" $word "* ]]; then
      path=\${path:+$path }$word
    else
      ((count += 1))
    fi
    ((index += 1))
  done
  if ((index > COMP_CWORD)); then
    _blkferry_offer "$value" "$current"
  elif [[ $current == -* ]]; then
    _blkferry_offer "=$(_blkferry_options "$path")" "$current"
  else
    _blkferry_offer "$(_blkferry_argument "$path" "$count")" "$current"
  fi
}
_blkferry_offer() {
  case $1 in
    files) mapfile -t COMPREPLY < <(compgen -f -- "$2") ;;
    volumes | exports)
      mapfile -t COMPREPLY < <(compgen -W "$(blkferry complete-names "$1" 2>/dev/null)" -- "$2")
      ;;
    '='*) mapfile -t COMPREPLY < <(compgen -W "\${1#=}" -- "$2") ;;
    *) COMPREPLY=() ;;
  esac
}
complete -o filenames -F _blkferry blkferry
`;
}

function zshScript(tree: CompletionCommand): string {
  return `#compdef blkferry
# zsh completion of blkferry. Load it with: source <(blkferry completion zsh)
${lookupFunctions(tree)}
_blkferry() {
  local current=\${words[CURRENT]} route='' count=0 index=2 word value=''
  while ((index < CURRENT)); do
    word=\${words[index]}
    if [[ $word == -* ]]; then
      value=$(_blkferry_value "$route" "$word")
      [[ -n $value ]] && ((index += 1))
    elif [[ " $(_blkferry_words "$route") " == *" $word "* ]]; then
      route=\${route:+$route }$word
    else
      ((count += 1))
    fi
    ((index += 1))
  done
  if ((index > CURRENT)); then
    _blkferry_offer "$value"
  elif [[ $current == -* ]]; then
    _blkferry_offer "=$(_blkferry_options "$route")"
  else
    _blkferry_offer "$(_blkferry_argument "$route" "$count")"
  fi
}
_blkferry_offer() {
  case $1 in
    files) _files ;;
    volumes | exports) compadd -- \${(f)"$(blkferry complete-names "$1" 2>/dev/null)"} ;;
    '='*) compadd -- \${=1#?} ;;
  esac
}
compdef _blkferry blkferry
`;
}

/** Four look-ups by command path, in what bash and zsh have in common. */
function lookupFunctions(tree: CompletionCommand): string {
  const commands = everyCommand(tree);
  const words = commands
    .filter((command) => command.subcommands.length > 0)
    .map((command) => line(command.path, subcommandNames(command)));
  const options = commands.map((command) =>
    line(command.path, command.options.flatMap((option) => option.flags).join(' ')),
  );
  const values = commands.flatMap((command) =>
    command.options.flatMap((option) => valueLines(command.path, option)),
  );
  const positions = commands.flatMap((command) => argumentLines(command));
  return [
    shellFunction('_blkferry_words', '"$1"', words),
    shellFunction('_blkferry_options', '"$1"', options),
    shellFunction('_blkferry_value', '"$1:$2"', values),
    shellFunction('_blkferry_argument', '"$1:$2"', positions),
  ].join('\n');
}

function shellFunction(name: string, subject: string, lines: readonly string[]): string {
  return `${name}() {\n  case ${subject} in\n${lines.join('\n')}\n  esac\n}`;
}

function line(pattern: string, answer: string): string {
  return `    '${pattern}') echo '${answer}' ;;`;
}

function valueLines(path: string, option: CompletionOption): string[] {
  const { value } = option;
  if (value === undefined) return [];
  return option.flags.map((flag) => line(`${path}:${flag}`, inScript(value)));
}

function argumentLines(command: CompletionCommand): string[] {
  if (command.subcommands.length > 0) {
    return [line(`${command.path}:0`, `=${subcommandNames(command)}`)];
  }
  return command.words.map((word, index) => line(`${command.path}:${index}`, inScript(word)));
}

/** A list of choices begins with "=", anything else is the name of its kind. */
function inScript(word: WordKind): string {
  return word.kind === 'choices' ? `=${word.choices.join(' ')}` : word.kind;
}

function subcommandNames(command: CompletionCommand): string {
  return command.subcommands.map((child) => child.path.split(' ').at(-1) ?? '').join(' ');
}

function fishScript(tree: CompletionCommand): string {
  const commands = everyCommand(tree);
  const options = commands.flatMap((command) => command.options);
  const withValue = options.filter((option) => option.value !== undefined);
  const flagsWithValue = new Set(withValue.flatMap((option) => option.flags));
  const lines = [
    '# fish completion of blkferry. Load it with: blkferry completion fish | source',
    '# True after the command path $argv[1], with $argv[2] words after it if that is given.',
    'function __blkferry_at',
    '  set -l words',
    '  set -l skip no',
    '  for word in (commandline -opc)[2..]',
    '    if test $skip = yes',
    '      set skip no',
    `    else if contains -- "$word" ${[...flagsWithValue].join(' ')}`,
    '      set skip yes',
    '    else if not string match -q -- \'-*\' "$word"',
    '      set -a words "$word"',
    '    end',
    '  end',
    '  set -l path',
    '  test "$argv[1]" = ""; or set path (string split " " -- $argv[1])',
    '  test (count $words) -ge (count $path); or return 1',
    '  for index in (seq (count $path))',
    '    test "$words[$index]" = "$path[$index]"; or return 1',
    '  end',
    '  test (count $argv) -lt 2; or test (count $words) -eq (math (count $path) + $argv[2])',
    'end',
    'complete -c blkferry -f',
  ];
  for (const command of commands) lines.push(...fishLines(command));
  return `${lines.join('\n')}\n`;
}

function fishLines(command: CompletionCommand): string[] {
  const at = (position?: number): string =>
    `-n '__blkferry_at "${command.path}"${position === undefined ? '' : ` ${position}`}'`;
  const lines = command.subcommands.map((child) => {
    const name = child.path.split(' ').at(-1) ?? '';
    return `complete -c blkferry ${at(0)} -a ${name} -d '${fishQuoted(child.description)}'`;
  });
  for (const option of command.options) {
    const flags = option.flags.map((flag) =>
      flag.startsWith('--') ? `-l ${flag.slice(2)}` : `-s ${flag.slice(1)}`,
    );
    const value = option.value === undefined ? '' : ` ${fishWords(option.value)}`;
    const description = fishQuoted(option.description);
    lines.push(`complete -c blkferry ${at()} ${flags.join(' ')}${value} -d '${description}'`);
  }
  if (command.subcommands.length > 0) return lines;
  command.words.forEach((word, index) => {
    if (word.kind !== 'anything')
      lines.push(`complete -c blkferry ${at(index)} ${fishWords(word)}`);
  });
  return lines;
}

function fishWords(word: WordKind): string {
  switch (word.kind) {
    case 'files':
      return '-r -F';
    case 'choices':
      return `-x -a '${word.choices.join(' ')}'`;
    case 'volumes':
    case 'exports':
      return `-x -a '(blkferry complete-names ${word.kind} 2>/dev/null)'`;
    case 'anything':
      return '-x';
  }
}

function fishQuoted(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll("'", "\\'");
}
