// The frame of a region's function: what it keeps in locals, how that comes from the state at the entry and goes back, and calls that are made with
// everything in the state: of system routines, and of the regions that guest calls go to.
// Invariant: behind a call the region goes on only if all that its entry asked for is still so; else it leaves, with nothing in a local.

import { MXCSR_CONTROL, MXCSR_DEFAULT, MXCSR_PRECISION, REG } from '../../isa/semantics.ts';
import { E, i32, i64, select } from '../../wasm/expr.ts';
import { FunctionBuilder, type Local } from '../../wasm/function.ts';
import { UNUSUAL } from '../fast-calls.ts';
import {
  CALL_DEPTH,
  CALL_RETURNS,
  F,
  FIRST_REGION,
  GPR,
  LastPage,
  Next,
  OP,
  PAGE,
  PAGE_CODE,
  RAM_BASE,
  REGION_SECOND,
  SLOT_PAGE_BASE,
  STATE,
  SegAttr,
  TLB_ADDEND,
  TLB_ENTRIES,
  TLB_INVALID,
  TLB_TAG_EXEC,
  TLB_TAG_WRITE,
} from '../layout.ts';
import type { Run } from './access-runs.ts';
import type { Analysed, Uses } from './analyse.ts';
import { LONGEST_WAY, RegionExit } from './interface.ts';
import { routineFunctions } from './observe.ts';
import type { OperationRecord } from './operation-record.ts';
import { PlainDoubles } from './plain-doubles.ts';
import { RegionFlags } from './region-flags.ts';
import { STACK_PAGE } from './region-state.ts';
import { pagesToRemember } from './remembered-pages.ts';

const Z = i32(0);
const state = (field: number): E => Z.ld32(STATE + field);
/** Attributes of a data segment without surprises. */
const PLAIN_FORBIDS = SegAttr.Unusable | SegAttr.Code | SegAttr.DC;
/** Calls that may wait for their return at a time: each takes up to some KiB of the thread's stack. */
export const DEEPEST_CALL = 24;

/** Not 0 (i32): SSE is not as the meanings take it to be. Null if none of them does. */
function unusual({ sse, sseArithmetic }: Uses): E | null {
  if (!sse) return null;
  const refused = state(F.cr0).and(12).or(state(F.cr4).and(0x200).xor(0x200));
  return sseArithmetic ? refused.or(state(F.mxcsr).and(MXCSR_CONTROL).xor(MXCSR_DEFAULT)) : refused;
}

export class RegionFrame {
  readonly registers: readonly (Local | null)[];
  readonly flags: RegionFlags;
  readonly doubles: readonly (Local | null)[];
  protected readonly plain = new PlainDoubles();
  readonly tlb: Local;
  readonly inexact: Local;
  before = 0;
  /** Runs that have been looked up in the block that is being written, and the locals for those of any block. */
  readonly #runs = new Map<Run, Local>();
  readonly #runLocals: Local[] = [];
  protected readonly f: FunctionBuilder;
  protected readonly a: Analysed;
  /** Instructions left; `before` of them have run since it was brought up to date. */
  protected readonly fuel: Local;
  /** WebAssembly address of the page behind if it is the one the region was made with, else 0; and of the one it was made with. Null: not needed. */
  protected readonly second: { readonly here: Local; readonly wanted: Local } | null;
  readonly #segments = new Map<number, Local>();
  readonly #pages = new Map<string, number>();
  /** Not 0: an instruction of SSE would do something else than is written here. Null: there is none. */
  readonly #sse: E | null;
  /** Machine frame the region is entered in, and its slot. Null: it makes no calls that it would come back from. */
  readonly #entered: { readonly frame: Local; readonly slot: Local } | null;

