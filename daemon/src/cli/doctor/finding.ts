/** What a check of `blkferry doctor` finds, and what a check is. */
import type { Examination } from './examination.js';

/** Only a problem keeps something from working; a warning will, or may; a note is worth knowing. */
export type Level = 'ok' | 'note' | 'warning' | 'problem';

export interface Finding {
  readonly level: Level;
  /** What was found, in words that need no manual. */
  readonly sentence: string;
  /** What to do; empty when there is nothing to be done. */
  readonly fix: string;
}

export interface Check {
  /** What is looked at: the beginning of each line about it. */
  readonly name: string;
  /** Nothing where the check does not apply. Never rejects because of what it looks at. */
  readonly run: (examination: Examination) => readonly Finding[] | Promise<readonly Finding[]>;
}

export function ok(sentence: string): Finding {
  return { level: 'ok', sentence, fix: '' };
}

export function note(sentence: string, fix = ''): Finding {
  return { level: 'note', sentence, fix };
}

export function warning(sentence: string, fix: string): Finding {
  return { level: 'warning', sentence, fix };
}

export function problem(sentence: string, fix: string): Finding {
  return { level: 'problem', sentence, fix };
}
