// What is known of a region before it is written: its flow, what each instruction does, which flags matter, how much fuel each way takes.
// Invariant: flags that an instruction leaves are unwanted only if no way from it leads to somebody who looks at them, ways out included.

import { PAGE } from '../layout.ts';
import type { Region } from './blocks.ts';
import { ACCESS_CALLS } from './access.ts';
import { planAccesses, type AccessPlan } from './access-runs.ts';
import { addDispatchBlocks, type Dispatched } from './dispatch-blocks.ts';
import { analyseFlow, longestPaths, type Flow } from './flow.ts';
import type { Observer } from './observe.ts';
import type { Facts } from './region-state.ts';

/** What the instructions of a region do, taken together. */
export interface Uses {
  /** General registers that are read or written, and those that are written. */
  readonly used: ReadonlySet<number>;
  readonly written: ReadonlySet<number>;
  readonly segments: ReadonlySet<number>;
  readonly doubles: ReadonlySet<number>;
  readonly doublesWritten: ReadonlySet<number>;
  readonly sse: boolean;
  readonly sseArithmetic: boolean;
}
/** A region with what is known about it before it is written. */
export interface Analysed {
  readonly mode: 32 | 64;
  readonly region: Region;
  readonly dispatched: Dispatched;
  readonly flow: Flow;
  /** Of each block and instruction; none of the blocks that were added. */
  readonly facts: readonly (readonly Facts[])[];
  /** How each instruction accesses memory. */
  readonly plans: readonly (readonly AccessPlan[])[];
  readonly uses: Uses;
  /** Longest way from each block to the next check of the fuel. */
  readonly longest: readonly number[];
  /** Whether flags matter at the beginning of each block. */
  readonly liveAtStart: readonly boolean[];
  /** Whether the flags that each instruction leaves matter. */
  readonly wanted: readonly (readonly boolean[])[];
}

/** @param calls takes the names of the functions that its instructions call */
export function analyse(mode: 32 | 64, region: Region, observer: Observer, calls: Set<string>): Analysed {
  const dispatched = addDispatchBlocks(region.blocks.map((b) => b.successors));
  const { successors, entries } = dispatched;
  const flow = analyseFlow(successors, dispatched.entry);
  const facts = successors.map((_, n) =>
    (region.blocks[n]?.instructions ?? []).map((instruction) => {
      const seen = observer.observe(instruction);
      for (const name of seen.calls) calls.add(name);
      return seen.facts;
    }),
  );
  const plans = facts.map((x, n) => planAccesses(mode, region.blocks[n]?.instructions ?? [], x));
  if (plans.some((all) => all.some(({ careful }) => careful))) for (const name of ACCESS_CALLS) calls.add(name);
  const liveAtStart = facts.map(() => false);
  const wanted = facts.map((all) => all.map(() => true));
  const uses = together(flow.order.map((n) => facts[n]!));
  const doubles = uses.doubles.size > 0;
  for (let changed = true; changed;) {
    changed = false;
    for (const n of flow.order.toReversed()) {
      // an edge into a head may leave for want of fuel, or because of a double that is not plain
      const toHead = successors[n]!.some((s) => flow.heads.has(s));
      const ends = entries.has(n) ? toHead && doubles : toHead || leaves(region, n);
      let live = ends || successors[n]!.some((s) => liveAtStart[s]!);
      for (let i = facts[n]!.length - 1; i >= 0; i--) {
        const x = facts[n]![i]!;
        wanted[n]![i] = live;
        const spans = region.blocks[n]!.instructions[i]!.spanning !== null;
        live = x.readsFlags || x.bails || spans || (live && !x.setsFlags);
      }
      if (live !== liveAtStart[n]) {
        liveAtStart[n] = live;
        changed = true;
      }
    }
  }
  const lengths = facts.map((all) => all.length);
  // behind a call that left the fuel is looked at
  const onward = successors.map((all, n) => {
    const behind = region.blocks[n]?.behindCall ?? null;
    return behind === null ? all : all.filter((to) => to !== (dispatched.via(n, behind) ?? behind));
  });
  const longest = longestPaths(flow, onward, lengths, entries);
  return { mode, region, dispatched, flow, facts, plans, uses, longest, liveAtStart, wanted };
}

function together(blocks: readonly (readonly Facts[])[]): Uses {
  const [used, written, segments] = [new Set<number>(), new Set<number>(), new Set<number>()];
  const [doubles, doublesWritten] = [new Set<number>(), new Set<number>()];
  let [sse, sseArithmetic] = [false, false];
  for (const facts of blocks)
    for (const x of facts) {
      for (const n of x.read) used.add(n);
      for (const n of x.written) written.add(n);
      for (const n of x.segments) segments.add(n);
      for (const n of x.doubles) doubles.add(n);
      for (const n of x.doublesWritten) doublesWritten.add(n);
      sse ||= x.sse;
      sseArithmetic ||= x.sseArithmetic;
    }
  for (const n of written) used.add(n);
  return { used, written, segments, doubles, doublesWritten, sse, sseArithmetic };
}

/** Control can leave the region behind a block. */
function leaves({ blocks, blockAt }: Region, n: number): boolean {
  const last = blocks[n]!.instructions.at(-1)!;
  // the page behind may turn out to be another one
  const end = last.record.pageOffset < PAGE ? PAGE : 2 * PAGE;
  const inside = (offset: bigint | number): boolean => {
    const block = blockAt.get(Number(offset));
    return Number(offset) < end && block !== undefined && blocks[n]!.successors.includes(block);
  };
  const next = last.record.pageOffset + last.record.length;
  switch (last.onward) {
    case 'next':
      return !inside(next);
    case 'conditional':
      return !inside(next) || !inside(last.record.imm);
    case 'jump':
    case 'call':
      return !inside(last.record.imm);
    default:
      return true;
  }
}
