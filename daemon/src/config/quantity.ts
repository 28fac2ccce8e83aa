/**
 * Amounts as people write them: "64KiB", "20G", "30s". Exact: what is not a whole number of bytes or
 * milliseconds is refused, not rounded. Units of 1024, with or without "iB", as qemu and lvm have them.
 */

const BYTE_UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'] as const;
const BYTES = /^(\d+(?:\.\d+)?)\s*(?:([kmgtp])(?:i?b)?|b)?$/i;
export const BYTES_FORM = 'a size such as 4096, 64KiB, 20G or 1.5T';

const DURATION = /^(\d+(?:\.\d+)?)\s*(ms|s|m|min|h)$/;
const MS_PER_UNIT: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  min: 60_000,
  h: 3_600_000,
};
export const DURATION_FORM = 'a time with its unit, such as 500ms, 3s, 2min or 1h';

/** @throws Error with the allowed form */
export function parseBytes(text: string): number {
  const match = BYTES.exec(text.trim());
  const power = match?.[2] === undefined ? 0 : 'kmgtp'.indexOf(match[2].toLowerCase()) + 1;
  const bytes = exactProduct(match?.[1] ?? '', 1024 ** power);
  if (bytes === undefined) throw new Error(`"${text}" is not ${BYTES_FORM}`);
  return bytes;
}

/** Three digits at most, exact values without a fraction: 1 GiB, 1.5 TiB, 812 MiB. */
export function formatBytes(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < BYTE_UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  const digits = value >= 100 || Number.isInteger(value) ? 0 : 1;
  return `${value.toFixed(digits)} ${BYTE_UNITS[unit] ?? 'B'}`;
}

/** @returns milliseconds. @throws Error with the allowed form */
export function parseDuration(text: string): number {
  const match = DURATION.exec(text.trim());
  const ms = exactProduct(match?.[1] ?? '', MS_PER_UNIT[match?.[2] ?? ''] ?? 0);
  if (ms === undefined) throw new Error(`"${text}" is not ${DURATION_FORM}`);
  return ms;
}

/**
 * Decimal digits times a unit, without the rounding of floating point, in which 1.1 hours are not a whole
 * number of milliseconds.
 * @returns undefined if there are no digits, or if the product is not a whole, safe number
 */
function exactProduct(digits: string, unit: number): number | undefined {
  if (digits === '') return undefined;
  const [whole = '', fraction = ''] = digits.split('.');
  const product = BigInt(whole + fraction) * BigInt(unit);
  const scale = 10n ** BigInt(fraction.length);
  const result = Number(product / scale);
  return product % scale === 0n && Number.isSafeInteger(result) ? result : undefined;
}

/** The shortest exact way to write it. */
export function formatDuration(ms: number): string {
  if (ms !== 0 && ms % 3_600_000 === 0) return `${ms / 3_600_000}h`;
  if (ms !== 0 && ms % 60_000 === 0) return `${ms / 60_000}min`;
  if (ms % 1000 === 0) return `${ms / 1000}s`;
  return `${ms}ms`;
}

/** The shortest exact way to write it, as parseBytes reads it. */
export function exactBytes(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && value % 1024 === 0 && unit < BYTE_UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return unit === 0 ? String(value) : `${value}${BYTE_UNITS[unit] ?? ''}`;
}
