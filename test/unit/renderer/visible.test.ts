// What is in view of a long list, and what can be seen of a busy pCPU.
import { describe, expect, it } from 'vitest';
import { rowWindow } from '../../../renderer/composables/visible-rows.ts';
import { visibleSlices } from '../../../renderer/stores/history.ts';

describe('the rows of a list that are drawn', () => {
  it('are those in view and six beyond each edge, and the room around them is that of the others', () => {
    const { from, to, above, below } = rowWindow(500, 2100, 210, 21);
    expect([from, to]).toEqual([94, 116]);
    expect(above).toBe(94 * 21);
    expect(above + (to - from) * 21 + below).toBe(500 * 21);
  });

  it('begin at the first and end at the last', () => {
    expect(rowWindow(500, 0, 210, 21)).toMatchObject({ from: 0, above: 0 });
    expect(rowWindow(500, 500 * 21 - 210, 210, 21)).toMatchObject({ to: 500, below: 0 });
    expect(rowWindow(3, 0, 210, 21)).toEqual({ from: 0, to: 3, above: 0, below: 0 });
    expect(rowWindow(0, 0, 210, 21)).toEqual({ from: 0, to: 0, above: 0, below: 0 });
  });

  it('are the last ones after the list became shorter than the scroll position', () => {
    const { from, to } = rowWindow(10, 5000, 210, 21);
    expect(to).toBe(10);
    expect(from).toBeLessThanOrEqual(10);
  });
});

describe('the slices of a column that can be seen', () => {
  const slices = [
    { colour: 1, share: 0.5 },
    { colour: 2, share: 0.05 },
    { colour: 3, share: 0.3 },
    { colour: 4, share: 0.05 },
  ];
  const sum = (list: readonly { share: number }[]): number => list.reduce((all, { share }) => all + share, 0);

  it('are all when all are wide enough', () => {
    expect(visibleSlices(slices, 0.01)).toBe(slices);
  });

  it('keep the busy time: what is too narrow goes to the widest', () => {
    const seen = visibleSlices(slices, 0.1);
    expect(seen.map(({ colour }) => colour)).toEqual([1, 3]);
    expect(sum(seen)).toBeCloseTo(sum(slices));
    expect(seen[0].share).toBeCloseTo(0.6);
  });

  it('are one when each alone is too narrow', () => {
    expect(visibleSlices(slices, 0.9)).toEqual([{ colour: 1, share: sum(slices) }]);
  });
});
