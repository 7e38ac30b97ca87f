// Structured control flow: what is a head, a join, a loop, and how far it is to the next check of the fuel.

import { describe, expect, it } from 'vitest';
import { addDispatchBlocks } from '../../../../main/machine/cpu/translator/dispatch-blocks.ts';
import { analyseFlow, longestPaths } from '../../../../main/machine/cpu/translator/flow.ts';
import { Random } from './programs.ts';

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
  it('tells loops that share a head apart by what leads back to it', () => {
    // 0 <-> 1, and 1 -> 2 -> 0 around them
    const nested = analyseFlow([[1], [0, 2], [0, 3], []]);
    expect(nested.depth).toEqual([2, 2, 1, 0]);
    expect(nested.innermost[0]).toBe(nested.innermost[1]);
    expect(nested.innermost[0]).not.toBe(nested.innermost[2]);
    // two ways back to 0 side by side are one loop
    const beside = analyseFlow([[1, 2], [0], [0]]);
    expect(beside.depth).toEqual([1, 1, 1]);
    expect(new Set(beside.innermost).size).toBe(1);
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

describe('addDispatchBlocks', () => {
  it('leaves loops with one entry as they are', () => {
    const successors = [[1], [2], [2, 3], [1, 4], []];
    const { successors: after, entries } = addDispatchBlocks(successors);
    expect(after).toEqual(successors);
    expect(entries.size).toBe(0);
  });
  it('puts a block in front of two entries and keeps the way round one of them', () => {
    // 0 -> 1, 2; 1 -> 1, 2; 2 -> 1, 3
    const d = addDispatchBlocks([[1, 2], [1, 2], [1, 3], []]);
    expect([...d.entries]).toEqual([[4, [1, 2]]]);
    expect(d.successors[0]).toEqual([4, 4]);
    expect(d.successors[1]).toEqual([1, 4]);
    expect(d.successors[2]).toEqual([4, 3]);
    expect([d.via(1, 1), d.via(1, 2), d.via(2, 3)]).toEqual([undefined, 4, undefined]);
  });
  it('gives loops around an inner one that begin at the same block heads of their own', () => {
    // 0 -> 0, 1; 1 -> 0, 2; 2 -> 0, 3: three loops
    const d = addDispatchBlocks([[0, 1], [0, 2], [0, 3], []]);
    expect(d.entry).toBe(5);
    expect(d.successors).toEqual([[0, 1], [4, 2], [5, 3], [], [0], [4]]);
    expect([...d.entries]).toEqual([
      [4, [0]],
      [5, [4]],
    ]);
    expect([...analyseFlow(d.successors, d.entry).heads].toSorted()).toEqual([0, 4, 5]);
    // two ways back side by side are one loop
    expect(addDispatchBlocks([[1, 2], [0], [0]]).entries.size).toBe(0);
  });
  it('makes any graph reducible and loses no edge', () => {
    const r = new Random(77);
    let added = 0;
    for (let n = 0; n < 1000; n++) {
      const size = 2 + r.below(24);
      const original = Array.from({ length: size }, () => Array.from({ length: r.below(4) }, () => r.below(size)));
      const d = addDispatchBlocks(original);
      added += d.entries.size;
      const flow = analyseFlow(d.successors, d.entry);
      expect(flow.reducible, JSON.stringify(original)).toBe(true);
      for (const from of flow.order.filter((block) => block < size))
        for (const to of original[from]!) {
          let at = from;
          for (let next = d.via(at, to); next !== undefined; next = d.via(at, to)) {
            expect(d.successors[at]).toContain(next);
            const entry = d.entries.get(next)![d.choice(next, to)]!;
            expect([to, d.via(next, to)]).toContain(entry);
            at = next;
          }
          expect(d.successors[at]).toContain(to);
        }
    }
    expect(added).toBeGreaterThan(80);
  });
});
