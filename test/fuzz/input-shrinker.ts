/** Makes an input that breaks a rule shorter and plainer as long as it breaks one. */
import { execute } from './execution.js';
import type { FuzzTarget } from './fuzz-target.js';

/** Executions that this is worth; an input of 64 KiB needs a few thousand. */
const EXECUTIONS_MAX = 20_000;

/** @param input breaks a rule, and so does what is returned */
export function shrunkInput(target: FuzzTarget, input: Buffer): Buffer {
  let best = input;
  let executions = 0;
  const isBroken = (candidate: Buffer): boolean => {
    executions += 1;
    return executions <= EXECUTIONS_MAX && execute(target, candidate) !== undefined;
  };
  for (let pieceBytes = best.length; pieceBytes >= 1; pieceBytes = Math.floor(pieceBytes / 2)) {
    for (let at = 0; at < best.length;) {
      const candidate = Buffer.concat([best.subarray(0, at), best.subarray(at + pieceBytes)]);
      if (isBroken(candidate)) best = candidate;
      else at += pieceBytes;
    }
  }
  for (let at = 0; at < best.length; at += 1) {
    if (best[at] === 0) continue;
    const candidate = Buffer.from(best);
    candidate[at] = 0;
    if (isBroken(candidate)) best = candidate;
  }
  return best;
}
