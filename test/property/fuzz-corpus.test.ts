/**
 * The inputs that the fuzzer kept (test/fuzz/corpus): each reached something of its own, or broke a rule once.
 * They are executed as they are; the search for further ones is `npm run fuzz`.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { readCorpus } from '#test/fuzz/corpus.js';
import { execute } from '#test/fuzz/execution.js';
import { FUZZ_TARGETS } from '#test/fuzz/targets/target-table.js';

describe('the inputs kept by the fuzzer', () => {
  for (const target of FUZZ_TARGETS) {
    it(`break no rule of ${target.name}`, () => {
      const inputs = [...target.seeds(), ...readCorpus(target.name)];
      assert.ok(inputs.length > 0);
      try {
        for (const input of inputs)
          assert.equal(execute(target, input), undefined, input.toString('hex'));
      } finally {
        target.close?.();
      }
    });
  }
});
