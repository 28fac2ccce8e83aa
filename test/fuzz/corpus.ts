/**
 * Inputs on disk. corpus/TARGET.txt holds, one a line in hexadecimal, those that reach something of their own
 * and those that broke a rule once (`# why` above them); every run of the fuzzer begins with them, and a
 * property test executes each of them. What breaks a rule now is a file of its own in the folder of findings.
 */
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

/** The sources' folder: what is compiled lies in test/dist/fuzz. */
export const CORPUS_FOLDER = fileURLToPath(new URL('../../fuzz/corpus/', import.meta.url));
/** Larger inputs are not worth their place in the repository. */
const KEPT_BYTES_MAX = 1024;

export function readCorpus(targetName: string, folder = CORPUS_FOLDER): Buffer[] {
  return corpusLines(folder, targetName)
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => Buffer.from(line, 'hex'));
}

/** Adds inputs that each reached something: at most so many, of all lengths. */
export function addToCorpus(
  folder: string,
  targetName: string,
  inputs: readonly Buffer[],
  countMax: number,
): void {
  const lines = corpusLines(folder, targetName);
  const added = inputs
    .filter(({ length }) => length > 0 && length <= KEPT_BYTES_MAX)
    .map((input) => input.toString('hex'))
    .filter((line) => !lines.includes(line))
    .sort((left, right) => left.length - right.length);
  const step = Math.max(1, added.length / countMax);
  const chosen = added.filter(
    (_, index) => Math.floor(index / step) !== Math.floor((index - 1) / step),
  );
  fs.mkdirSync(folder, { recursive: true });
  fs.writeFileSync(corpusFile(folder, targetName), `${[...lines, ...chosen].join('\n')}\n`);
}

/** @returns the file */
export function keepFinding(folder: string, targetName: string, input: Buffer): string {
  const place = path.join(folder, targetName);
  fs.mkdirSync(place, { recursive: true });
  const name = createHash('sha256').update(input).digest('hex').slice(0, 16);
  const file = path.join(place, `${name}.bin`);
  fs.writeFileSync(file, input);
  return file;
}

function corpusLines(folder: string, targetName: string): string[] {
  const file = corpusFile(folder, targetName);
  return fs.existsSync(file) ? fs.readFileSync(file, 'utf8').trimEnd().split('\n') : [];
}

function corpusFile(folder: string, targetName: string): string {
  return path.join(folder, `${targetName}.txt`);
}
