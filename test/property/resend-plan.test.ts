/**
 * A resend against a disk that keeps all its states: whatever the log, what the disk has of it, and wherever the
 * resend ends, no block is before its newest answered state when it is sent, and at the end all are there.
 */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import fc from 'fast-check';
import { BLOCK_OPERATION } from '#daemon/block/block-request.js';
import { isFlushPart, planResend } from '#daemon/volume/resend-plan.js';
import type { ReplayRecord } from '#daemon/volume/replay-store.js';

const BLOCKS = 24;

const change = fc.record({
  first: fc.nat(BLOCKS - 1),
  count: fc.integer({ min: 1, max: 12 }),
  isAnswered: fc.boolean(),
});

function toRecord({ first, count }: { first: number; count: number }, index: number): ReplayRecord {
  const lengthBytes = Math.min(count, BLOCKS - first);
  return {
    ...{ sequence: index + 1, operation: BLOCK_OPERATION.write, flags: 0 },
    ...{ offsetBytes: first, lengthBytes },
  };
}

function covers({ offsetBytes, lengthBytes }: ReplayRecord, block: number): boolean {
  return block >= offsetBytes && block < offsetBytes + lengthBytes;
}

it('a resend writes no answered block but in its newest answered state, and leaves none out', () => {
  fc.assert(
    fc.property(fc.array(change, { maxLength: 20 }), (changes) => {
      const records = changes.map(toRecord);
      const isUnanswered = (sequence: number): boolean => !changes[sequence - 1]!.isAnswered;
      const parts = planResend(records, isUnanswered, 0).filter((part) => !isFlushPart(part));
      for (let block = 0; block < BLOCKS; block += 1) {
        const here = records.filter((record) => covers(record, block));
        const newest = here.findLast(({ sequence }) => !isUnanswered(sequence));
        const expected = here
          .map(({ sequence }) => sequence)
          .filter((sequence) => sequence >= (newest?.sequence ?? 0));
        const sent = parts
          .filter(
            ({ offsetBytes, lengthBytes }) =>
              block >= offsetBytes && block < offsetBytes + lengthBytes,
          )
          .map(({ sequence }) => sequence);
        assert.deepEqual(sent, expected);
      }
    }),
    { numRuns: 2000 },
  );
});
