/**
 * What one execution reached, as the instrumented code (instrumentation.ts) reports it: how often each branch
 * was taken, how near each comparison came to being equal, and what was compared. Global by necessity: the
 * instrumented modules find it under one name.
 */

/** How instrumented modules call it. */
export const COVERAGE_GLOBAL = '__blkferryCoverage';

/** Branches of all instrumented modules together; the product has some thousand. */
const BRANCHES_MAX = 65_536;
/** Operands of comparisons that are remembered, to be put into inputs. */
const OPERANDS_MAX = 256;

/** How often a branch was taken, in classes as AFL has them: a loop of 40 turns is no news after one of 41. */
const CLASS_OF_COUNT = Uint8Array.from({ length: 256 }, (_, count) => {
  if (count <= 3) return [0, 1, 2, 4][count] ?? 0;
  if (count <= 7) return 8;
  if (count <= 15) return 16;
  if (count <= 31) return 32;
  return count <= 127 ? 64 : 128;
});

export class Coverage {
  /** Times that each branch was taken in this execution, modulo 256. */
  readonly counts = new Uint8Array(BRANCHES_MAX);
  readonly #words = new Uint32Array(this.counts.buffer);
  /** Classes seen of each branch, in all executions that were kept. */
  readonly #seen = new Uint8Array(BRANCHES_MAX);
  /** The nearest that each comparison came to being equal. */
  readonly #nearest = new Uint8Array(BRANCHES_MAX);
  readonly operands: (number | string)[] = [];
  #operandAt = 0;
  #wordCount = 0;
  #cameNearer = false;

  /** Called by instrumented modules when they load: their branches have numbers below this. */
  reserve(endBranch: number): void {
    if (endBranch > BRANCHES_MAX) throw new Error(`more than ${BRANCHES_MAX} branches`);
    this.#wordCount = Math.max(this.#wordCount, Math.ceil(endBranch / 4));
  }

  /** Called by instrumented modules for `left === right`. @returns the comparison's value */
  equal(branch: number, left: unknown, right: unknown): boolean {
    if (left === right) return true;
    if (typeof left === 'number' && typeof right === 'number') {
      this.#compared(branch, Math.clz32(left ^ right), left, right);
    } else if (typeof left === 'string' && typeof right === 'string') {
      let same = 0;
      while (same < 200 && same < left.length && left.charCodeAt(same) === right.charCodeAt(same))
        same += 1;
      this.#compared(branch, same, left, right);
    }
    return false;
  }

  /** Before each execution. */
  begin(): void {
    this.counts.fill(0, 0, this.#wordCount * 4);
    this.#cameNearer = false;
  }

  /** After an execution: whether it reached something new. What is new is then known. */
  isNew(): boolean {
    let isNew = this.#cameNearer;
    for (let word = 0; word < this.#wordCount; word += 1) {
      if (this.#words[word] === 0) continue;
      for (let branch = word * 4; branch < word * 4 + 4; branch += 1) {
        const reached = CLASS_OF_COUNT[this.counts[branch] ?? 0] ?? 0;
        const seen = this.#seen[branch] ?? 0;
        if ((reached & ~seen) === 0) continue;
        this.#seen[branch] = seen | reached;
        isNew = true;
      }
    }
    return isNew;
  }

  /** Branches that were taken at all. */
  branchCount(): number {
    let count = 0;
    for (const seen of this.#seen) if (seen !== 0) count += 1;
    return count;
  }

  #compared(branch: number, nearness: number, left: number | string, right: number | string): void {
    if (nearness > (this.#nearest[branch] ?? 0)) {
      this.#nearest[branch] = nearness;
      this.#cameNearer = true;
    }
    this.#remember(left);
    this.#remember(right);
  }

  #remember(operand: number | string): void {
    // Small numbers are found by chance.
    if (typeof operand === 'number' ? Math.abs(operand) < 256 : operand.length > 64) return;
    this.operands[this.#operandAt] = operand;
    this.#operandAt = (this.#operandAt + 1) % OPERANDS_MAX;
  }
}

/** Makes the coverage of this process; to be called before instrumented modules are imported. */
export function installCoverage(): Coverage {
  const coverage = new Coverage();
  Reflect.set(globalThis, COVERAGE_GLOBAL, coverage);
  return coverage;
}