  /** Writes the entry: it returns the record again if the region cannot be entered as things are. */
  constructor(f: FunctionBuilder, a: Analysed) {
    this.f = f;
    this.a = a;
    this.#sse = unusual(a.uses);
    const record = f.params[0]!;
    this.fuel = f.let(state(F.fuel).add(1));
    f.if(
      this.fuel.ltS(a.longest[a.dispatched.entry]!).or(this.#unusable()),
      () => {
        this.setRip(this.address(i32(a.region.blocks[0]!.instructions[0]!.record.pageOffset)));
        f.st32(Z, STATE + F.fuel, this.fuel);
        f.return(record);
      },
      undefined,
      false,
    );
    for (const s of this.a.uses.segments) this.#segments.set(s, f.let(this.#load(F.segBase + s * 8)));
    this.registers = Array.from({ length: 16 }, (_, n) => (a.uses.used.has(n) ? f.let(this.#load(GPR + n * 8)) : null));
    const { doubles } = a.uses;
    this.doubles = Array.from({ length: 16 }, (_, n) => (doubles.has(n) ? f.local('f64') : null));
    this.loadDoubles(doubles);
    this.tlb = f.let(state(F.tlb));
    const spans = a.region.blocks.some(({ instructions }) =>
      instructions.some(({ record: r, spanning }) => spanning !== null || r.pageOffset >= PAGE),
    );
    const slot = record.ld16u(OP.handler);
    this.second = spans ? { here: f.local('i32'), wanted: f.let(slot.shl(2).ld32(REGION_SECOND)) } : null;
    this.#entered = a.region.blocks.some((b) => b.behindCall !== null)
      ? { frame: f.let(state(F.codeFrame)), slot: f.let(slot) }
      : null;
    this.#findSecond();
    this.inexact = f.local('i64');
    this.#findInexact();
    this.flags = new RegionFlags(f, this.registers);
    const instructions = a.region.blocks.map((b) => b.instructions);
    for (const key of pagesToRemember(a.flow, instructions, a.facts, a.plans))
      this.#pages.set(key, LastPage.first + this.#pages.size * LastPage.bytes);
    this.#forgetPages();
  }

  /** See RegionState: not in a local, of which there are more than a processor has registers. */
  get pageBase(): E {
    return this.#load(SLOT_PAGE_BASE);
  }

  // ---- between locals and the state

  /** A field as wide as an address. */
  #load(offset: number): E {
    return this.a.mode === 64 ? Z.ld64(STATE + offset) : Z.ld32(STATE + offset);
  }
  /** Not 0 (i32): the state is not what the region's code takes it to be. */
  #unusable(): E {
    let cannot: E = i32(0);
    if (this.a.mode === 32) {
      // upper halves that 32-bit code would clear, left by 64-bit code
      for (const n of this.a.uses.written) cannot = cannot.or(state(GPR + n * 8 + 4));
      for (const s of this.a.uses.segments) {
        const attr = state(F.segAttr + s * 4);
        cannot = cannot.or(attr.and(PLAIN_FORBIDS | SegAttr.RW).xor(SegAttr.RW)).or(state(F.segLimit + s * 4).xor(-1));
      }
    }
    return this.#sse ? cannot.or(this.#sse) : cannot;
  }
  /** Writes registers, fuel and where to go on to the state. */
  protected spill(rip: E): void {
    const { f } = this;
    for (const n of this.a.uses.written)
      if (this.a.mode === 64) f.st64(Z, STATE + GPR + n * 8, this.registers[n]!);
      else f.st32(Z, STATE + GPR + n * 8, this.registers[n]!);
    this.spillDoubles(this.a.uses.doublesWritten);
    f.st32(Z, STATE + F.fuel, this.fuel);
    this.setRip(rip);
  }
  #findInexact(): void {
    if (this.#sse) this.f.set(this.inexact, state(F.mxcsr).and(MXCSR_PRECISION).zx().shl(57n));
  }
  /** Everything behind a call. */
  #reload(): void {
    const { f } = this;
    for (const n of this.a.uses.used) f.set(this.registers[n]!, this.#load(GPR + n * 8));
    this.loadDoubles(this.a.uses.doubles);
    for (const [s, base] of this.#segments) f.set(base, this.#load(F.segBase + s * 8));
    this.#findInexact();
    this.#forgetPages();
    this.#findSecond();
    this.flags.at = null;
  }
  protected spillDoubles(those: Iterable<number>): void {
    for (const n of those) if (this.doubles[n]) this.f.stF64(Z, STATE + F.xmm + n * 16, this.doubles[n]);
  }
  protected loadDoubles(those: Iterable<number>): void {
    for (const n of those) {
      const local = this.doubles[n];
      if (local) this.f.set(local, Z.ld64(STATE + F.xmm + n * 16).op(0xbf, 'f64'));
      this.plain.set(n, false);
    }
  }
  protected setRip(v: E): void {
    this.f.st64(Z, STATE + F.rip, v.zx());
  }

  // ---- calls

  /** See RegionState. */
  callRoutine(name: string, record: OperationRecord): void {
    const { f } = this;
    this.flags.settle();
    f.set(this.fuel, this.fuel.sub(this.before + 1));
    this.spill(this.address(i32(record.pageOffset)));
    const next = f.local('i32');
    const op = f.let(this.recordAt(i32(record.pageOffset)));
    const [first, second] = routineFunctions(name);
    f.set(next, f.call(first!, op));
    if (second !== undefined) f.if(next.eq(UNUSUAL), () => f.set(next, f.call(second, op)), undefined, false);
    f.if(next, () => {
      f.if(next.eq(Next.Jump), () => f.returnCall('region_next'));
      f.if(next.eq(Next.Fault), () => {
        f.st32(Z, STATE + F.fuel, this.fuel.add(1));
        f.return(i32(RegionExit.Fault));
      });
      f.return(next);
    });
    // an interrupt waits (or so much of the budget has been waited for a device that it might), or this very code has been overwritten
    const taken = state(F.fuel).ne(this.fuel).and(state(F.fuel).ltS(LONGEST_WAY));
    let stop = taken.or(f.params[0]!.ld16u(OP.handler).ltU(FIRST_REGION));
    if (this.#sse) stop = stop.or(this.#sse);
    f.if(
      stop,
      () => {
        this.setRip(this.address(i32(record.pageOffset + record.length)));
        f.return(i32(RegionExit.Left));
      },
      undefined,
      false,
    );
    f.set(this.fuel, state(F.fuel).add(this.before + 1));
    this.#reload();
  }

  /**
   * Goes to a function that is not in the region and comes back when it returns to `site`, if nothing is in the way by then. Flags and fuel are settled.
   * @param rip where the function begins
   * @param site page offset of the instruction behind the call
   */
  protected callOut(rip: E, site: number): void {
    const { f } = this;
    const { frame, slot } = this.#entered!;
    this.spill(rip);
    const depth = f.let(Z.ld32(CALL_DEPTH));
    f.if(depth.geU(DEEPEST_CALL), () => f.returnCall('region_next'), undefined, false);
    f.st32(Z, CALL_DEPTH, depth.add(1));
    f.st64(depth.shl(3), CALL_RETURNS, this.address(i32(site)).zx());
    const result = f.let(f.call('region_next'));
    f.st32(Z, CALL_DEPTH, depth);
    f.if(result.ne(RegionExit.Returned), () => f.return(result), undefined, false);
    // this code may be gone, elsewhere, or for another mode by now (a routine that the function called can do anything to memory)
    const wide = this.a.mode === 64;
    f.set(this.tlb, state(F.tlb));
    const back = depth.shl(3);
    const page = f.let(wide ? back.ld64(CALL_RETURNS).sub(BigInt(site)) : back.ld32(CALL_RETURNS).sub(site));
    const entry = f.let(this.#entryOf(page));
    const known = wide ? entry.ld64(TLB_TAG_EXEC) : entry.ld32(TLB_TAG_EXEC);
    const here = page.lo().add(entry.ld32(TLB_ADDEND)).sub(RAM_BASE).shrU(12);
    const other = known
      .ne(page)
      .or(here.ne(frame))
      .or(f.params[0]!.ld16u(OP.handler).ne(slot))
      .or(state(F.mode).ne(this.a.region.key))
      .or(this.#unusable());
    f.if(other, () => f.returnCall('region_next'), undefined, false);
    f.set(this.fuel, state(F.fuel));
    f.st64(Z, STATE + SLOT_PAGE_BASE, page.zx());
    f.st32(Z, STATE + F.codeFrame, frame);
    this.#reload();
  }
  /** Leaves from a function's end, with everything in the state: to the call that waits for just this return, if there is one. */
  protected returnToCall(rip: E): void {
    const { f } = this;
    const depth = f.let(Z.ld32(CALL_DEPTH));
    const waits = depth
      .shl(3)
      .ld64(CALL_RETURNS - 8)
      .eq(rip.zx());
    f.if(depth.ne(0).and(waits), () => f.return(i32(RegionExit.Returned)));
    f.returnCall('region_next');
  }

  // ---- pages

  #entryOf(linear: E): E {
    return this.tlb.add(
      linear
        .lo()
        .shrU(7)
        .and((TLB_ENTRIES - 1) << 5),
    );
  }
  /** Whether the page behind is mapped, and to what it was when the region was made: asked where mappings can have changed. */
  #findSecond(): void {
    if (!this.second) return;
    const { f } = this;
    const { here, wanted } = this.second;
    const wide = this.a.mode === 64;
    const next = f.let(wide ? this.pageBase.add(BigInt(PAGE)) : this.pageBase.add(PAGE));
    const entry = f.let(this.#entryOf(next));
    const known = (wide ? entry.ld64(TLB_TAG_EXEC) : entry.ld32(TLB_TAG_EXEC)).eq(next);
    f.set(here, select(known.and(next.lo().add(entry.ld32(TLB_ADDEND)).eq(wanted)), wanted, Z));
  }
  /** If an offset lies in the page behind, that is the one executing. */
  protected executeIn(offset: E): void {
    if (!this.second) return;
    const { f } = this;
    const { here } = this.second;
    f.if(offset.geU(PAGE), () => {
      f.st64(Z, STATE + SLOT_PAGE_BASE, this.address(i32(PAGE)).zx());
      f.st32(Z, STATE + F.codeFrame, here.sub(RAM_BASE).shrU(12));
    });
  }
  /** Leaves an instruction that spans two pages to the interpreter unless its bytes are those that were translated. */
  protected sameBytes(offset: number, bytes: Uint8Array): E {
    const { here } = this.second!;
    const head = PAGE - offset;
    const frame = state(F.codeFrame).shl(12);
    let right: E = here.ne(0);
    // eight bytes at a time, at the end of the one page and the beginning of the other
    for (let from = 0; from < bytes.length;) {
      const end = from < head ? Math.min(head, from + 8) : Math.min(bytes.length, from + 8);
      const wanted = bytes.subarray(from, end).reduceRight((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
      const unused = BigInt(64 - 8 * (end - from));
      const word =
        from < head
          ? frame.ld64(RAM_BASE + offset + end - 8).shrU(unused)
          : here.ld64(from - head).and((1n << (64n - unused)) - 1n);
      right = right.and(word.eq(i64(BigInt.asIntN(64, wanted))));
      from = end;
    }
    return right;
  }
  /** The record at an offset of the executing page: no address is part of the code, which serves every page with the same instructions. */
  protected recordAt(offset: E): E {
    const map = state(F.codeFrame).shl(2).ld32(PAGE_CODE);
    return map.add(offset.shl(2)).ld32();
  }
  /** Linear address of a page offset (i32), as wide as addresses are. */
  protected address(offset: E): E {
    return this.pageBase.add(this.a.mode === 64 ? offset.zx() : offset);
  }
  /** No page is remembered but the stack's: whichever page the TLB has where the stack's next belongs, if it can be written. */
  #forgetPages(): void {
    const { f } = this;
    for (const [key, at] of this.#pages) {
      if (key !== STACK_PAGE) {
        f.st64(Z, at + LastPage.tag, i64(TLB_INVALID));
        continue;
      }
      const entry = f.let(this.#entryOf(this.registers[REG.SP]!.sub(8)));
      f.st64(Z, at + LastPage.tag, entry.ld64(TLB_TAG_WRITE));
      f.st32(Z, at + LastPage.addend, entry.ld32(TLB_ADDEND));
    }
  }
  protected forgetRuns(): void {
    this.#runs.clear();
  }
  runAt(run: Run): Local | null {
    return this.#runs.get(run) ?? null;
  }
  beginRun(run: Run): Local {
    const local = (this.#runLocals[this.#runs.size] ??= this.f.lasting('i32'));
    this.#runs.set(run, local);
    return local;
  }
  isPlain(register: number): boolean {
    return this.plain.ask(register);
  }
  setPlain(register: number, plain: boolean): void {
    this.plain.set(register, plain);
  }
  lastPage(key: string): number | null {
    return this.#pages.get(key) ?? null;
  }
  segmentBase(segment: number): Local {
    return this.#segments.get(segment)!;
  }
}
