// Structured control flow from a graph of basic blocks: which blocks are heads of loops, which need a label because several come together in
// them, and in what nesting they are written (N. Ramsey, "Beyond Relooper", 2022). Graphs that are not reducible: see dispatch-blocks.ts.
// Invariant: a forward edge goes to a block of a higher order; `dominated` lists contain every reachable block but the entry exactly once.

export interface Flow {
  /** Reverse postorder: block numbers in the order of their first appearance; unreachable ones are missing. */
  readonly order: readonly number[];
  /** Place of each block in `order`, -1 if unreachable. */
  readonly place: readonly number[];
  /** Blocks that a retreating edge goes to. */
  readonly heads: ReadonlySet<number>;
  /** Blocks that are branched to from more than one place going forward. */
  readonly joins: ReadonlySet<number>;
  /** Blocks whose immediate dominator is the index. */
  readonly dominated: readonly (readonly number[])[];
  /** Loops that each block is part of. */
  readonly depth: readonly number[];
  /** Number of the innermost loop that each block is part of, -1 if none. */
  readonly innermost: readonly number[];
  /** Every retreating edge goes to a dominator of its source. */
  readonly reducible: boolean;
}

/** Edges that go back to, or stay at, an earlier place. */
export const retreats = (flow: Pick<Flow, 'place'>, from: number, to: number): boolean =>
  flow.place[to]! <= flow.place[from]!;

const contains = (whole: ReadonlySet<number>, part: ReadonlySet<number>): boolean =>
  [...part].every((n) => whole.has(n));

function postorder(successors: readonly (readonly number[])[], entry: number): number[] {
  const seen = new Uint8Array(successors.length);
  const out: number[] = [];
  const stack: [number, number][] = [[entry, 0]];
  seen[entry] = 1;
  while (stack.length) {
    const top = stack.at(-1)!;
    const next = successors[top[0]]![top[1]++];
    if (next === undefined) out.push(stack.pop()![0]);
    else if (!seen[next]) {
      seen[next] = 1;
      stack.push([next, 0]);
    }
  }
  return out;
}

/** @param successors of each block */
export function analyseFlow(successors: readonly (readonly number[])[], entry = 0): Flow {
  const order = postorder(successors, entry).reverse();
  const place = successors.map(() => -1);
  order.forEach((block, n) => (place[block] = n));
  const predecessors: number[][] = successors.map(() => []);
  for (const block of order) for (const next of new Set(successors[block])) predecessors[next]!.push(block);
  // immediate dominators (Cooper, Harvey, Kennedy)
  const idom = successors.map(() => -1);
  idom[entry] = entry;
  for (let changed = true; changed;) {
    changed = false;
    for (const block of order) {
      if (block === entry) continue;
      let best = -1;
      for (const p of predecessors[block]!) {
        if (idom[p] === -1) continue;
        if (best === -1) {
          best = p;
          continue;
        }
        let a = p;
        while (a !== best) {
          while (place[a]! > place[best]!) a = idom[a]!;
          while (place[best]! > place[a]!) best = idom[best]!;
        }
      }
      if (idom[block] !== best) {
        idom[block] = best;
        changed = true;
      }
    }
  }
  const dominates = (a: number, b: number): boolean => {
    let x = b;
    while (place[x]! > place[a]!) x = idom[x]!;
    return x === a;
  };
  const heads = new Set<number>();
  const joins = new Set<number>();
  let reducible = true;
  for (const block of order) {
    let forward = 0;
    for (const p of predecessors[block]!) {
      if (!retreats({ place }, p, block)) {
        forward += successors[p]!.filter((s) => s === block).length;
        continue;
      }
      heads.add(block);
      if (!dominates(block, p)) reducible = false;
    }
    if (forward > 1) joins.add(block);
  }
  const depth = successors.map(() => 0);
  const innermost = successors.map(() => -1);
  let loops = 0;
  // a head comes before the heads of the loops inside
  for (const head of [...heads].toSorted((a, b) => place[a]! - place[b]!)) {
    const bodyOf = (latches: readonly number[]): Set<number> => {
      const body = new Set([head]);
      const waiting = [...latches];
      for (let block = waiting.pop(); block !== undefined; block = waiting.pop()) {
        if (body.has(block)) continue;
        body.add(block);
        waiting.push(...predecessors[block]!);
      }
      return body;
    };
    // loops that lie in one another may share their head: they are told apart by what leads back to it
    const latches = predecessors[head]!.filter((p) => retreats({ place }, p, head));
    const bodies = latches.map((latch) => bodyOf([latch])).toSorted((a, b) => b.size - a.size);
    const all = bodyOf(latches);
    const inner = bodies.filter(
      (body) => body.size < all.size && bodies.every((b) => b.size < body.size || contains(b, body)),
    );
    for (const body of [all, ...inner]) {
      for (const block of body) {
        depth[block]!++;
        innermost[block] = loops;
      }
      loops++;
    }
  }
  const dominated: number[][] = successors.map(() => []);
  for (const block of order) if (block !== entry) dominated[idom[block]!]!.push(block);
  return { order, place, heads, joins, dominated, depth, innermost, reducible };
}

/**
 * The most instructions that can run from a block on before the next head is reached (or the region left), in blocks of `lengths`.
 * @param through blocks behind which heads do not count: there the fuel is not looked at
 */
export function longestPaths(
  flow: Flow,
  successors: readonly (readonly number[])[],
  lengths: readonly number[],
  through: Pick<ReadonlySet<number>, 'has'> = new Set(),
): number[] {
  const longest = lengths.map(() => 0);
  for (const block of flow.order.toReversed()) {
    const onward = successors[block]!.filter((s) => !flow.heads.has(s) || through.has(block)).map((s) => longest[s]!);
    longest[block] = lengths[block]! + Math.max(0, ...onward);
  }
  return longest;
}
