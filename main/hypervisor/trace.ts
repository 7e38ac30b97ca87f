// The trace of a host: what its hypervisor did for whom, in the order in which it began.
// Invariant: nothing is done while recording is off but the look at one flag; while it is on, a record goes into typed arrays and text is made
// only for who reads. The ring keeps the last TRACE_RECORDS; what falls out is counted.

import type { TraceKind } from '../../shared/inspection-service.ts';

export const TRACE_RECORDS = 1 << 17;
/** Arguments kept of each record. */
const ARGUMENTS = 6;

/** What a record says, declared once where it is recorded. */
export interface TraceName {
  readonly kind: TraceKind;
  readonly name: string;
  /** What each argument is; its text is `label=value`. An empty label gives the value alone. */
  readonly labels: readonly string[];
  /** The name of the operation that the arguments ask for, added to the name; null when there is none. */
  readonly operation: ((args: readonly bigint[]) => string | null) | null;
  /** The result in words; default: decimal. */
  readonly result: ((value: number) => string) | null;
}

const NAMES: TraceName[] = [];

/** Declares a name. @returns the number to record it by */
export function traceName(
  kind: TraceKind,
  name: string,
  labels: readonly string[] = [],
  more: Partial<Pick<TraceName, 'operation' | 'result'>> = {},
): number {
  return NAMES.push({ kind, name, labels, operation: more.operation ?? null, result: more.result ?? null }) - 1;
}

/** A record as it is read. */
export interface TraceEntry {
  /** 1.. */
  index: number;
  at: number;
  kind: TraceKind;
  /** Null where it is about no domain. */
  domid: number | null;
  vcpu: number;
  name: string;
  args: string;
  result: string;
  ns: number;
  failed: boolean;
}
/** Empty lists and an empty text want all. */
export interface TraceSelection {
  domids: readonly number[];
  kinds: readonly TraceKind[];
  text: string;
  failed: boolean;
}

/** Stands for "no domain". */
const NOBODY = 0xffff;

class Ring {
  readonly at = new Float64Array(TRACE_RECORDS);
  readonly ns = new Float64Array(TRACE_RECORDS);
  /** NaN: none. */
  readonly result = new Float64Array(TRACE_RECORDS);
  readonly name = new Uint16Array(TRACE_RECORDS);
  readonly domid = new Uint16Array(TRACE_RECORDS);
  readonly vcpu = new Uint8Array(TRACE_RECORDS);
  readonly count = new Uint8Array(TRACE_RECORDS);
  readonly args = new BigUint64Array(TRACE_RECORDS * ARGUMENTS);
  /** The same arguments as pairs of halves, low first. */
  readonly halves = new Uint32Array(this.args.buffer);
}

export class Trace {
  recording = false;
  /** Records ever made. */
  last = 0;
  readonly #now: () => number;
  #ring: Ring | null = null;
  /** When the guest left for the hypervisor, -1 when that has been used up: the start of its hypercall. */
  #entered = -1;

  /** @param now virtual ns */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** Turns recording on or off. What was recorded stays. */
  setRecording(on: boolean): void {
    this.#ring ??= new Ring();
    this.recording = on;
  }
  get kept(): number {
    return Math.min(this.last, TRACE_RECORDS);
  }
  get lost(): number {
    return this.last - this.kept;
  }

  /** The guest has just left for the hypervisor. Only while recording. */
  enter(): void {
    this.#entered = this.#now();
  }

