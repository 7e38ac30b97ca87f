// What the meaning of an instruction works on while a region is written (the variables of its function, the ways out of it), and what it is seen to do.
// Invariant: nothing here knows how instructions mean what they mean (region-semantics.ts) or how a region is put together (translate.ts).

import type { E } from '../../wasm/expr.ts';
import type { Local } from '../../wasm/function.ts';
import type { Run } from './access-runs.ts';
import type { OperationRecord } from './operation-record.ts';
import type { RegionFlags } from './region-flags.ts';

/** Variables of the function being written, and how it is left. */
export interface RegionState {
  /** i64 in 64-bit code, else i32; null = not used by the region. */
  readonly registers: readonly (Local | null)[];
  readonly flags: RegionFlags;
  /** f64: low halves of the XMM registers that meanings use as doubles (the high halves stay in the state); null = in the state too. */
  readonly doubles: readonly (Local | null)[];
  /** Whether the low half of an XMM register is known to be zero or a normal double here: asked by who would have to check it otherwise. */
  isPlain(register: number): boolean;
  /** It is from here on, or it is not known any more: something was written there. */
  setPlain(register: number, plain: boolean): void;
  /** Linear address of the page the region is entered in (i64 in 64-bit code, else i32). */
  readonly pageBase: E;
  /** i32: TLB in use. */
  readonly tlb: Local;
  /** i64: MXCSR.PE, as it was at the entry, in bit 62. */
  readonly inexact: Local;
  /** Bases of FS and GS, checked to be usable without limits (as wide as pageBase). */
  segmentBase(segment: number): Local;
  /** WebAssembly address of the first byte of a run whose look-up has been written in this block; null: it has not. */
  runAt(run: Run): Local | null;
  /** It has: its local is this one. */
  beginRun(run: Run): Local;
  /** Address of a LastPage with the last page that was accessed by way of a register: see pageKey. Null: it is not remembered. */
  lastPage(key: string): number | null;
  /** Instructions of the region that have retired on this path since `fuel` was last brought up to date. */
  before: number;
  /** Leaves; the interpreter executes the instruction at a page offset. Flags and count are those in front of it. */
  bail(offset: number): void;
  /** Does what a system routine does, with everything in the state; goes on behind the instruction only if nothing else is to be done. */
  callRoutine(name: string, record: OperationRecord): void;
  /** Goes to a place relative to the page, inside the region or out of it. */
  go(offset: bigint): void;
  /** Goes to a linear address that is only known at run time; `record` is the instruction that goes there. */
  goTo(target: Local, record: OperationRecord): void;
}

/** Key of the page that the stack pointer points into: remembered only while it can be written. */
export const STACK_PAGE = 'stack';

/** What a meaning was seen to do while it was written. */
export interface Facts {
  /** Looks at old flags, for something else than new flags. */
  readsFlags: boolean;
  /** The same, or for new flags. */
  looksAtFlags: boolean;
  /** Sets all flags whatever happens. */
  setsFlags: boolean;
  /** Can leave in front of the instruction. */
  bails: boolean;
  /** Wants SSE to be usable: the region is not entered without. */
  sse: boolean;
  /** The same, and MXCSR at its default. */
  sseArithmetic: boolean;
  readonly read: Set<number>;
  readonly written: Set<number>;
  /** XMM registers whose low half is used as a value, and written so. */
  readonly doubles: Set<number>;
  readonly doublesWritten: Set<number>;
  /** XMM registers that it accesses in the state. */
  readonly vectors: Set<number>;
  readonly segments: Set<number>;
  /** Keys of the pages it accesses. */
  readonly pages: Set<string>;
  /** Its accesses, as they are made if nothing is in the way. */
  readonly accesses: SeenAccess[];
  /** Its memory operand's address is used for something else than an access. */
  addressUsed: boolean;
  /** What pushes and pops add to the stack pointer; NaN if that is not known. */
  stackStep: number;
}
/** An access of an instruction: of its memory operand, of the stack `delta` bytes from where a register points in front of it, or another one. */
export interface SeenAccess {
  readonly kind: 'operand' | 'stack' | 'other';
  readonly register: number;
  readonly delta: number;
  readonly bytes: number;
  readonly write: boolean;
}
export const noFacts = (): Facts => ({
  ...{ readsFlags: false, looksAtFlags: false, setsFlags: false, bails: false },
  ...{ sse: false, sseArithmetic: false },
  ...{ doubles: new Set(), doublesWritten: new Set(), vectors: new Set() },
  ...{ read: new Set(), written: new Set(), segments: new Set(), pages: new Set(), accesses: [], stackStep: 0 },
  addressUsed: false,
});
/** Makes facts say nothing again, sets aside: for who has no use for them. */
export function resetFacts(facts: Facts): Facts {
  facts.readsFlags = facts.looksAtFlags = facts.setsFlags = facts.bails = facts.sse = facts.sseArithmetic = false;
  facts.accesses.length = 0;
  facts.stackStep = 0;
  return facts;
}
