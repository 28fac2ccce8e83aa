/**
 * One execution of a target with the rules that hold for all of them: nothing is thrown but what the target
 * allows, it ends soon, and it allocates no more than its input accounts for.
 */
import { getHeapStatistics } from 'node:v8';
import {
  ALLOCATED_BYTES_MAX,
  ALLOCATED_PER_BYTE_MAX,
  Finding,
  INPUT_TIME_MAX_MS,
  MeasuredFinding,
  type FuzzTarget,
} from './fuzz-target.js';

/** Before slowness or memory counts as a finding it must show this often in a row. */
const TRIES = 3;

/** @returns what is wrong, or undefined */
export function execute(target: FuzzTarget, input: Buffer): Finding | undefined {
  let finding = executeOnce(target, input);
  // Another program may have had the processor, and the heap may have grown for an earlier input.
  for (let retry = 1; finding instanceof MeasuredFinding && retry < TRIES; retry += 1)
    finding = executeOnce(target, input);
  return finding;
}

function executeOnce(target: FuzzTarget, input: Buffer): Finding | undefined {
  const beforeBytes = allocatedBytes();
  const startedMs = performance.now();
  try {
    target.execute(input);
  } catch (error) {
    return toFinding(error);
  }
  const tookMs = performance.now() - startedMs;
  // Too little after a garbage collection; an input like it is then seen another time.
  const grewBytes = allocatedBytes() - beforeBytes;
  const mayBytes = ALLOCATED_BYTES_MAX + input.length * ALLOCATED_PER_BYTE_MAX;
  if (tookMs > INPUT_TIME_MAX_MS)
    return new MeasuredFinding(
      `took ${Math.round(tookMs)} ms, at most ${INPUT_TIME_MAX_MS} are allowed`,
    );
  if (grewBytes > mayBytes)
    return new MeasuredFinding(
      `allocated ${grewBytes} bytes, at most ${mayBytes} for an input of ${input.length} bytes`,
    );
  return undefined;
}

function allocatedBytes(): number {
  const { used_heap_size: heapBytes, external_memory: buffersBytes } = getHeapStatistics();
  return heapBytes + buffersBytes;
}

function toFinding(error: unknown): Finding {
  if (error instanceof Finding) return error;
  const stack = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return new Finding(`threw ${stack}`, { cause: error });
}
