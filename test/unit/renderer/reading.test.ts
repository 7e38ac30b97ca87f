// Reading a chart by keys, and what a range says.
import { describe, expect, it } from 'vitest';
import { extended, placeAfter } from '../../../renderer/charts/reading.ts';
import { overRange, seriesCsv } from '../../../renderer/charts/series.ts';

const places = [10, 20, 30, 40];

describe('the place a key leads to', () => {
  it('is the next or the one before, and never beyond the ends', () => {
    expect(placeAfter(places, 20, 'ArrowRight')).toBe(30);
    expect(placeAfter(places, 20, 'ArrowLeft')).toBe(10);
    expect(placeAfter(places, 40, 'ArrowRight')).toBe(40);
    expect(placeAfter(places, 10, 'ArrowLeft')).toBe(10);
  });

  it('is an end with Home, End and the first arrow', () => {
    expect(placeAfter(places, 20, 'Home')).toBe(10);
    expect(placeAfter(places, 20, 'End')).toBe(40);
    expect(placeAfter(places, undefined, 'ArrowRight')).toBe(10);
    expect(placeAfter(places, undefined, 'ArrowLeft')).toBe(40);
  });

  it('is found again when the place that was read has left the chart', () => {
    expect(placeAfter(places, 3, 'ArrowRight')).toBe(20);
  });

  it('is none for another key', () => {
    expect(placeAfter(places, 20, 'x')).toBeUndefined();
  });
});

describe('a range', () => {
  it('grows and shrinks at the cursor, and turns over at its anchor', () => {
    const grown = extended(undefined, 20, 30);
    expect(grown).toEqual([20, 30]);
    expect(extended(grown, 30, 40)).toEqual([20, 40]);
    expect(extended([20, 40], 40, 30)).toEqual([20, 30]);
    expect(extended([20, 30], 30, 20)).toEqual([20, 20]);
    expect(extended([20, 20], 20, 10)).toEqual([10, 20]);
    expect(extended([10, 20], 10, 20)).toEqual([20, 20]);
  });

  const points = [
    { at: 10, value: 1 },
    { at: 20, value: 5 },
    { at: 30, value: 3 },
    { at: 40, value: 100 },
  ];

  it('says mean, least and most of what lies in it, its ends included', () => {
    expect(overRange(points, [10, 30])).toEqual({ least: 1, most: 5, mean: 3, count: 3 });
    expect(overRange(points, [11, 19])).toBeUndefined();
  });

  it('is saved as rows of time, with empty fields where a line has nothing', () => {
    const csv = seriesCsv(
      [
        { label: 'CPU', colour: '--d1', points },
        { label: 'exits, all', colour: '--d1', points: points.slice(1) },
      ],
      [10, 20],
    );
    expect(csv).toBe('lab_time_ns,CPU,"exits, all"\n10,1,\n20,5,5\n');
  });
});
