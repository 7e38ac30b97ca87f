// Structured control flow: what is a head, a join, a loop, and how far it is to the next check of the fuel.

import { describe, expect, it } from 'vitest';
import { analyseFlow, longestPaths } from '../../../../main/machine/cpu/translator/flow.ts';

describe('analyseFlow', () => {
  it('finds the join of two arms and no loop', () => {
    const flow = analyseFlow([[1, 2], [3], [3], []]);
    expect([...flow.joins]).toEqual([3]);
    expect(flow.heads.size).toBe(0);
    expect(flow.reducible).toBe(true);
    expect(flow.dominated[0]!.toSorted()).toEqual([1, 2, 3]);
    expect(flow.depth).toEqual([0, 0, 0, 0]);
  });
  it('finds nested loops and how deep blocks are in them', () => {
    // 0 -> 1 -> 2 -> 2, 2 -> 3 -> 1, 3 -> 4
    const flow = analyseFlow([[1], [2], [2, 3], [1, 4], []]);
    expect([...flow.heads].toSorted()).toEqual([1, 2]);
    expect(flow.joins.size).toBe(0);
    expect(flow.depth).toEqual([0, 1, 2, 1, 0]);
    expect(flow.reducible).toBe(true);
  });
  it('counts both ways of a branch to one block', () => {
    expect([...analyseFlow([[1, 1], []]).joins]).toEqual([1]);
  });
  it('says when a loop has two entries', () => {
    expect(analyseFlow([[1, 2], [2], [1]]).reducible).toBe(false);
  });
  it('leaves out what cannot be reached', () => {
    const flow = analyseFlow([[2], [2], []]);
    expect(flow.order).toEqual([0, 2]);
    expect(flow.place[1]).toBe(-1);
  });
});

describe('longestPaths', () => {
  it('ends at heads, whichever way leads there', () => {
    const successors = [[1], [2, 3], [4], [4], [1, 5], []];
    const flow = analyseFlow(successors);
    expect([...flow.heads]).toEqual([1]);
    expect(longestPaths(flow, successors, [5, 1, 7, 2, 3, 100])).toEqual([5, 111, 110, 105, 103, 100]);
  });
});
