/**
 * Puts a program's settings together: defaults, then the file, then the environment, then the flags,
 * each overriding the one before. All problems are reported at once, each with the key, where it was
 * written, and the allowed form.
 */
import { readFileSync } from 'node:fs';
import { TomlError, parse } from 'smol-toml';
import { nearNamesHint } from '../runtime/near-names.js';
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

interface Given {
  readonly value: unknown;
  readonly where: string;
}

/** @throws ConfigError */
export function readConfig<Declared extends Settings>(
  settings: Declared,
  sources: ConfigSources,
): Values<Declared> {
  const problems: string[] = [];
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
  const values: Record<string, unknown> = {};
  for (const [key, setting] of Object.entries(settings)) {
    values[key] = readValue(key, setting, given.get(key), problems);
  }
  if (problems.length > 0) throw new ConfigError(problems);
  return values as Values<Declared>;
}

export function variableOf(key: string): string {
  return `BLKFERRY_${key.toUpperCase().replaceAll('.', '_')}`;
}

function readValue(
  key: string,
  setting: Setting<unknown>,
  given: Given | undefined,
  problems: string[],
): unknown {
  if (given === undefined) return setting.fallback;
  const result = setting.schema.safeParse(given.value);
  if (result.success) return result.data;
  const reason = result.error.issues[0]?.message ?? 'not allowed';
  problems.push(`${key} (${given.where}): ${reason}; allowed: ${setting.form}`);
  return setting.fallback;
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
    const reason =
      error instanceof TomlError ? (error.message.split('\n')[0] ?? '') : (error as Error).message;
    problems.push(`${file} cannot be read: ${reason}`);
    return;
  }
  flatten(tables, '', (key, value) => {
    if (key in settings) {
      given.set(key, { value, where: file });
      return;
    }
    problems.push(
      `${key} (${file}): there is no such setting${nearNamesHint(key, Object.keys(settings))}`,
    );
  });
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
