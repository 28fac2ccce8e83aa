/**
 * What `--json` prints: one document, fields named as in the .proto files in camel case. Absent values
 * are null, so that a field is always there; a write verifier, which exceeds JSON's numbers, is a
 * hexadecimal string.
 */
import type { CommandError } from './exit-codes.js';

export function toJson(value: unknown): string {
  return `${JSON.stringify(value, replaceValue, 2)}\n`;
}

/** The document that goes to stderr when a command with `--json` fails. */
export function errorToJson(error: CommandError): string {
  const { code, exitCode, message } = error;
  return toJson({ error: { code, exitCode, message } });
}

function replaceValue(_key: string, value: unknown): unknown {
  if (value === undefined) return null;
  if (typeof value === 'bigint') return `0x${value.toString(16).padStart(16, '0')}`;
  return value;
}
