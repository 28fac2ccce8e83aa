/** The line through the samples of a soak. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { fitTrend, median, percentile, type Point } from '../../soak/trend.js';

const points = (values: readonly number[]): Point[] =>
  values.map((value, index) => ({ at: index, value }));

describe('fitTrend', () => {
  it('finds the line that points lie on', () => {
    const { slope, intercept } = fitTrend(points([3, 5, 7, 9, 11]));
    assert.equal(slope, 2);
    assert.equal(intercept, 3);
  });

  it('is not bent by wild points at either end, as least squares are', () => {
    const flat = Array.from({ length: 40 }, () => 10);
    const { slope, intercept } = fitTrend(points([900, ...flat, 1000, 1000]));
    assert.equal(slope, 0);
    assert.equal(intercept, 10);
  });

  it('takes the times of the points, which need not be even', () => {
    const { slope } = fitTrend([
      { at: 0, value: 0 },
      { at: 10, value: 5 },
      { at: 11, value: 5.5 },
      { at: 40, value: 20 },
    ]);
    assert.equal(slope, 0.5);
  });

  it('says of equal values that they have no order, and of rising ones that they have', () => {
    assert.equal(fitTrend(points([4, 4, 4, 4, 4])).deviations, 0);
    // Kendall's test for 5 values in order: S = 10, variance = 5 * 4 * 15 / 18.
    const { deviations } = fitTrend(points([1, 2, 3, 4, 5]));
    assert.ok(Math.abs(deviations - 10 / Math.sqrt(300 / 18)) < 1e-12);
    assert.equal(fitTrend(points([5, 4, 3, 2, 1])).deviations, -deviations);
  });

  it('fits more points than it compares, by taking every so many', () => {
    const many = Array.from({ length: 7000 }, (_, index) => ({ at: index, value: index / 4 }));
    assert.equal(fitTrend(many).slope, 0.25);
  });
});

describe('percentile', () => {
  it('sorts by number, and is the highest value at 1', () => {
    assert.equal(percentile([10, 9, 100, 1], 1), 100);
    assert.equal(median([10, 9, 100]), 10);
    assert.equal(percentile([], 0.5), 0);
  });
});
