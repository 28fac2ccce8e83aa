/**
 * The judge of a soak: planted growth is found in noise like that of real processes, and noise alone is never
 * taken for growth. Noise comes from seeds, so that a failure can be had again.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { SeededChance } from '#daemon/cli/selftest/seeded-chance.js';
import { judgeGrowth, LIMITS, POINTS_MIN, type Metric } from '../../soak/growth-judge.js';
import type { Point } from '../../soak/trend.js';

const MIB = 1024 * 1024;
/** Each is a soak of its own. */
const SEEDS = 300;

/** @param valueAt given the share of the time that is over, 0 to 1 */
function measured(
  seed: number,
  valueAt: (share: number, chance: SeededChance) => number,
  count = 80,
): Point[] {
  const chance = new SeededChance(seed);
  return Array.from({ length: count }, (_, index) => {
    const share = index / (count - 1);
    return { at: index * 1500, value: valueAt(share, chance) };
  });
}

/** Pages come and go; now and then a long request takes a lot for a moment. */
function memoryNoise(chance: SeededChance): number {
  const peak = chance.fraction() < 0.1 ? 40 * MIB : 0;
  return 110 * MIB + (chance.fraction() - 0.5) * 8 * MIB + peak;
}

/** A collector that runs now and then: memory climbs and falls. */
function sawtooth(share: number, chance: SeededChance): number {
  return 90 * MIB + ((share * 7) % 1) * 24 * MIB + chance.fraction() * MIB;
}

/** Clients come and go. */
function clientNoise(chance: SeededChance): number {
  return 30 + chance.below(9);
}

function foundGrowing(
  metric: Metric,
  valueAt: (share: number, chance: SeededChance) => number,
): number {
  const seeds = Array.from({ length: SEEDS }, (_, index) => index + 1);
  const growing = seeds.filter((seed) => {
    return judgeGrowth(metric, measured(seed, valueAt)).result === 'grows';
  });
  return growing.length;
}

describe('judgeGrowth', () => {
  it('does not take noise for growth, in any of many soaks', () => {
    assert.equal(
      foundGrowing('rssBytes', (_share, chance) => memoryNoise(chance)),
      0,
    );
    assert.equal(foundGrowing('rssBytes', sawtooth), 0);
    assert.equal(
      foundGrowing('fds', (_share, chance) => clientNoise(chance)),
      0,
    );
  });

  it('finds a leak of twice the limit in the same noise, in all of them', () => {
    assert.equal(
      foundGrowing('rssBytes', (share, chance) => memoryNoise(chance) + share * 32 * MIB),
      SEEDS,
    );
    assert.equal(
      foundGrowing('rssBytes', (share, chance) => sawtooth(share, chance) + share * 32 * MIB),
      SEEDS,
    );
    assert.equal(
      foundGrowing('fds', (share, chance) => clientNoise(chance) + Math.floor(share * 12)),
      SEEDS,
    );
  });

  it('does not mind a single step, however high: something was loaded late', () => {
    const early = measured(1, (share) => (share < 0.1 ? 100 * MIB : 150 * MIB));
    assert.equal(judgeGrowth('rssBytes', early).result, 'steady');
  });

  it('does not mind memory that shrinks', () => {
    const points = measured(1, (share) => 200 * MIB - share * 100 * MIB);
    assert.equal(judgeGrowth('rssBytes', points).result, 'steady');
  });

  it('allows growth up to the limit, and none beyond', () => {
    const { growthMax } = LIMITS.heapBytes;
    const rising = (bytes: number): Point[] => measured(1, (share) => 20 * MIB + share * bytes);
    assert.equal(judgeGrowth('heapBytes', rising(growthMax - 1000)).result, 'steady');
    assert.equal(judgeGrowth('heapBytes', rising(growthMax + 1000)).result, 'grows');
  });

  it('allows a large program the share of its size', () => {
    const rising = (bytes: number): Point[] => measured(1, (share) => 1000 * MIB + share * bytes);
    assert.equal(judgeGrowth('rssBytes', rising(99 * MIB)).result, 'steady');
    assert.equal(judgeGrowth('rssBytes', rising(101 * MIB)).result, 'grows');
  });

  it('does not judge what was hardly measured', () => {
    const few = measured(1, (share) => share * 1000, POINTS_MIN - 1);
    assert.equal(judgeGrowth('fds', few).result, 'too short');
    const enough = measured(1, (share) => share * 1000, POINTS_MIN);
    assert.equal(judgeGrowth('fds', enough).result, 'grows');
  });
});
