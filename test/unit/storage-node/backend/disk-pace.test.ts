/** When a disk is taken for one that does not keep up, and when it is tried again. */
import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';
import {
  DiskPace,
  DiskPaces,
  HELD_UP_MS,
  SLOW_MS_MAX,
  SLOW_MS_MIN,
  SURELY_HELD_UP_MS,
  WATCHED_MS,
} from '#daemon/storage-node/backend/file/disk-pace.js';

let nowMs = 0;
let sleeps = 0;
let asked = 0;
let pace = new DiskPace();

beforeEach(() => {
  nowMs = 1000;
  sleeps = 0;
  asked = 0;
  pace = new DiskPace({
    nowMs: () => nowMs,
    timesSlept: () => {
      asked += 1;
      return sleeps;
    },
  });
});

/** @param slept whether the thread waited for something, or was only not served */
function call(tookMs: number, slept: boolean, expectedMs = 0): void {
  const begunMs = pace.begins();
  nowMs += tookMs;
  if (slept) sleeps += 1;
  pace.ended(begunMs, expectedMs);
}

/** Through the tries of a disk that stays slow. */
function slowFor(): number {
  const sinceMs = nowMs;
  while (pace.isSlow) nowMs += 100;
  return nowMs - sinceMs;
}

describe('DiskPace', () => {
  it('asks the kernel nothing while calls are quick', () => {
    for (let count = 0; count < 100; count += 1) call(0.1, true);
    assert.equal(pace.isSlow, false);
    assert.equal(asked, 0);
  });

  it('is slow after a call in which the thread slept long, if one before took long', () => {
    call(HELD_UP_MS, true);
    assert.equal(pace.isSlow, false);
    call(HELD_UP_MS, true);
    assert.equal(pace.isSlow, true);
  });

  it('is not slow because the processor is', () => {
    for (let count = 0; count < 100; count += 1) call(HELD_UP_MS, false);
    assert.equal(pace.isSlow, false);
  });

  it('is slow at once after a call that took longer than any scheduler lets wait', () => {
    call(SURELY_HELD_UP_MS, false);
    assert.equal(pace.isSlow, true);
  });

  it('expects that much data takes its time', () => {
    call(SURELY_HELD_UP_MS, true, SURELY_HELD_UP_MS);
    call(SURELY_HELD_UP_MS, true, SURELY_HELD_UP_MS);
    assert.equal(pace.isSlow, false);
  });

  it('looks for a while after a long call, and then no more', () => {
    call(HELD_UP_MS, true);
    call(WATCHED_MS / 2, false, WATCHED_MS);
    assert.equal(asked, 1);
    call(WATCHED_MS / 2, false, WATCHED_MS);
    assert.equal(asked, 2);
    call(HELD_UP_MS, true);
    assert.equal(asked, 2);
    assert.equal(pace.isSlow, false);
  });

  it('is tried again, each time later while it is slow, up to a limit', () => {
    call(SURELY_HELD_UP_MS, true);
    const times = Array.from({ length: 5 }, () => {
      const tookMs = slowFor();
      call(HELD_UP_MS, true);
      return tookMs;
    });
    assert.deepEqual(
      times,
      [1, 2, 4, 8, 8].map((factor) => factor * SLOW_MS_MIN),
    );
    assert.equal(times.at(-1), SLOW_MS_MAX);
  });

  it('begins anew when it has recovered', () => {
    call(SURELY_HELD_UP_MS, true);
    slowFor();
    call(HELD_UP_MS, true);
    slowFor();
    call(WATCHED_MS, false, WATCHED_MS);
    call(SURELY_HELD_UP_MS, true);
    assert.equal(slowFor(), SLOW_MS_MIN);
  });

  it('is not tried while what other threads did took long', () => {
    call(SURELY_HELD_UP_MS, true);
    pace.endedAway(HELD_UP_MS * 2);
    nowMs += 10 * SLOW_MS_MAX;
    assert.equal(pace.isSlow, true);
    pace.endedAway(1);
    assert.equal(pace.isSlow, false);
  });
});

describe('DiskPaces', () => {
  it('has one for all volumes on a disk', () => {
    const paces = new DiskPaces();
    assert.equal(paces.of(1), paces.of(1));
    assert.notEqual(paces.of(1), paces.of(2));
  });
});
