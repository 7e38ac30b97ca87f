// Loops that are entered at more than one block, made such that structured control flow can say them: a block without instructions is put in front
// of the entries, and whoever goes to one of them goes there, with the number of the entry in a variable. Where a loop and the loop around it begin at
// one block (a region is mostly entered in its hottest loop, and so begins there), the outer one gets such a block as a head of its own.
// Invariant: in what comes out every loop has one head, and no other loop inside it has the same; a way round an entry that only that entry leads to
// stays as direct as it was.

export interface Dispatched {
  /** Where the region begins: block 0, or a block that was added in front of it. */
  readonly entry: number;
  /** Of each block; those that were added are the last ones. */
  readonly successors: readonly (readonly number[])[];
  /** Blocks that were added, with the entries they lead to. */
  readonly entries: ReadonlyMap<number, readonly number[]>;
  /** The added block that leads from a block to a successor it had, if there is one. */
  via(from: number, to: number): number | undefined;
  /** Which entry of an added block leads on to a block. */
  choice(added: number, to: number): number;
}

/** Strongly connected parts of `inside` with at least one edge, edges to `head` left out (R. Tarjan, 1972). */
function loopsIn(successors: readonly (readonly number[])[], inside: ReadonlySet<number>, head: number): Set<number>[] {
  const index = new Map<number, number>();
  const low = new Map<number, number>();
  const stack: number[] = [];
  const waiting = new Set<number>();
  const found: Set<number>[] = [];
  const visit = (n: number): void => {
    index.set(n, index.size);
    low.set(n, index.get(n)!);
    stack.push(n);
    waiting.add(n);
    for (const s of successors[n]!) {
      if (s === head || !inside.has(s)) continue;
      if (!index.has(s)) {
        visit(s);
        low.set(n, Math.min(low.get(n)!, low.get(s)!));
      } else if (waiting.has(s)) low.set(n, Math.min(low.get(n)!, index.get(s)!));
    }
    if (low.get(n) !== index.get(n)) return;
    const part = new Set<number>();
    for (let m = stack.pop()!; ; m = stack.pop()!) {
      waiting.delete(m);
      part.add(m);
      if (m === n) break;
    }
    if (part.size > 1 || (n !== head && successors[n]!.includes(n))) found.push(part);
  };
  for (const n of inside) if (!index.has(n)) visit(n);
  return found;
}

/** @param original successors of each block; block 0 is the entry. Blocks that cannot be reached are left alone. */
export function addDispatchBlocks(original: readonly (readonly number[])[]): Dispatched {
  const successors = original.map((s) => [...s]);
  const entriesOf = new Map<number, readonly number[]>();
  const detours = successors.map(() => new Map<number, number>());

  const reach = (from: readonly number[], inside: ReadonlySet<number>, but: number): Set<number> => {
    const seen = new Set(from);
    const waiting = [...from];
    for (let n = waiting.pop(); n !== undefined; n = waiting.pop())
      for (const s of successors[n]!)
        if (s !== but && inside.has(s) && !seen.has(s)) {
          seen.add(s);
          waiting.push(s);
        }
    return seen;
  };
  /** What leads to a block of a loop without passing its head. */
  const bodyOf = (latch: number, head: number, loop: ReadonlySet<number>): Set<number> => {
    const body = new Set([latch]);
    for (let grown = latch !== head; grown;) {
      grown = false;
      for (const n of loop)
        if (n !== head && !body.has(n) && successors[n]!.some((s) => body.has(s))) {
          body.add(n);
          grown = true;
        }
    }
    return body;
  };
  /** Gives loops around an inner one heads of their own, if they begin at its head; the outermost head. */
  const separate = (first: number, loop: Set<number>, outside: readonly number[]): number => {
    for (let head = first; ;) {
      const latches = [...loop].filter((n) => successors[n]!.includes(head));
      const bodies = new Map(latches.map((n) => [n, bodyOf(n, head, loop)]));
      const [least = new Set<number>()] = [...bodies.values()].toSorted((a, b) => a.size - b.size);
      const outer = latches.filter((n) => [...bodies.get(n)!].some((m) => !least.has(m)));
      if (outer.length === 0 || !outer.every((n) => [...least].every((m) => m === head || bodies.get(n)!.has(m))))
        return head;
      const added = successors.length;
      for (const n of [...outer, ...outside]) {
        if (!successors[n]!.includes(head)) continue;
        successors[n] = successors[n]!.map((to) => (to === head ? added : to));
        detours[n]!.set(first, added);
      }
      successors.push([head]);
      detours.push(new Map(head === first ? [] : [[first, head]]));
      entriesOf.set(added, [head]);
      loop.add(added);
      head = added;
    }
  };
  const arrange = (head: number, inside: ReadonlySet<number>): void => {
    for (const loop of loopsIn(successors, inside, head)) {
      const outside = [...inside].filter((n) => !loop.has(n));
      const entered = (n: number): boolean => outside.some((m) => successors[m]!.includes(n));
      const entries = [...loop].filter(entered).toSorted((a, b) => a - b);
      if (entries.length === 1) {
        arrange(separate(entries[0]!, loop, outside), loop);
        continue;
      }
      // what is reached without an entry cannot go back to it but through the new block
      const without = new Map(
        entries.map((e) => [
          e,
          reach(
            entries.filter((other) => other !== e),
            loop,
            e,
          ),
        ]),
      );
      const added = successors.length;
      const onward = new Map<number, number>();
      for (const n of [...outside, ...loop])
        successors[n] = successors[n]!.map((to) => {
          const others = without.get(to);
          if (!others || (loop.has(n) && !others.has(n))) return to;
          // a detour that was there already leads on from here
          for (const [end, by] of detours[n]!)
            if (by === to && end !== to) {
              detours[n]!.set(end, added);
              onward.set(end, to);
            }
          detours[n]!.set(to, added);
          return added;
        });
      successors.push([...entries]);
      detours.push(onward);
      entriesOf.set(added, entries);
      arrange(added, loop.add(added));
    }
  };
  const all = reach([0], new Set(original.keys()), -1);
  const entry = separate(0, all, []);
  arrange(entry, all);
  const via = (from: number, to: number): number | undefined => detours[from]!.get(to);
  const choice = (added: number, to: number): number => {
    const entries = entriesOf.get(added)!;
    return entries.includes(to) ? entries.indexOf(to) : entries.indexOf(via(added, to)!);
  };
  return { entry, successors, entries: entriesOf, via, choice };
}
