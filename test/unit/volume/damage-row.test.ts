/** When damage on the wire is chance, and when it is a broken cable. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { StorageError } from '#daemon/rpc/storage-error.js';
import { DamageRow } from '#daemon/volume/damage-row.js';

const DAMAGE = new StorageError('damaged', 'frame 7 does not fit');
const AWAY = new StorageError('unavailable', 'no node answers');

function heardAt(row: DamageRow, ...timesMs: readonly number[]): StorageError[] {
  return timesMs.map((nowMs) => row.heard(DAMAGE, 'node1:7600', nowMs));
}

describe('DamageRow', () => {
  it('takes the first four for chance and tells them as they are', () => {
    const row = new DamageRow();
    assert.deepEqual(heardAt(row, 1, 2, 3, 4), [DAMAGE, DAMAGE, DAMAGE, DAMAGE]);
    assert.equal(row.lastsMs(5000), 0);
    assert.equal(row.isSuspected, true);
  });

  it('says from the fifth on that it does not end, where, and what to look at', () => {
    const row = new DamageRow();
    const told = heardAt(row, 100, 600, 1100, 1600, 2100).at(-1);
    assert.equal(told?.kind, 'damaged');
    assert.match(told.message, /node1:7600 arrives damaged, 5 sessions in a row; look at .*cables/);
    assert.match(told.message, /frame 7 does not fit$/);
    assert.equal(row.lastsMs(2200), 2100);
  });

  it('begins anew when a session went on for ten seconds without damage', () => {
    const row = new DamageRow();
    heardAt(row, 0, 1, 2, 3, 4);
    assert.equal(row.heard(DAMAGE, 'node1:7600', 10_005), DAMAGE);
    assert.equal(row.lastsMs(10_005), 0);
    heardAt(row, 10_006, 10_007, 10_008, 10_009);
    assert.equal(row.lastsMs(10_105), 100);
  });

  it('leaves other reasons as they are', () => {
    const row = new DamageRow();
    assert.equal(row.heard(AWAY, 'node1:7600', 0), AWAY);
    assert.equal(row.isSuspected, false);
    heardAt(row, 0, 1, 2, 3, 4);
    assert.equal(row.heard(AWAY, 'node1:7600', 5), AWAY);
    assert.equal(row.lastsMs(5), 5);
    assert.equal(row.heard(AWAY, 'node1:7600', 20_000), AWAY);
    assert.equal(row.isSuspected, false);
  });

  it('counts sessions that were ended here for what the node answered', () => {
    const row = new DamageRow();
    for (const nowMs of [0, 500, 1000, 1500, 2000]) row.broke(nowMs);
    assert.equal(row.isSuspected, true);
    assert.equal(row.lastsMs(2500), 2500);
    row.broke(12_001);
    assert.equal(row.lastsMs(12_001), 0);
  });
});
