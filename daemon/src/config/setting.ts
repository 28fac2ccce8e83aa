/**
 * One setting, declared in one place: how its value is read, what it is by default, and why. From these
 * declarations come the checks, the commented default file (--print-config) and the messages.
 */
import path from 'node:path';
import * as z from 'zod';
import { addressProblem, nodeAddresses, nodeProblem } from '../rpc/node-address.js';
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

/**
 * A schema out of a function that reads text.
 * @param read returns undefined, or throws, when the text is not of the form
 */
function reading<Value>(form: string, read: (text: string) => Value | undefined): z.ZodType<Value> {
  const text = z.union([z.string(), z.number()], {
    error: (issue) => notOfForm(issue.input, form),
  });
  return text.transform((given, context) => {
    const value = attempt(() => read(String(given)));
    if (value !== undefined) return value;
    context.addIssue({ code: 'custom', message: notOfForm(given, form) });
    return z.NEVER;
  });
}

function attempt<Value>(read: () => Value | undefined): Value | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}

/** The sentence about a value that cannot be used, which ends in what can be. */
function notOfForm(given: unknown, form: string): string {
  return `${JSON.stringify(given) ?? String(given)} is not ${form}`;
}

export function bytes(
  fallback: number,
  limits: { min: number; max: number },
  reason: string,
): Setting<number> {
  const form = `${BYTES_FORM}, from ${exactBytes(limits.min)} to ${exactBytes(limits.max)}`;
  const schema = reading(form, (text) => within(parseBytes(text), limits));
  return { schema, form, fallback, reason, toToml: (value) => `"${exactBytes(value)}"` };
}

/** Milliseconds. */
export function duration(
  fallback: number,
  limits: { min: number; max: number },
  reason: string,
): Setting<number> {
  const form = `${DURATION_FORM}, from ${formatDuration(limits.min)} to ${formatDuration(limits.max)}`;
  const schema = reading(form, (text) => within(parseDuration(text), limits));
  return { schema, form, fallback, reason, toToml: (value) => `"${formatDuration(value)}"` };
}

/** Milliseconds; "never" is Infinity. */
export function durationOrNever(
  fallback: number,
  limits: { min: number; max: number },
  reason: string,
): Setting<number> {
  const form = `${DURATION_FORM}, from ${formatDuration(limits.min)} to ${formatDuration(limits.max)}, or never`;
  const schema = reading(form, (text) =>
    text === 'never' ? Infinity : within(parseDuration(text), limits),
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
  const schema = reading(form, (text) =>
    within(/^\d+$/.test(text) ? Number(text) : Number.NaN, limits),
  );
  return { schema, form, fallback, reason, toToml: String };
}

export function flag(fallback: boolean, reason: string): Setting<boolean> {
  const form = 'true or false';
  const schema = z.union(
    [z.boolean(), z.enum(['true', 'false']).transform((text) => text === 'true')],
    { error: (issue) => notOfForm(issue.input, form) },
  );
  return {
    schema,
    form,
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
  const schema = reading(form, (text) => choices.find((one) => one === text));
  return { schema, form, fallback, reason, toToml: quoted };
}

/** host:port or unix:/path. */
export function address(fallback: string, reason: string): Setting<string> {
  const form = 'host:port or unix:/path';
  const text = z.string({ error: (issue) => notOfForm(issue.input, form) });
  const schema = text.superRefine((given, context) => {
    const problem = addressProblem(given);
    if (problem !== undefined) context.addIssue({ code: 'custom', message: problem });
  });
  return { schema, form, fallback, reason, toToml: quoted };
}

/** One address of a node or several, separated by commas. */
export function nodeAddress(fallback: string, reason: string): Setting<string> {
  const form = 'host:port or unix:/path, or several of one node with commas between';
  const text = z.string({ error: (issue) => notOfForm(issue.input, form) });
  const schema = text.transform((given, context) => {
    const problem = nodeProblem(given);
    if (problem !== undefined) context.addIssue({ code: 'custom', message: problem });
    return nodeAddresses(given).join(',');
  }) as unknown as z.ZodType<string>;
  return { schema, form, fallback, reason, toToml: quoted };
}

/** Several addresses of TCP ports; in a flag or variable separated by commas. */
export function portList(fallback: readonly string[], reason: string): Setting<readonly string[]> {
  const form = 'a list of host:port';
  const list = z.union([z.array(z.string()), z.string()], {
    error: (issue) => notOfForm(issue.input, form),
  });
  const schema = list.transform((given, context) => {
    const ports =
      typeof given === 'string' ? given.split(',').filter((part) => part !== '') : given;
    for (const port of ports) {
      if (addressProblem(port) === undefined && !port.startsWith('unix:')) continue;
      context.addIssue({ code: 'custom', message: notOfForm(port, 'host:port') });
    }
    return ports;
  }) as unknown as z.ZodType<readonly string[]>;
  return {
    schema,
    form,
    fallback,
    reason,
    toToml: (value) => `[${value.map(quoted).join(', ')}]`,
  };
}

/** A path; relative ones are taken from the current directory. */
export function filePath(fallback: string, reason: string): Setting<string> {
  const form = 'a path';
  const schema = reading(form, (text) => (text === '' ? undefined : path.resolve(text)));
  return { schema, form, fallback, reason, toToml: quoted };
}

/** A path, or "" for none. */
export function optionalFilePath(reason: string): Setting<string> {
  const form = 'a path, or "" for none';
  const schema = reading(form, (text) => (text === '' ? '' : path.resolve(text)));
  return { schema, form, fallback: '', reason, toToml: quoted };
}

/** A name of a user's or system's, or "" for none. */
export function optionalName(reason: string): Setting<string> {
  const form = 'a name of letters, digits, _ and -, or "" for none';
  const schema = reading(form, (text) => (/^[\w-]{0,32}$/.test(text) ? text : undefined));
  return { schema, form, fallback: '', reason, toToml: quoted };
}

/** A path that is short enough for a unix socket. */
export function socketPath(fallback: string, reason: string): Setting<string> {
  const form = 'a path of at most 107 bytes, which is what a unix socket can have';
  const schema = reading(form, (text) => {
    const full = path.resolve(text);
    return text === '' || addressProblem(`unix:${full}`) !== undefined ? undefined : full;
  });
  return { schema, form, fallback, reason, toToml: quoted };
}

/** @returns the value, or undefined if it is beyond a limit or no number at all */
function within(value: number, limits: { min: number; max: number }): number | undefined {
  return value >= limits.min && value <= limits.max ? value : undefined;
}

function quoted(text: string): string {
  return JSON.stringify(text);
}
