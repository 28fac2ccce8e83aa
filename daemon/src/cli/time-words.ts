/** Spans of time as people say them: two units at most. */

const UNITS: readonly (readonly [string, number])[] = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['min', 60_000],
  ['s', 1000],
];

/** 93_784_000 is "1 d 2 h"; less than a second is "0 s". */
export function spanInWords(spanMs: number): string {
  const first = UNITS.findIndex(([, unitMs]) => spanMs >= unitMs);
  const larger = UNITS[first];
  if (larger === undefined) return '0 s';
  const [name, unitMs] = larger;
  const count = Math.floor(spanMs / unitMs);
  const smaller = UNITS[first + 1];
  const restCount = smaller === undefined ? 0 : Math.floor((spanMs % unitMs) / smaller[1]);
  const words = `${count} ${name}`;
  return smaller === undefined || restCount === 0 ? words : `${words} ${restCount} ${smaller[0]}`;
}

/** A moment as ISO 8601 in UTC, to the second: what logs and lease messages show too. */
export function momentInWords(unixMs: number): string {
  return new Date(unixMs).toISOString().replace(/\.\d+Z$/, 'Z');
}
