// Writes modules of regions. Each region is one WebAssembly function with structured control flow; general registers and flags are locals that
// are spilled where it is left. Every meaning is written twice: once to see what it does, then for good with dead flags left out.
// Invariant: nothing observable is in a local when the function returns, and it returns only between two instructions.

import { MXCSR_CONTROL, MXCSR_DEFAULT, MXCSR_PRECISION, REG } from '../../isa/semantics.ts';
import { E, i32, i64, select } from '../../wasm/expr.ts';
import { FunctionBuilder, type Label, type Local } from '../../wasm/function.ts';
import { ModuleBuilder } from '../../wasm/module.ts';
import { UNUSUAL } from '../fast-calls.ts';
import {
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
import { FLAT_32, ModeKey } from '../mode.ts';
import './branch-hints.ts';
import { analyse, type Analysed } from './analyse.ts';
import { retreats } from './flow.ts';
import {
  RegionExit,
  type CodeMemory,
  type RegionFunction,
  type RegionModule,
  type RegionRequest,
} from './interface.ts';
import { Observer, declareShared, routineFunctions } from './observe.ts';
import { sameLoopFlags, type LoopFlags } from './loop-flags.ts';
import type { OperationRecord } from './operation-record.ts';
import { RegionFlags, formText, sharedForms, type WholeFlags } from './region-flags.ts';
import { TranslatorSemantics } from './region-semantics.ts';
import { STACK_PAGE, type Facts, type RegionState } from './region-state.ts';
import { pagesToRemember } from './remembered-pages.ts';
import { findRegion, type Region } from './blocks.ts';

const Z = i32(0);
/** Where a bail goes on is a page offset, and from this bit on how many instructions are still to be taken from `fuel`. */
const BEFORE_SHIFT = 13;
/** Attributes of a data segment without surprises. */
const PLAIN_FORBIDS = SegAttr.Unusable | SegAttr.Code | SegAttr.DC;

/** What exits and joins may call besides what the meanings do. */
const ALWAYS_SHARED = ['region_next', 'region_stack', 'kind_cf', 'kind_pf', 'kind_af', 'kind_sf', 'kind_of'];

/** As many targets of an indirect jump are compared one after the other; more by halving. */
const COMPARED = 2;

/** Not 0 (i32): SSE is not as the meanings take it to be. Null if none of them does. */
function unusual(facts: readonly Facts[]): E | null {
  if (!facts.some((x) => x.sse)) return null;
  const state = (offset: number): E => Z.ld32(STATE + offset);
  const refused = state(F.cr0).and(12).or(state(F.cr4).and(0x200).xor(0x200));
  if (!facts.some((x) => x.sseArithmetic)) return refused;
  return refused.or(state(F.mxcsr).and(MXCSR_CONTROL).xor(MXCSR_DEFAULT));
}

class RegionWriter implements RegionState {
  readonly registers: readonly (Local | null)[];
  readonly flags: RegionFlags;
  readonly doubles: readonly (Local | null)[];
  plain = new Set<number>();
  readonly #doublesWritten: readonly number[];
  readonly pageBase: Local;
  readonly tlb: Local;
  readonly inexact: Local;
  before = 0;
  readonly #f: FunctionBuilder;
  readonly #a: Analysed;
  readonly #fuel: Local;
  readonly #used: readonly number[];
  readonly #written: readonly number[];
  /** Not 0: an instruction of SSE would do something else than is written here. Null: there is none. */
  readonly #sse: E | null;
  readonly #rip: Local;
  readonly #result: Local;
  readonly #segments = new Map<number, Local>();
  readonly #pages = new Map<string, number>();
  readonly #labels = new Map<number, Label>();
  readonly #forms: ReadonlyMap<number, LoopFlags | null>;
  /** How the ways back to heads leave the flags, if all of them leave them alike and something looks at them. */
  readonly left = new Map<number, LoopFlags | null>();
  readonly #plainAtHeads: ReadonlyMap<number, ReadonlySet<number>>;
  /** XMM registers whose low half is plain on every edge to a head of a loop. */
  readonly plainOf = new Map<number, Set<number>>();
  /** Which entry a block that was added goes to. */
  readonly #next: Local;
  #block = 0;
  /** WebAssembly address of the page behind if it is the one the region was made with, else 0; and of the one it was made with. Null: not needed. */
  readonly #second: { readonly here: Local; readonly wanted: Local } | null;
  /** Where the function is left: with F.rip in a local, or for the interpreter to execute the record at the page offset in `result` (and behind how many since `fuel`: BEFORE_SHIFT). */
  #left: Label | null = null;
  /** The same with flags of a form of sharedForms, by its text. */
  readonly #wayOf = new Map<string | null, { readonly label: Label; taken: boolean }>();
  #stay: Label | null = null;

  /**
   * @param forms how the passes of loops leave the flags, by head: what `left` of an earlier writer found
   * @param plainAtHeads what its `plainOf` found: knowing less at heads, it knew no more on any edge
   */
  constructor(
    f: FunctionBuilder,
    a: Analysed,
    forms: ReadonlyMap<number, LoopFlags | null>,
    plainAtHeads: ReadonlyMap<number, ReadonlySet<number>>,
  ) {
    this.#forms = forms;
    this.#plainAtHeads = plainAtHeads;
    // the region's own entry brings anything
    this.plainOf.set(0, new Set());
    this.#f = f;
    this.#a = a;
    const { mode } = a;
    const facts = a.flow.order.flatMap((n) => a.facts[n]!);
    const all = (pick: (x: Facts) => ReadonlySet<number>): number[] => [...new Set(facts.flatMap((x) => [...pick(x)]))];
    const used = new Set([...all((x) => x.read), ...all((x) => x.written)]);
    const written = all((x) => x.written);
    this.#written = written;
    this.#used = [...used];
    const load = (offset: number): E => (mode === 64 ? Z.ld64(STATE + offset) : Z.ld32(STATE + offset));
    const record = f.params[0]!;
    this.#fuel = f.let(Z.ld32(STATE + F.fuel).add(1));
    this.pageBase = f.let(load(SLOT_PAGE_BASE));
    this.#result = f.let(record);
    this.#next = f.local('i32');
    this.#rip = f.local(mode === 64 ? 'i64' : 'i32');
    const longest = a.longest[0]!;
    let cannot: E = this.#fuel.ltS(longest);
    // upper halves that 32-bit code would clear, left by 64-bit code
    if (mode === 32) for (const n of written) cannot = cannot.or(Z.ld32(STATE + GPR + n * 8 + 4));
    this.#sse = unusual(facts);
    if (this.#sse) cannot = cannot.or(this.#sse);
    for (const s of all((x) => x.segments)) {
      if (mode === 32) {
        const attr = Z.ld32(STATE + F.segAttr + s * 4);
        cannot = cannot
          .or(attr.and(PLAIN_FORBIDS | SegAttr.RW).xor(SegAttr.RW))
          .or(Z.ld32(STATE + F.segLimit + s * 4).xor(-1));
      }
    }
    f.if(
      cannot,
      () => {
        this.#setRip(f, this.#entryRip());
        f.st32(Z, STATE + F.fuel, this.#fuel);
        f.return(record);
      },
      undefined,
      false,
    );
    for (const s of all((x) => x.segments)) this.#segments.set(s, f.let(load(F.segBase + s * 8)));
    this.registers = Array.from({ length: 16 }, (_, n) => (used.has(n) ? f.let(load(GPR + n * 8)) : null));
    const doubles = new Set(all((x) => x.doubles));
    this.#doublesWritten = all((x) => x.doublesWritten);
    this.doubles = Array.from({ length: 16 }, (_, n) => (doubles.has(n) ? f.local('f64') : null));
    this.#loadDoubles(doubles);
    this.tlb = f.let(Z.ld32(STATE + F.tlb));
    const spans = a.region.blocks.some(({ instructions }) =>
      instructions.some(({ record, spanning }) => spanning !== null || record.pageOffset >= PAGE),
    );
    const slot = record.ld16u(OP.handler).shl(2);
    this.#second = spans ? { here: f.local('i32'), wanted: f.let(slot.ld32(REGION_SECOND)) } : null;
    this.#findSecond();
    this.inexact = f.local('i32');
    if (facts.some((x) => x.sseArithmetic)) f.set(this.inexact, Z.ld32(STATE + F.mxcsr).and(MXCSR_PRECISION));
    this.flags = new RegionFlags(f, this.registers);
    const instructions = a.region.blocks.map((b) => b.instructions);
    for (const key of pagesToRemember(a.flow, instructions, a.facts))
      this.#pages.set(key, LastPage.first + this.#pages.size * LastPage.bytes);
    this.#forgetPages();
    f.block((left) => {
      this.#left = left;
      f.block((stay) => {
        this.#stay = stay;
        this.#ways(sharedForms(mode), stay);
      });
      f.set(this.#fuel, this.#fuel.sub(this.#result.shrU(BEFORE_SHIFT)));
      f.set(this.#result, this.#result.and((1 << BEFORE_SHIFT) - 1));
      f.set(this.#rip, this.#address(this.#result));
      this.#executeIn(this.#result);
      f.set(this.#result, this.#recordAt(this.#result.and(PAGE - 1)));
    });
    this.#spillRegisters();
    this.flags.spill();
    f.st32(Z, STATE + F.fuel, this.#fuel);
    this.#setRip(f, this.#rip);
    f.if(this.#result.eq(RegionExit.Left), () => f.returnCall('region_next'));
    f.return(this.#result);
  }

  #spillRegisters(): void {
    const f = this.#f;
    for (const n of this.#written)
      if (this.#a.mode === 64) f.st64(Z, STATE + GPR + n * 8, this.registers[n]!);
      else f.st32(Z, STATE + GPR + n * 8, this.registers[n]!);
    this.#spillDoubles(this.#doublesWritten);
  }
  #spillDoubles(those: Iterable<number>): void {
    for (const n of those) if (this.doubles[n]) this.#f.stF64(Z, STATE + F.xmm + n * 16, this.doubles[n]);
  }
  #loadDoubles(those: Iterable<number>): void {
    for (const n of those) {
      const local = this.doubles[n];
      if (local) this.#f.set(local, Z.ld64(STATE + F.xmm + n * 16).op(0xbf, 'f64'));
      this.plain.delete(n);
    }
  }
  callRoutine(name: string, record: OperationRecord): void {
    const f = this.#f;
    const { mode } = this.#a;
    this.flags.settle();
    this.flags.at = null;
    this.#spillRegisters();
    this.flags.changed = true;
    this.flags.spill();
    const left = f.let(this.#fuel.sub(this.before + 1));
    f.st32(Z, STATE + F.fuel, left);
    this.#setRip(f, this.#address(i32(record.pageOffset)));
    const next = f.local('i32');
    const op = f.let(this.#recordAt(i32(record.pageOffset)));
    const [first, second] = routineFunctions(name);
    f.set(next, f.call(first!, op));
    if (second !== undefined) f.if(next.eq(UNUSUAL), () => f.set(next, f.call(second, op)), undefined, false);
    f.if(next, () => {
      f.if(next.eq(Next.Jump), () => f.returnCall('region_next'));
      f.if(next.eq(Next.Fault), () => {
        f.st32(Z, STATE + F.fuel, left.add(1));
        f.return(i32(RegionExit.Fault));
      });
      f.return(next);
    });
    // an interrupt waits, or this very code has been overwritten
    let stop = Z.ld32(STATE + F.fuel)
      .ne(left)
      .or(f.params[0]!.ld16u(OP.handler).ltU(FIRST_REGION));
    if (this.#sse) stop = stop.or(this.#sse);
    f.if(
      stop,
      () => {
        this.#setRip(f, this.#address(i32(record.pageOffset + record.length)));
        f.return(i32(RegionExit.Left));
      },
      undefined,
      false,
    );
    const load = (offset: number): E => (mode === 64 ? Z.ld64(STATE + offset) : Z.ld32(STATE + offset));
    for (const n of this.#used) f.set(this.registers[n]!, load(GPR + n * 8));
    this.#loadDoubles(this.doubles.keys());
    for (const [s, base] of this.#segments) f.set(base, load(F.segBase + s * 8));
    if (this.#sse) f.set(this.inexact, Z.ld32(STATE + F.mxcsr).and(MXCSR_PRECISION));
    this.#forgetPages();
    this.#findSecond();
    this.flags.reload();
  }

  /** Whether the page behind is mapped, and to what it was when the region was made: asked where mappings can have changed. */
  #findSecond(): void {
    if (!this.#second) return;
    const f = this.#f;
    const { here, wanted } = this.#second;
    const wide = this.#a.mode === 64;
    const next = f.let(wide ? this.pageBase.add(BigInt(PAGE)) : this.pageBase.add(PAGE));
    const entry = f.let(
      this.tlb.add(
        next
          .lo()
          .shrU(7)
          .and((TLB_ENTRIES - 1) << 5),
      ),
    );
    const known = (wide ? entry.ld64(TLB_TAG_EXEC) : entry.ld32(TLB_TAG_EXEC)).eq(next);
    f.set(here, select(known.and(next.lo().add(entry.ld32(TLB_ADDEND)).eq(wanted)), wanted, Z));
  }
  /** If an offset lies in the page behind, that is the one executing. */
  #executeIn(offset: E): void {
    if (!this.#second) return;
    const { here } = this.#second;
    const f = this.#f;
    f.if(offset.geU(PAGE), () => {
      f.st64(Z, STATE + SLOT_PAGE_BASE, this.#address(i32(PAGE)).zx());
      f.st32(Z, STATE + F.codeFrame, here.sub(RAM_BASE).shrU(12));
    });
  }
  /** Leaves an instruction that spans two pages to the interpreter unless its bytes are those that were translated. */
  #checkBytes(offset: number, bytes: Uint8Array): void {
    const { here } = this.#second!;
    const head = PAGE - offset;
    const frame = Z.ld32(STATE + F.codeFrame).shl(12);
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
    this.#f.if(right.eqz(), () => this.bail(offset), undefined, false);
  }

  #setRip(f: FunctionBuilder, v: E): void {
    f.st64(Z, STATE + F.rip, v.zx());
  }
  /** The record at an offset of the executing page: no address is part of the code, which serves every page with the same instructions. */
  #recordAt(offset: E): E {
    const map = Z.ld32(STATE + F.codeFrame)
      .shl(2)
      .ld32(PAGE_CODE);
    return map.add(offset.shl(2)).ld32();
  }
  #address(offset: E): E {
    return this.pageBase.add(this.#a.mode === 64 ? offset.zx() : offset);
  }
  #entryRip(): E {
    return this.#address(i32(this.#a.region.blocks[0]!.instructions[0]!.record.pageOffset));
  }
  /** No page is remembered but the stack's: whichever page the TLB has where the stack's next belongs, if it can be written. */
  #forgetPages(): void {
    const f = this.#f;
    for (const [key, at] of this.#pages) {
      if (key !== STACK_PAGE) {
        f.st64(Z, at + LastPage.tag, i64(TLB_INVALID));
        continue;
      }
      const below = this.registers[REG.SP]!.sub(8).lo();
      const entry = f.let(this.tlb.add(below.shrU(7).and((TLB_ENTRIES - 1) << 5)));
      f.st64(Z, at + LastPage.tag, entry.ld64(TLB_TAG_WRITE));
      f.st32(Z, at + LastPage.addend, entry.ld32(TLB_ADDEND));
    }
  }
  lastPage(key: string): number | null {
    return this.#pages.get(key) ?? null;
  }
  segmentBase(segment: number): Local {
    return this.#segments.get(segment)!;
  }

  // ---- blocks in their nesting

  #tree(n: number): void {
    const { flow } = this.#a;
    const inside = (): void => {
      const joins = flow.dominated[n]!.filter((k) => flow.joins.has(k)).toSorted(
        (a, b) => flow.place[b]! - flow.place[a]!,
      );
      this.#within(n, joins);
    };
    if (!flow.heads.has(n)) {
      inside();
      return;
    }
    this.plain = new Set(this.#plainAtHeads.get(n));
    this.#f.loop((head) => {
      this.#labels.set(n, head);
      this.flags.beginPass(n, this.#forms.get(n) ?? null);
      inside();
    });
  }
  /** Block `n` inside labels for `joins`, whose code follows where their labels end. */
  #within(n: number, joins: readonly number[]): void {
    const [outer, ...rest] = joins;
    if (outer === undefined) {
      this.#write(n);
      return;
    }
    this.#f.block((label) => {
      // a head that is also a join is entered by its label from outside; its loop's label replaces this one inside
      this.#labels.set(outer, label);
      this.#within(n, rest);
    });
    this.#arrive();
    this.#tree(outer);
  }
  /** At a place where paths come together: nothing is known but what all of them brought into the state's form. */
  #arrive(): void {
    this.flags.at = null;
    this.before = 0;
    this.plain.clear();
  }

  #write(n: number): void {
    const { region, facts, wanted, mode, dispatched } = this.#a;
    const f = this.#f;
    const outer = this.#block;
    this.#block = n;
    const entries = dispatched.entries.get(n);
    if (entries) {
      entries.slice(1).forEach((to, k) => f.if(this.#next.eq(k + 1), () => this.#edge(to)));
      this.#edge(entries[0]!);
      this.#block = outer;
      return;
    }
    const { instructions } = region.blocks[n]!;
    const last = instructions.at(-1)!;
    instructions.forEach((instruction, i) => {
      const x = facts[n]![i]!;
      // a routine's common cases are written as branches
      const decides = instruction.handler.instruction.routine !== undefined && (x.setsFlags || x.written.size > 0);
      f.scope(() => {
        if (instruction.spanning) this.#checkBytes(instruction.record.pageOffset, instruction.spanning);
        if (x.looksAtFlags || decides) this.flags.decide();
        this.flags.detach(x.written);
        this.flags.beginInstruction();
        const s = new TranslatorSemantics(f, mode, instruction, this, wanted[n]![i]!);
        this.#spillDoubles(x.vectors);
        s.writeInstruction();
        this.#loadDoubles([...x.vectors].filter((r) => !x.doublesWritten.has(r)));
      });
      this.before++;
    });
    if (last.onward === 'next' || last.onward === 'conditional')
      this.go(BigInt(last.record.pageOffset + last.record.length));
    this.#block = outer;
  }

  // ---- edges

  go(offset: bigint): void {
    const { region } = this.#a;
    const to = offset >= 0n && offset < 2n * BigInt(PAGE) ? region.blockAt.get(Number(offset)) : undefined;
    // a place of the region may be one that this block was not seen to go to: a function in the page behind
    if (to === undefined || !region.blocks[this.#block]!.successors.includes(to)) {
      this.#leave(this.pageBase.add(this.#a.mode === 64 ? offset : Number(BigInt.asIntN(32, offset))));
      return;
    }
    this.#edge(to);
  }
  #edge(block: number): void {
    const { flow, longest, liveAtStart, region, dispatched } = this.#a;
    const f = this.#f;
    const added = dispatched.via(this.#block, block);
    const to = added ?? block;
    const back = retreats(flow, this.#block, to);
    const { at } = this.flags;
    const { before } = this;
    const plain = new Set(this.plain);
    this.#enterSecond(block);
    if (flow.heads.has(to)) this.#notePlain(to);
    if (flow.heads.has(to) && !dispatched.entries.has(this.#block)) {
      // a pass must be paid for in full; the interpreter executes the rest of a budget
      const enough = longest[to]! + before;
      const first = region.blocks[block]!.instructions[0]!.record.pageOffset;
      f.if(this.#fuel.ltS(enough), () => this.bail(first), undefined, false);
    }
    if (added !== undefined) f.set(this.#next, dispatched.entries.get(added)!.indexOf(block));
    if (back && liveAtStart[to]! && !dispatched.entries.has(to)) this.#noteLeft(to);
    const form = this.#forms.get(to);
    const settle = (): void => {
      if (form) this.flags.endPass(form);
      this.#settle(!form && liveAtStart[to]!);
    };
    if (!back && !flow.joins.has(to)) {
      if (flow.heads.has(to)) {
        settle();
        this.#arrive();
      }
      this.#tree(to);
    } else {
      settle();
      f.br(this.#labels.get(to)!);
    }
    this.flags.at = at;
    this.before = before;
    this.plain = plain;
  }
  /** Control goes from the first page to a block of the page behind: it leaves if that is another page by now. */
  #enterSecond(block: number): void {
    const { region } = this.#a;
    const offsetOf = (n: number): number => region.blocks[n]?.instructions[0]!.record.pageOffset ?? PAGE;
    const to = offsetOf(block);
    if (to < PAGE || offsetOf(this.#block) >= PAGE) return;
    const { at } = this.flags;
    const { before } = this;
    this.#f.if(this.#second!.here.eqz(), () => this.#leave(this.#address(i32(to))), undefined, false);
    this.flags.at = at;
    this.before = before;
  }
  #notePlain(head: number): void {
    const known = this.plainOf.get(head) ?? this.plain;
    this.plainOf.set(head, new Set([...known].filter((r) => this.plain.has(r))));
  }
  #noteLeft(head: number): void {
    const form = this.flags.form();
    const known = this.left.get(head);
    const same = known === undefined || (known !== null && form !== null && sameLoopFlags(known, form));
    this.left.set(head, same ? form : null);
  }
  /** Brings fuel and, if they matter, flags into the form in which paths come together. */
  #settle(flags: boolean): void {
    if (flags) this.flags.settle();
    if (this.before !== 0) this.#f.set(this.#fuel, this.#fuel.sub(this.before));
  }

  goTo(target: Local, record: { pageOffset: number }): void {
    const { region } = this.#a;
    const sites = (region.targets.get(record.pageOffset) ?? []).filter((site) => region.blockAt.has(site));
    if (sites.length > 0) this.#choose(target, sites);
    this.#leave(target);
  }
  /** Goes to the one of the region's places that a linear address is, if it is one. */
  #choose(target: Local, sites: readonly number[]): void {
    const f = this.#f;
    const { region } = this.#a;
    const edge = (site: number): void => this.#edge(region.blockAt.get(site)!);
    if (sites.length <= COMPARED) {
      for (const site of sites) f.if(target.eq(this.#address(i32(site))), () => edge(site));
      return;
    }
    const distance = f.let(target.sub(this.pageBase));
    const end = this.#second ? 2 * PAGE : PAGE;
    f.if(distance.ltU(this.#a.mode === 64 ? BigInt(end) : end), () => {
      const offset = f.let(distance.lo());
      const among = (those: readonly number[]): void => {
        const middle = those.length >> 1;
        if (middle === 0) f.if(offset.eq(those[0]!), () => edge(those[0]!));
        else
          f.if(
            offset.ltU(those[middle]!),
            () => among(those.slice(0, middle)),
            () => among(those.slice(middle)),
          );
      };
      among(sites.toSorted((a, b) => a - b));
    });
  }

  #leave(rip: E): void {
    const f = this.#f;
    f.set(this.#rip, rip);
    this.#settle(true);
    f.set(this.#result, RegionExit.Left);
    f.br(this.#left!);
  }
  bail(offset: number): void {
    const f = this.#f;
    f.set(this.#result, offset | (this.before << BEFORE_SHIFT));
    const way = this.#wayOf.get(formText(this.flags.at));
    if (way) {
      way.taken = true;
      f.br(way.label);
      return;
    }
    this.flags.settle();
    f.br(this.#stay!);
  }
  /** The region inside labels for ways out that bring flags of these forms into the state's: most ways out share that code. */
  #ways(forms: readonly WholeFlags[], stay: Label): void {
    const f = this.#f;
    const [form, ...rest] = forms;
    if (!form) {
      this.#tree(0);
      f.unreachable();
      return;
    }
    let taken = false;
    f.block((label) => {
      const way = { label, taken: false };
      this.#wayOf.set(formText(form), way);
      this.#ways(rest, stay);
      ({ taken } = way);
    });
    if (!taken) {
      f.unreachable();
      return;
    }
    this.flags.at = form;
    this.flags.settle();
    f.br(stay);
  }
}

/** Writes a region; one with loops twice, since only then it is known how their passes leave the flags. */
function writeRegion(f: FunctionBuilder, a: Analysed): void {
  const nothing = new Map<number, LoopFlags | null>();
  const looks = [...a.flow.heads].some((head) => a.liveAtStart[head]);
  const doubles = a.facts.some((all) => all.some((x) => x.doubles.size > 0));
  const { left, flags, plainOf } =
    looks || (doubles && a.flow.heads.size > 0)
      ? new RegionWriter(new FunctionBuilder(f.module, ['i32']), a, nothing, new Map())
      : { left: nothing, flags: undefined, plainOf: new Map<number, Set<number>>() };
  // what is looked at in every pass is better brought into the state's form where the passes come together
  for (const [head, form] of left)
    if (flags?.looked.has(head) || (flags?.stepped.has(head) && !form?.whole.carryOfState)) left.set(head, null);
  new RegionWriter(f, a, left, plainOf);
}

/** See TranslateRegions in interface.ts. */
export function translateRegions(
  code: { readonly mem: CodeMemory },
  mode: 32 | 64,
  requests: readonly RegionRequest[],
): RegionModule | null {
  const functions: RegionFunction[] = [];
  const analysed: Analysed[] = [];
  const calls = new Set(ALWAYS_SHARED);
  const observer = new Observer(mode);
  const found = requests.flatMap((request) => {
    if (mode === 32 && (request.key & FLAT_32) !== FLAT_32) return [];
    if ((request.key & ModeKey.Vm86) !== 0) return [];
    const region = findRegion(code.mem, mode, request);
    const offsets = region?.blocks.flatMap((b) => b.instructions.map(({ record }) => record.pageOffset)) ?? [];
    return region && offsets.length >= 2 ? [{ request, region, offsets }] : [];
  });
  const { kept, covered } = leaveOutCovered(found);
  for (const { request, region, offsets } of kept) {
    analysed.push(analyse(mode, region, observer, calls));
    functions.push({ name: `r${functions.length}`, request, offsets, instructions: offsets.length });
  }
  if (functions.length === 0) return null;
  const m = new ModuleBuilder();
  declareShared(m, mode, calls);
  functions.forEach(({ name }, n) => m.func(name, ['i32'], ['i32'], (f) => writeRegion(f, analysed[n]!), true));
  return { bytes: m.build(16), functions, covered: covered.map(({ request }) => request) };
}

interface FoundRegion {
  readonly request: RegionRequest;
  readonly region: Region;
  /** Page offsets of its instructions. */
  readonly offsets: readonly number[];
}
/** The regions that are not entered at a place inside a bigger one (of those that have each other's places, the first). */
function leaveOutCovered(found: readonly FoundRegion[]): { kept: FoundRegion[]; covered: FoundRegion[] } {
  const kept: FoundRegion[] = [];
  const covered: FoundRegion[] = [];
  for (const one of found.toSorted((a, b) => b.offsets.length - a.offsets.length)) {
    const { frame, key } = one.request;
    const inside = kept.some(
      ({ request, offsets }) => request.frame === frame && request.key === key && offsets.includes(one.offsets[0]!),
    );
    (inside && !one.request.alone ? covered : kept).push(one);
  }
  return { kept, covered };
}
