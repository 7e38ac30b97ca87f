// Finding the point under a cursor, and the top of an axis.
import { describe, expect, it } from 'vitest';
import { nearestIndex, niceCeiling } from '../../../renderer/charts/series.ts';

describe('nearestIndex', () => {
  it('agrees with a search through all entries', () => {
    const list = [0, 1, 4, 4.5, 9, 20];
    for (let value = -2; value <= 23; value += 0.25) {
      const distances = list.map((entry) => Math.abs(entry - value));
      expect(nearestIndex(list, value)).toBe(distances.indexOf(Math.min(...distances)));
    }
  });

  it('has no answer for no points', () => {
    expect(nearestIndex([], 3)).toBe(-1);
  });
});

describe('niceCeiling', () => {
  it('is the next 1, 2 or 5', () => {
    expect([0, 0.3, 1, 1.1, 37, 99, 100, 18_330].map(niceCeiling)).toEqual([1, 0.5, 1, 2, 50, 100, 100, 20_000]);
  });
});
