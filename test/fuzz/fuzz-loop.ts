/**
 * The search: takes an input that is worth it, changes it, executes it, and keeps what reached something new.
 * Repeatable from its seed, as long as the code under test is.
 */
import type { SeededRandom } from '#test/simulation/seeded-random.js';
import { ByteMutator } from './byte-mutator.js';
import type { Coverage } from './coverage.js';
import { execute } from './execution.js';
import type { Finding, FuzzTarget } from './fuzz-target.js';

/** Inputs that were kept within this many of the last are tried half of the time: they opened something. */
const RECENT = 16;
/** What never reached anything new is forgotten; this many are more than any of our formats needs. */
const INPUTS_MAX = 4096;
/** Executions between two looks at the clock. */
const ROUND_EXECUTIONS = 64;

export interface FoundInput {
  readonly finding: Finding;
  readonly input: Buffer;
}

export class FuzzLoop {
  readonly inputs: Buffer[] = [];
  executions = 0;
  readonly #mutator: ByteMutator;
  readonly #words: readonly Buffer[];

  /** @param beforeEach is given every input before it is executed: it may be the last */
  constructor(
    readonly target: FuzzTarget,
    readonly coverage: Coverage,
    readonly random: SeededRandom,
    readonly beforeEach: (input: Buffer) => void = () => undefined,
  ) {
    this.#mutator = new ByteMutator(random, target.bytesMax);
    this.#words = (target.words ?? []).map((word) => Buffer.from(word));
  }

  /** Executes the inputs to begin with; keeps those that reach something. */
  begin(inputs: readonly Buffer[]): FoundInput | undefined {
    for (const input of inputs) {
      const found = this.#try(input);
      if (found !== undefined) return found;
    }
    // Something to change there must be, even if all of it is alike.
    if (this.inputs.length === 0) this.inputs.push(Buffer.alloc(0));
    return undefined;
  }

  /** Some executions. @returns the first input that breaks a rule */
  round(): FoundInput | undefined {
    for (let count = 0; count < ROUND_EXECUTIONS; count += 1) {
      const found = this.#try(this.#next());
      if (found !== undefined) return found;
    }
    return undefined;
  }

  #try(input: Buffer): FoundInput | undefined {
    this.executions += 1;
    this.beforeEach(input);
    this.coverage.begin();
    const finding = execute(this.target, input);
    if (finding !== undefined) return { finding, input };
    if (this.coverage.isNew() && this.inputs.length < INPUTS_MAX)
      this.inputs.push(Buffer.from(input));
    return undefined;
  }

  #next(): Buffer {
    const { random, inputs, target } = this;
    const first = random.chance(0.5) ? Math.max(0, inputs.length - RECENT) : 0;
    const input = inputs[random.between(first, inputs.length - 1)] ?? Buffer.alloc(0);
    const other = random.pick(inputs);
    const { operands } = this.coverage;
    const changed = this.#mutator.mutate(input, { words: this.#words, operands, other });
    const { repair } = target;
    return repair === undefined || random.chance(0.3) ? changed : repair(changed);
  }
}
