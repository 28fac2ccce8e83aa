/**
 * Puts a program's settings together: defaults, then the file, then the environment, then the flags,
 * each overriding the one before. All problems are reported at once, each with the key, where it was
 * written, and the allowed form.
 */
import { readFileSync } from 'node:fs';
import { TomlError, parse } from 'smol-toml';
import { nearNames, nearNamesHint } from '../runtime/near-names.js';
import { ConfigError } from './config-error.js';
import type { Setting, Settings, Values } from './setting.js';

export interface ConfigSources {
  /** A file that must exist; undefined reads none. */
  readonly file: string | undefined;
  /** Variables named BLKFERRY_ and the key in capitals, with _ for every dot. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** By key. */
  readonly flags: Readonly<Record<string, string | boolean | undefined>>;
}

const VARIABLE_PREFIX = 'BLKFERRY_';

/** A rule between settings, looked at only if each of them can be used by itself. */
export interface Rule<Config> {
  readonly keys: readonly (keyof Config & string)[];
  /** @returns what is wrong, as a sentence that names the settings, or undefined */
  readonly problem: (config: Config) => string | undefined;
}

interface Given {
  readonly value: unknown;
  readonly where: string;
}

/** @throws ConfigError with every problem: of the file, of single settings, and between them */
export function readConfig<Declared extends Settings>(
  settings: Declared,
  sources: ConfigSources,
  rules: readonly Rule<Values<Declared>>[],
): Values<Declared> {
  const problems: string[] = [];
  const given = gather(settings, sources, problems);
  const values: Record<string, unknown> = {};
  const unusable = new Set<string>();
  for (const [key, setting] of Object.entries(settings)) {
    const problem = readValue(setting, given.get(key), (value) => {
      values[key] = value;
    });
    if (problem === undefined) continue;
    problems.push(`${key} ${problem}`);
    unusable.add(key);
  }
  const config = values as Values<Declared>;
  for (const { keys, problem } of rules) {
    const sentence = keys.some((key) => unusable.has(key)) ? undefined : problem(config);
    if (sentence !== undefined) problems.push(sentence);
  }
  if (problems.length > 0) throw new ConfigError(problems);
  return config;
}

/** Every setting that was given, from where it counts. */
function gather(
  settings: Settings,
  sources: ConfigSources,
  problems: string[],
): ReadonlyMap<string, Given> {
  const given = new Map<string, Given>();
  if (sources.file !== undefined) readFile(sources.file, settings, given, problems);
  for (const key of Object.keys(settings)) {
    const variable = variableOf(key);
    const text = sources.environment[variable];
    if (text !== undefined)
      given.set(key, { value: text, where: `environment variable ${variable}` });
    const fromFlag = sources.flags[key];
    if (fromFlag !== undefined) given.set(key, { value: fromFlag, where: 'the command line' });
  }
  return given;
}

/** The environment variable of a setting. */
export function variableOf(key: string): string {
  return `${VARIABLE_PREFIX}${key.toUpperCase().replaceAll('.', '_')}`;
}

/**
 * Variables that look like settings and are none, as sentences. They are not refused, as in a file:
 * the environment is shared with programs that may have variables of their own.
 *
 * @param known of all programs: they are often started from the same environment
 */
export function unknownVariables(
  environment: ConfigSources['environment'],
  known: readonly Settings[],
): string[] {
  const variables = known.flatMap((settings) => Object.keys(settings).map(variableOf));
  const unknown = Object.keys(environment).filter(
    (name) => name.startsWith(VARIABLE_PREFIX) && !variables.includes(name),
  );
  // The prefix that all have would make every name look near.
  const names = variables.map((name) => name.slice(VARIABLE_PREFIX.length));
  return unknown.map((name) => {
    const near = nearNames(name.slice(VARIABLE_PREFIX.length), names);
    const hint = near.map((one) => VARIABLE_PREFIX + one).join(' or ');
    return `the environment variable ${name} is no setting${hint === '' ? '' : `; did you mean ${hint}?`}`;
  });
}

/** @returns what is wrong with the value, or undefined after it was taken */
function readValue(
  setting: Setting<unknown>,
  given: Given | undefined,
  take: (value: unknown) => void,
): string | undefined {
  if (given === undefined) {
    take(setting.fallback);
    return undefined;
  }
  const result = setting.schema.safeParse(given.value);
  if (result.success) {
    take(result.data);
    return undefined;
  }
  return `(${given.where}): ${result.error.issues.map(({ message }) => message).join('; ')}`;
}

function readFile(
  file: string,
  settings: Settings,
  given: Map<string, Given>,
  problems: string[],
): void {
  let tables: Record<string, unknown>;
  try {
    tables = parse(readFileSync(file, 'utf8'));
  } catch (error) {
    problems.push(`${file} cannot be read: ${whyUnreadable(error)}`);
    return;
  }
  flatten(tables, '', (key, value) => {
    if (Object.hasOwn(settings, key)) {
      given.set(key, { value, where: file });
      return;
    }
    problems.push(
      `${key} (${file}): there is no such setting${nearNamesHint(key, Object.keys(settings))}`,
    );
  });
}

function whyUnreadable(error: unknown): string {
  const sentence = (error as Error).message.split('\n')[0] ?? '';
  return error instanceof TomlError
    ? `line ${error.line}, column ${error.column}: ${sentence}`
    : sentence;
}

/** Tables become dotted keys. */
function flatten(
  table: Record<string, unknown>,
  prefix: string,
  take: (key: string, value: unknown) => void,
): void {
  for (const [name, value] of Object.entries(table)) {
    const isTable =
      typeof value === 'object' &&
      value !== null &&
      !Array.isArray(value) &&
      !(value instanceof Date);
    if (isTable) flatten(value as Record<string, unknown>, `${prefix}${name}.`, take);
    else take(prefix + name, value);
  }
}
