// The schedule of a host as it happened: which vCPU ran on which pCPU from when to when, and why it stopped.
// Invariant: always on and bounded: the last SLICES of the host are kept in typed arrays, and noting one allocates nothing.

/** Slices kept. */
export const SLICES = 200_000;

export const SLICE_ENDS = ['slice', 'blocked', 'yielded', 'preempted', 'paused', 'running'] as const;
export type SliceEnd = (typeof SLICE_ENDS)[number];

export interface Slice {
  pcpu: number;
  domid: number;
  vcpu: number;
  /** Virtual ns. */
  from: number;
  to: number;
  ended: SliceEnd;
}

export class SliceLog {
  readonly #capacity: number;
  readonly #from: Float64Array;
  readonly #to: Float64Array;
  readonly #domid: Uint16Array;
  readonly #vcpu: Uint8Array;
  readonly #pcpu: Uint8Array;
  readonly #ended: Uint8Array;
  /** Slices ever noted. */
  count = 0;

  constructor(capacity = SLICES) {
    this.#capacity = capacity;
    this.#from = new Float64Array(capacity);
    this.#to = new Float64Array(capacity);
    this.#domid = new Uint16Array(capacity);
    this.#vcpu = new Uint8Array(capacity);
    this.#pcpu = new Uint8Array(capacity);
    this.#ended = new Uint8Array(capacity);
  }

  /** @param ended index into SLICE_ENDS */
  add(pcpu: number, domid: number, vcpu: number, from: number, to: number, ended: number): void {
    const at = this.count++ % this.#capacity;
    this.#from[at] = from;
    this.#to[at] = to;
    this.#domid[at] = domid;
    this.#vcpu[at] = vcpu;
    this.#pcpu[at] = pcpu;
    this.#ended[at] = ended;
  }

  #slice(n: number): Slice {
    const at = n % this.#capacity;
    return {
      pcpu: this.#pcpu[at]!,
      domid: this.#domid[at]!,
      vcpu: this.#vcpu[at]!,
      from: this.#from[at]!,
      to: this.#to[at]!,
      ended: SLICE_ENDS[this.#ended[at]!]!,
    };
  }

  /** The `limit` slices that ended last, as far as they are kept, oldest first. */
  latest(limit: number): Slice[] {
    const first = Math.max(0, this.count - Math.min(limit, this.#capacity));
    return Array.from({ length: this.count - first }, (_, n) => this.#slice(first + n));
  }

  /** Kept slices that overlap [from, to), oldest first; the newest `limit` of them. */
  between(from: number, to: number, limit: number): Slice[] {
    const found: Slice[] = [];
    const oldest = Math.max(0, this.count - this.#capacity);
    for (let n = this.count - 1; n >= oldest && found.length < limit; n--) {
      const at = n % this.#capacity;
      if (this.#to[at]! > from && this.#from[at]! < to) found.push(this.#slice(n));
    }
    return found.reverse();
  }
}
