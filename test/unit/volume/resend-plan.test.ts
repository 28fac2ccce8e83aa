/** What a new session sends again: each block its newest answered state, once, and nothing before that. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { BLOCK_OPERATION } from '#daemon/block/block-request.js';
import { CoveredRanges } from '#daemon/volume/covered-ranges.js';
import { isFlushPart, planResend } from '#daemon/volume/resend-plan.js';
import type { ReplayRecord } from '#daemon/volume/replay-store.js';

function record(sequence: number, offsetBytes: number, endBytes: number): ReplayRecord {
  const lengthBytes = endBytes - offsetBytes;
  return { sequence, operation: BLOCK_OPERATION.write, flags: 0, offsetBytes, lengthBytes };
}

/** Parts as [sequence, from, to]; a flush as [sequence]. */
function planned(
  records: readonly ReplayRecord[],
  unanswered: readonly number[],
  replayFrom: number,
): number[][] {
  const parts = planResend(records, (sequence) => unanswered.includes(sequence), replayFrom);
  return parts.map((part) => {
    const { sequence, offsetBytes, lengthBytes } = part;
    return isFlushPart(part) ? [sequence] : [sequence, offsetBytes, offsetBytes + lengthBytes];
  });
}

describe('planResend', () => {
  //  1  ######
  //  2    ##
  it('leaves out of a change what a later answered one covers', () => {
    const records = [record(1, 0, 6), record(2, 2, 4)];
    assert.deepEqual(planned(records, [], 0), [
      [1, 0, 2],
      [1, 4, 6],
      [2, 2, 4],
    ]);
  });

  it('leaves a change out that later ones cover together', () => {
    const records = [record(1, 0, 6), record(2, 0, 3), record(3, 3, 6)];
    assert.deepEqual(planned(records, [], 0), [
      [2, 0, 3],
      [3, 3, 6],
    ]);
  });

  it('leaves nothing out for an unanswered change, which may yet fail', () => {
    const records = [record(1, 0, 4), record(2, 0, 4)];
    assert.deepEqual(planned(records, [2], 0), [
      [1, 0, 4],
      [2, 0, 4],
    ]);
  });

  it('ends an unanswered change of which something was left out with a flush, behind everything', () => {
    const records = [record(1, 0, 4), record(2, 2, 8), record(3, 8, 9)];
    assert.deepEqual(planned(records, [1, 3], 0), [[1, 0, 2], [2, 2, 8], [3, 8, 9], [1]]);
  });

  it('does not send answered changes to a node that has them, and does not go back before them', () => {
    const records = [record(1, 0, 4), record(2, 2, 8)];
    assert.deepEqual(planned(records, [1], Infinity), [[1, 0, 2], [1]]);
  });

  it('sends answered changes from where an interrupted resend began', () => {
    const records = [record(1, 0, 4), record(2, 4, 8), record(3, 8, 12)];
    assert.deepEqual(planned(records, [1], 3), [
      [1, 0, 4],
      [3, 8, 12],
    ]);
  });
});

describe('CoveredRanges', () => {
  it('joins what touches and overlaps', () => {
    const covered = new CoveredRanges();
    covered.add({ offsetBytes: 10, endBytes: 20 });
    covered.add({ offsetBytes: 30, endBytes: 40 });
    covered.add({ offsetBytes: 20, endBytes: 30 });
    assert.deepEqual(covered.gapsIn({ offsetBytes: 0, endBytes: 50 }), [
      { offsetBytes: 0, endBytes: 10 },
      { offsetBytes: 40, endBytes: 50 },
    ]);
  });
});
