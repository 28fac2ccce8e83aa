/**
 * The commented default file, made from the declarations: every setting, its form, its default, its reason; and the
 * limits that cannot be set.
 */
import type { Settings } from './setting.js';

const COMMENT_COLUMNS = 90;

/** A limit that cannot be set. */
export interface FixedLimit {
  /** 'bytes of one read or write' */
  readonly what: string;
  readonly value: string;
  readonly reason: string;
}

export function printConfig(
  program: string,
  settings: Settings,
  limits: readonly FixedLimit[] = [],
): string {
  const lines = [`# Configuration of ${program}. Every setting is shown with its default.`];
  let table = '';
  // TOML wants the keys without a table first.
  const entries = Object.entries(settings).sort(
    ([left], [right]) => Number(left.includes('.')) - Number(right.includes('.')),
  );
  for (const [key, setting] of entries) {
    const dot = key.lastIndexOf('.');
    const inTable = dot < 0 ? '' : key.slice(0, dot);
    if (inTable !== table) lines.push('', `[${inTable}]`);
    table = inTable;
    lines.push('', ...comment(setting.reason), ...comment(`Allowed: ${setting.form}.`));
    lines.push(`# ${key.slice(dot + 1)} = ${setting.toToml(setting.fallback)}`);
  }
  if (limits.length > 0) lines.push('', '# Limits that are fixed:');
  for (const { what, value, reason } of limits)
    lines.push('#', ...comment(`Most ${what}: ${value}. ${reason}`));
  return `${lines.join('\n')}\n`;
}

function comment(text: string): string[] {
  const lines: string[] = [];
  let line = '#';
  for (const word of text.split(' ')) {
    if (line.length + 1 + word.length > COMMENT_COLUMNS) {
      lines.push(line);
      line = '#';
    }
    line += ` ${word}`;
  }
  return [...lines, line];
}
