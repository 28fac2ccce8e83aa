/**
 * One setting, declared in one place: how its value is read, what it is by default, and why. From these
 * declarations come the checks, the commented default file (--print-config) and the messages.
 */
import path from 'node:path';
import { z } from 'zod';
import { addressProblem } from '../rpc/node-address.js';
import {
  BYTES_FORM,
  DURATION_FORM,
  exactBytes,
  formatDuration,
  parseBytes,
  parseDuration,
} from './quantity.js';

export interface Setting<Value> {
  /** Reads what the file (TOML value) or a flag or variable (text) holds. */
  readonly schema: z.ZodType<Value>;
  /** What may be written, for messages and for the default file. */
  readonly form: string;
  readonly fallback: Value;
  /** What it is for and why the default is what it is; one or two sentences. */
  readonly reason: string;
  /** The value as TOML. */
  toToml(value: Value): string;
}

export type Settings = Readonly<Record<string, Setting<unknown>>>;
export type Values<Declared extends Settings> = {
  readonly [Key in keyof Declared]: Declared[Key] extends Setting<infer Value> ? Value : never;
};

/** A schema out of a function that throws a sentence. */
function reading<Value>(read: (text: string) => Value): z.ZodType<Value> {
  return z.union([z.string(), z.number()]).transform((text, context) => {
    try {
      return read(String(text));
    } catch (error) {
      context.addIssue({ code: 'custom', message: (error as Error).message });
      return z.NEVER;
    }
  }) as unknown as z.ZodType<Value>;
}

export function bytes(
  fallback: number,
  limits: { min: number; max: number },
  reason: string,
): Setting<number> {
  const form = `${BYTES_FORM}, from ${exactBytes(limits.min)} to ${exactBytes(limits.max)}`;
  const schema = reading((text) => within(parseBytes(text), limits, form));
  return { schema, form, fallback, reason, toToml: (value) => `"${exactBytes(value)}"` };
}

/** Milliseconds. */
export function duration(
  fallback: number,
  limits: { min: number; max: number },
  reason: string,
): Setting<number> {
  const form = `${DURATION_FORM}, from ${formatDuration(limits.min)} to ${formatDuration(limits.max)}`;
  const schema = reading((text) => within(parseDuration(text), limits, form));
  return { schema, form, fallback, reason, toToml: (value) => `"${formatDuration(value)}"` };
}

/** Milliseconds; "never" is Infinity. */
export function durationOrNever(
  fallback: number,
  limits: { min: number; max: number },
  reason: string,
): Setting<number> {
  const form = `${DURATION_FORM}, from ${formatDuration(limits.min)} to ${formatDuration(limits.max)}, or never`;
  const schema = reading((text) =>
    text === 'never' ? Infinity : within(parseDuration(text), limits, form),
  );
  return {
    schema,
    form,
    fallback,
    reason,
    toToml: (value) => (value === Infinity ? '"never"' : `"${formatDuration(value)}"`),
  };
}

export function integer(
  fallback: number,
  limits: { min: number; max: number },
  reason: string,
): Setting<number> {
  const form = `a whole number from ${limits.min} to ${limits.max}`;
  const schema = reading((text) => {
    const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
    return within(value, limits, form);
  });
  return { schema, form, fallback, reason, toToml: String };
}

export function flag(fallback: boolean, reason: string): Setting<boolean> {
  const schema = z.union(
    [z.boolean(), z.enum(['true', 'false']).transform((text) => text === 'true')],
    { error: 'must be true or false' },
  );
  return {
    schema: schema as unknown as z.ZodType<boolean>,
    form: 'true or false',
    fallback,
    reason,
    toToml: String,
  };
}

export function choice<Choice extends string>(
  fallback: Choice,
  choices: readonly Choice[],
  reason: string,
): Setting<Choice> {
  const form = `one of ${choices.join(', ')}`;
  const schema = reading((text) => {
    const chosen = choices.find((one) => one === text);
    if (chosen === undefined) throw new Error(`"${text}" is not ${form}`);
    return chosen;
  });
  return { schema, form, fallback, reason, toToml: quoted };
}

/** host:port or unix:/path. */
export function address(fallback: string, reason: string): Setting<string> {
  return {
    schema: reading(checkedAddress),
    form: 'host:port or unix:/path',
    fallback,
    reason,
    toToml: quoted,
  };
}

/** Several addresses; in a flag or variable separated by commas. */
export function addressList(
  fallback: readonly string[],
  reason: string,
): Setting<readonly string[]> {
  const schema = z.union([z.array(z.string()), z.string()], {
    error: 'must be a list of addresses',
  });
  return {
    schema: schema.transform((given, context) => {
      const list =
        typeof given === 'string' ? given.split(',').filter((part) => part !== '') : given;
      const problem = list.map(addressProblem).find((one) => one !== undefined);
      if (problem !== undefined) context.addIssue({ code: 'custom', message: problem });
      return list;
    }) as unknown as z.ZodType<readonly string[]>,
    form: 'a list of host:port',
    fallback,
    reason,
    toToml: (value) => `[${value.map(quoted).join(', ')}]`,
  };
}

/** A path; relative ones are taken from the current directory. */
export function filePath(fallback: string, reason: string): Setting<string> {
  const schema = reading((text) => {
    if (text === '') throw new Error('an empty path');
    return path.resolve(text);
  });
  return { schema, form: 'a path', fallback, reason, toToml: quoted };
}

function checkedAddress(text: string): string {
  const problem = addressProblem(text);
  if (problem !== undefined) throw new Error(problem);
  return text;
}

function within(value: number, limits: { min: number; max: number }, form: string): number {
  if (value >= limits.min && value <= limits.max) return value;
  throw new Error(`must be ${form}`);
}

function quoted(text: string): string {
  return JSON.stringify(text);
}
