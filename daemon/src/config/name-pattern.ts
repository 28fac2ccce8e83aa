/**
 * Patterns of names, as the files of rules have them: every character stands for itself, `*` for any number
 * of any characters. No other signs, so that a name can always be written as a pattern.
 */

/** Names in certificates and of volumes are far shorter; the time of a comparison stays small. */
export const PATTERN_CHARS_MAX = 512;

/** @returns why this cannot be a pattern, or undefined */
export function patternProblem(pattern: string): string | undefined {
  if (pattern === '') return 'a pattern is empty; write "*" for every name';
  if (pattern.length > PATTERN_CHARS_MAX)
    return `a pattern has ${pattern.length} characters, at most ${PATTERN_CHARS_MAX} are possible`;
  // Blanks at an end are never meant, and would never match.
  if (pattern !== pattern.trim()) return `"${pattern}" begins or ends with a blank`;
  return undefined;
}

/**
 * Whether the pattern matches the whole name. At most pattern times name steps, whatever they are: names
 * come from strangers.
 */
export function matches(pattern: string, name: string): boolean {
  let at = 0;
  let inPattern = 0;
  // Where to go on when the characters since the last star turn out not to fit.
  let afterStar = -1;
  let starTakesUntil = 0;
  while (at < name.length) {
    if (pattern[inPattern] === '*') {
      inPattern += 1;
      afterStar = inPattern;
      starTakesUntil = at;
    } else if (pattern[inPattern] === name[at]) {
      inPattern += 1;
      at += 1;
    } else if (afterStar >= 0) {
      starTakesUntil += 1;
      at = starTakesUntil;
      inPattern = afterStar;
    } else return false;
  }
  while (pattern[inPattern] === '*') inPattern += 1;
  return inPattern === pattern.length;
}

/**
 * The same for the name of a client: host names (without a scheme) are compared without regard to upper and
 * lower case, as DNS does; URIs as they are.
 */
export function matchesClient(pattern: string, name: string): boolean {
  return isUri(name) ? matches(pattern, name) : matches(pattern.toLowerCase(), name.toLowerCase());
}

/** The first pattern that fits and the name that it fits, or undefined. */
export function firstMatch(
  patterns: readonly string[],
  clientNames: readonly string[],
): { readonly pattern: string; readonly name: string } | undefined {
  for (const pattern of patterns) {
    for (const name of clientNames) {
      if (matchesClient(pattern, name)) return { pattern, name };
    }
  }
  return undefined;
}

function isUri(name: string): boolean {
  return /^[A-Za-z][A-Za-z0-9+.-]*:/.test(name);
}
