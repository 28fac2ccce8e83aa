/**
 * A file of rules (TOML, `[[rule]]` again and again): read, checked against a schema, refused as a whole with
 * a sentence for everything that is wrong. What the rules mean is access-rules.ts and role-rules.ts.
 */
import { readFileSync, statSync } from 'node:fs';
import { TomlError, parse } from 'smol-toml';
import * as z from 'zod';
import { patternProblem } from './name-pattern.js';

/** Every call of a client looks through the rules; a site has tens of them. */
export const RULES_MAX = 4096;
/** Patterns in one list of one rule. */
export const PATTERNS_MAX = 1024;
/** Before anything is read: what is larger is no file of rules. */
export const RULE_FILE_BYTES_MAX = 4 * 1024 * 1024;

/** A file of rules that cannot be used; the message names the file and says everything that is wrong. */
export class RuleFileError extends Error {
  override readonly name = 'RuleFileError';

  constructor(
    readonly file: string,
    readonly problems: readonly string[],
  ) {
    super(`${file}: ${problems.join('; ')}`);
  }
}

export const PATTERNS = z
  .array(
    z.string().superRefine((pattern, context) => {
      const problem = patternProblem(pattern);
      if (problem !== undefined) context.addIssue({ code: 'custom', message: problem });
    }),
  )
  .min(1, 'the list is empty: the rule would fit nobody; write "*" for everything')
  .max(PATTERNS_MAX);

/** What people call the rule; it stands in logs. */
export const RULE_NAME = z.string().min(1).max(100).optional();

/**
 * Reads a file of rules.
 *
 * A file without a rule is refused: with none, nobody could do anything, and it is what an editor or a full
 * disk leaves behind. So is a file that every user of the machine may change: it would give rights to all.
 *
 * @throws RuleFileError
 */
export function readRuleFile<Rule>(file: string, schema: z.ZodType<Rule>): Rule[] {
  return parseRules(file, readText(file), schema);
}

/** The same for a text. @param file for messages @throws RuleFileError */
export function parseRules<Rule>(file: string, text: string, schema: z.ZodType<Rule>): Rule[] {
  let tables: Record<string, unknown>;
  try {
    tables = parse(text);
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    const sentence = error.message.split('\n')[0] ?? '';
    throw new RuleFileError(file, [`line ${error.line}, column ${error.column}: ${sentence}`]);
  }
  const { rule: rules = [], ...others } = tables;
  const unknown = Object.keys(others);
  if (unknown.length > 0)
    throw new RuleFileError(file, [
      `unknown: ${unknown.join(', ')}; a file of rules has [[rule]] only`,
    ]);
  if (!Array.isArray(rules) || rules.length === 0)
    throw new RuleFileError(file, ['there is no [[rule]]: nobody could do anything']);
  if (rules.length > RULES_MAX)
    throw new RuleFileError(file, [`${rules.length} rules, at most ${RULES_MAX} are possible`]);
  return rulesOf(file, rules, schema);
}

function rulesOf<Rule>(file: string, rules: unknown[], schema: z.ZodType<Rule>): Rule[] {
  const problems: string[] = [];
  const read: Rule[] = [];
  for (const [index, rule] of rules.entries()) {
    const result = schema.safeParse(rule);
    if (result.success) read.push(result.data);
    else
      for (const { path, message } of result.error.issues) {
        const where = path.length === 0 ? '' : `${path.join('.')}: `;
        problems.push(`rule ${index + 1}: ${where}${message}`);
      }
  }
  if (problems.length > 0) throw new RuleFileError(file, problems);
  return read;
}

function readText(file: string): string {
  try {
    const { mode, size } = statSync(file);
    if ((mode & 0o002) !== 0) {
      const remedy = `chmod o-w ${file}`;
      throw new RuleFileError(file, [`every user of this machine may change it; ${remedy}`]);
    }
    if (size > RULE_FILE_BYTES_MAX)
      throw new RuleFileError(file, [`${size} bytes are more than a file of rules can have`]);
    return readFileSync(file, 'utf8');
  } catch (error) {
    if (error instanceof RuleFileError) throw error;
    const { code, message } = error as NodeJS.ErrnoException;
    const reason = code === 'ENOENT' ? 'there is no such file' : message;
    throw new RuleFileError(file, [reason]);
  }
}

/** How a rule is called in logs: by its place, and its name if it has one. @param index from 0 */
export function ruleLabel(index: number, name: string | undefined): string {
  return name === undefined ? `rule ${index + 1}` : `rule ${index + 1} (${name})`;
}