  #slot(name: number, domid: number, vcpu: number, at: number): number {
    const ring = this.#ring!;
    const slot = this.last++ & (TRACE_RECORDS - 1);
    ring.at[slot] = at;
    ring.ns[slot] = 0;
    ring.result[slot] = NaN;
    ring.name[slot] = name;
    ring.domid[slot] = domid;
    ring.vcpu[slot] = vcpu;
    return slot;
  }

  /**
   * Something at this moment, with numbers of at most 32 bits (-1 = none). Only while recording.
   * @param domid -1 = of no domain
   * @param ns how long it had lasted
   */
  add(name: number, domid: number, vcpu: number, a = -1, b = -1, c = -1, ns = 0): void {
    const slot = this.#slot(name, domid < 0 ? NOBODY : domid, vcpu, this.#now());
    const ring = this.#ring!;
    const { halves } = ring;
    const at = slot * ARGUMENTS * 2;
    halves[at] = a;
    halves[at + 2] = b;
    halves[at + 4] = c;
    halves[at + 1] = halves[at + 3] = halves[at + 5] = 0;
    ring.count[slot] = a < 0 ? 0 : b < 0 ? 1 : c < 0 ? 2 : 3;
    ring.ns[slot] = ns;
  }

  /** Something at this moment, with 64-bit numbers. Only while recording. */
  addWide(name: number, domid: number, vcpu: number, args: readonly bigint[]): void {
    this.#arguments(this.#slot(name, domid, vcpu, this.#now()), args, args.length);
  }

  /** A call begins: it takes its place now and its result with end(). Only while recording. @returns what end() wants */
  begin(name: number, domid: number, vcpu: number, args: readonly bigint[], count: number): number {
    const at = this.#entered >= 0 ? this.#entered : this.#now();
    this.#entered = -1;
    const slot = this.#slot(name, domid, vcpu, at);
    this.#arguments(slot, args, count);
    return slot;
  }
  /** @param result null = none */
  end(slot: number, result: number | null): void {
    const ring = this.#ring!;
    ring.result[slot] = result ?? NaN;
    ring.ns[slot] = Math.max(0, this.#now() - ring.at[slot]!);
  }

  #arguments(slot: number, args: readonly bigint[], count: number): void {
    const ring = this.#ring!;
    const at = slot * ARGUMENTS;
    for (let n = 0; n < count; n++) ring.args[at + n] = args[n]!;
    ring.count[slot] = count;
  }

  /** The newest `limit` records wanted with index above `after` and below `before`, oldest first, and how many more there were of them. */
  select(
    want: TraceSelection,
    after: number,
    before: number,
    limit: number,
    count = false,
  ): { records: TraceEntry[]; more: number } {
    const records: TraceEntry[] = [];
    let more = 0;
    if (!this.#ring) return { records, more };
    const text = want.text.toLowerCase();
    const kinds = new Set(want.kinds);
    const domids = new Set(want.domids);
    const oldest = Math.max(after + 1, this.last - TRACE_RECORDS + 1, 1);
    for (let index = Math.min(before - 1, this.last); index >= oldest; index--) {
      const slot = (index - 1) & (TRACE_RECORDS - 1);
      if (kinds.size && !kinds.has(NAMES[this.#ring.name[slot]!]!.kind)) continue;
      if (domids.size && !domids.has(this.#ring.domid[slot]!)) continue;
      if (want.failed && !(this.#ring.result[slot]! < 0)) continue;
      const full = records.length >= limit;
      if (full && !count) break;
      if (full && !text) more++;
      else {
        const e = this.#entry(index, slot);
        if (text && !e.name.toLowerCase().includes(text) && !e.args.toLowerCase().includes(text)) continue;
        if (full) more++;
        else records.push(e);
      }
    }
    return { records: records.reverse(), more };
  }

  #entry(index: number, slot: number): TraceEntry {
    const ring = this.#ring!;
    const what = NAMES[ring.name[slot]!]!;
    const args = [...ring.args.subarray(slot * ARGUMENTS, slot * ARGUMENTS + ring.count[slot]!)];
    const operation = what.operation?.(args);
    const value = ring.result[slot]!;
    const domid = ring.domid[slot]!;
    return {
      index,
      at: ring.at[slot]!,
      kind: what.kind,
      domid: domid === NOBODY ? null : domid,
      vcpu: ring.vcpu[slot]!,
      name: operation ? `${what.name} ${operation}` : what.name,
      args: args
        .map((a, n) => `${what.labels[n] ? `${what.labels[n]}=` : ''}${a < 10n ? a.toString() : `0x${a.toString(16)}`}`)
        .join(' '),
      result: Number.isNaN(value) ? '' : (what.result?.(value) ?? String(value)),
      ns: ring.ns[slot]!,
      failed: value < 0,
    };
  }
}
