// Which XMM registers are known to hold zero or a normal double in their low half, on each path of a region, so that nobody has to check them. At the
// heads of loops that is decided by a first writing of the region: what its ways back bring, and the others bring too, or are made to bring where a
// pass would have to check it.
// Invariant: nothing is known that a path to this point could contradict.

/** What a first writing found out about the head of a loop. */
interface Seen {
  /** Registers that every way to the head brings, and that every way back does. */
  all: Set<number> | null;
  back: Set<number> | null;
  /** Those that a pass has to check as the head got them. */
  readonly wanted: Set<number>;
}
export type PlainHeads = ReadonlyMap<number, PlainHead>;
export interface PlainHead {
  /** Known in a pass. */
  readonly known: ReadonlySet<number>;
  /** Those among them that are checked on ways to the head that do not bring them. */
  readonly checked: ReadonlySet<number>;
}
/** What is known at a point, to come back to it. */
export interface PlainPoint {
  readonly known: ReadonlySet<number>;
  readonly incoming: ReadonlyMap<number, number>;
}

/** Most regions have no doubles. */
const NOTHING: PlainPoint = { known: new Set(), incoming: new Map() };

export class PlainDoubles {
  #known = new Set<number>();
  /** The head of a loop that a register still has its value from. */
  #incoming = new Map<number, number>();
  readonly #seen = new Map<number, Seen>();

  ask(register: number): boolean {
    if (this.#known.has(register)) return true;
    const head = this.#incoming.get(register);
    if (head !== undefined) this.#seenAt(head).wanted.add(register);
    return false;
  }
  set(register: number, plain: boolean): void {
    if (plain) this.#known.add(register);
    else {
      this.#known.delete(register);
      this.#incoming.delete(register);
    }
  }
  /** Where paths come together. */
  forget(): void {
    this.#known.clear();
    this.#incoming.clear();
  }
  get point(): PlainPoint {
    if (this.#known.size === 0 && this.#incoming.size === 0) return NOTHING;
    return { known: new Set(this.#known), incoming: new Map(this.#incoming) };
  }
  set point({ known, incoming }: PlainPoint) {
    if (known.size + incoming.size + this.#known.size + this.#incoming.size === 0) return;
    this.#known = new Set(known);
    this.#incoming = new Map(incoming);
  }

  // ---- heads of loops

  #seenAt(head: number): Seen {
    let seen = this.#seen.get(head);
    if (!seen) this.#seen.set(head, (seen = { all: null, back: null, wanted: new Set() }));
    return seen;
  }
  /** Control goes to a head from here. */
  noteEdge(head: number, back: boolean): void {
    const seen = this.#seenAt(head);
    const both = (before: Set<number> | null): Set<number> =>
      new Set([...(before ?? this.#known)].filter((register) => this.#known.has(register)));
    seen.all = both(seen.all);
    if (back) seen.back = both(seen.back);
  }
  /** A pass begins. @param registers all there are */
  beginPass(head: number, registers: Iterable<number>, known: PlainHead | undefined): void {
    this.#known = new Set(known?.known);
    this.#incoming = new Map([...registers].map((register) => [register, head]));
  }
  /** Registers that have to be checked on the way to a head from here. */
  missing(known: PlainHead | undefined): number[] {
    return [...(known?.checked ?? [])].filter((register) => !this.#known.has(register));
  }
  /** What this writing found out: knowing less at heads than the next, it knew no more on any edge. */
  heads(): PlainHeads {
    const heads = new Map<number, PlainHead>();
    for (const [head, { all, back, wanted }] of this.#seen) {
      const checked = new Set([...wanted].filter((register) => back?.has(register)));
      heads.set(head, { known: new Set([...checked, ...(all ?? [])]), checked });
    }
    return heads;
  }
}
