/** Targets with planted bugs, by which the process that fuzzes is itself tested. */
import type { FuzzTarget } from '#test/fuzz/fuzz-target.js';

const LONG_BYTES = 8;

function hang(input: Buffer): void {
  while (input.length > LONG_BYTES);
}

function die(input: Buffer): void {
  if (input.length > LONG_BYTES) process.abort();
}

function refuse(input: Buffer): void {
  if (!input.includes('an')) throw new RangeError('planted');
}

function target(name: string, execute: FuzzTarget['execute']): FuzzTarget {
  return { name, bytesMax: 64, seeds: () => [Buffer.from('an input')], execute };
}

export const FUZZ_TARGETS: readonly FuzzTarget[] = [
  target('sound', () => undefined),
  target('hangs', hang),
  target('dies', die),
  target('breaks', refuse),
];
