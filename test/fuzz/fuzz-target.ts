/** What can be fuzzed: bytes in, and the rules that must hold whatever they are. */

export interface FuzzTarget {
  readonly name: string;
  /** Longest input that is tried. */
  readonly bytesMax: number;
  /** Inputs to begin with, as our own encoders or people write them. */
  readonly seeds: () => readonly Buffer[];
  /** Words of the format that chance would take long to find. */
  readonly words?: readonly string[];
  /** Makes checksums fit again, without which nothing but the checksum would be tried. */
  readonly repair?: (input: Buffer) => Buffer;
  /** Executes one input. Whatever it throws is a finding: what may be thrown it catches itself. */
  readonly execute: (input: Buffer) => void;
  /** After the last execution: what the target made is taken away. */
  readonly close?: () => void;
}

/** Most that one execution may allocate: so much for each byte of the input, ... */
export const ALLOCATED_PER_BYTE_MAX = 2048;
/** ... and so much besides; what a parser with its tables makes for a small text is below a MiB. */
export const ALLOCATED_BYTES_MAX = 8 * 1024 * 1024;
/** Longest time for one input in the best of some tries; the machine may be busy. */
export const INPUT_TIME_MAX_MS = 1000;

/** A rule that an input broke. */
export class Finding extends Error {
  override readonly name: string = 'Finding';
}

/** Time or memory, which may be chance. */
export class MeasuredFinding extends Finding {
  override readonly name = 'MeasuredFinding';
}

/** @throws Finding */
export function require(condition: boolean, sentence: string): void {
  if (!condition) throw new Finding(sentence);
}

/**
 * Runs the code under test. @returns its value, or the error if it is one of those that may be thrown
 * @throws everything else
 */
export function outcomeOf<Value, Refusal extends Error>(
  run: () => Value,
  refusal: new (...parameters: never[]) => Refusal,
): Value | Refusal {
  try {
    return run();
  } catch (error) {
    if (error instanceof refusal) return error;
    throw error;
  }
}
