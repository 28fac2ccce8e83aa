/** What the doctor says: one line for each finding, what to do below it, and the sum at the end. */
import { printable } from '../table-output.js';
import type { Finding, Level } from './finding.js';

export interface NamedFinding extends Finding {
  /** Of the check. */
  readonly name: string;
}

/** Width of the first column: the longest level and a gap. */
const LEVEL_COLUMNS = 9;

/** Narrower than this the terminal wraps for itself. */
const WRAP_COLUMNS_MIN = 40;

/** @param columnsMax width of the terminal; undefined for no limit */
export function renderFindings(
  findings: readonly NamedFinding[],
  columnsMax: number | undefined,
): string {
  const lines = findings.flatMap(({ level, name, sentence, fix }) => [
    ...hanging(level, `${name}: ${sentence}`, columnsMax),
    ...(fix === '' ? [] : hanging('', `→ ${fix}`, columnsMax)),
  ]);
  return `${lines.join('\n')}\n\n${verdict(findings)}\n`;
}

export function countOf(findings: readonly Finding[], level: Level): number {
  return findings.filter((finding) => finding.level === level).length;
}

function verdict(findings: readonly Finding[]): string {
  const counts = [
    [countOf(findings, 'problem'), 'problem'],
    [countOf(findings, 'warning'), 'warning'],
  ] as const;
  const words = counts
    .filter(([count]) => count > 0)
    .map(([count, noun]) => `${count} ${noun}${count === 1 ? '' : 's'}`);
  return words.length === 0 ? 'all is well' : words.join(', ');
}

/** The text beside the first word, wrapped between words; a word too long for a line stays whole. */
function hanging(first: string, text: string, columnsMax: number | undefined): string[] {
  const widthMax =
    columnsMax === undefined || columnsMax < WRAP_COLUMNS_MIN
      ? Number.MAX_SAFE_INTEGER
      : columnsMax - LEVEL_COLUMNS;
  const lines: string[] = [];
  let line = '';
  for (const word of printable(text).split(' ')) {
    if (line !== '' && line.length + 1 + word.length > widthMax) {
      lines.push(line);
      line = '';
    }
    line += line === '' ? word : ` ${word}`;
  }
  lines.push(line);
  return lines.map((one, index) => `${(index === 0 ? first : '').padEnd(LEVEL_COLUMNS)}${one}`);
}
