/**
 * Texts of strangers as they may stand in a log and be remembered: names in certificates and requests can be megabytes
 * long.
 */

/** Longer than every name and sentence that is meant seriously. */
export const TEXT_CHARS_MAX = 1000;

/** The text, or its beginning. */
export function shortText(text: string): string {
  if (text.length <= TEXT_CHARS_MAX) return text;
  // Copied: V8 keeps the whole of a text in memory as long as there is a slice of it.
  return `${Buffer.from(text.slice(0, TEXT_CHARS_MAX)).toString()}...`;
}

/** How many entries of a list a log record shows. */
const ENTRIES_MAX = 16;

/** What a record has besides its sentence, with short texts and lists of them. */
export function shortTexts(fields: object): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(fields).map(([name, value]: [string, unknown]) => [name, shortValue(value)]),
  );
}

function shortValue(value: unknown): unknown {
  if (typeof value === 'string') return shortText(value);
  if (!Array.isArray(value) || value.length === 0) return value;
  const entries: unknown[] = value.slice(0, ENTRIES_MAX).map(shortValue);
  return value.length <= ENTRIES_MAX
    ? entries
    : [...entries, `and ${value.length - ENTRIES_MAX} more`];
}
