// Writes modules of regions. Each region is one WebAssembly function with structured control flow; general registers and flags are locals that
// are spilled where it is left. Every meaning is written twice: once to see what it does, then for good with dead flags left out.
// Invariant: nothing observable is in a local when the function returns, and it returns only between two instructions.

import { isPlainDouble } from '../../isa/sse-float-fast.ts';
import { E, i32 } from '../../wasm/expr.ts';
import { FunctionBuilder, type Label, type Local } from '../../wasm/function.ts';
import { ModuleBuilder } from '../../wasm/module.ts';
import { PAGE } from '../layout.ts';
import { FLAT_32, ModeKey } from '../mode.ts';
import './branch-hints.ts';
import { analyse, type Analysed } from './analyse.ts';
import { findRegion, type Region } from './blocks.ts';
import { retreats } from './flow.ts';
import {
  RegionExit,
  type CodeMemory,
  type RegionFunction,
  type RegionModule,
  type RegionRequest,
} from './interface.ts';
import { sameLoopFlags, type LoopFlags } from './loop-flags.ts';
import { Observer, declareShared } from './observe.ts';
import type { PlainHeads } from './plain-doubles.ts';
import { formText, sharedForms, type WholeFlags } from './region-flags.ts';
import { RegionFrame } from './region-frame.ts';
import { TranslatorSemantics } from './region-semantics.ts';
import { noFacts, resetFacts, type RegionState } from './region-state.ts';

/** Where a bail goes on is a page offset, and from this bit on how many instructions are still to be taken from `fuel`. */
const BEFORE_SHIFT = 13;

/** What exits and joins may call besides what the meanings do. */
const ALWAYS_SHARED = ['region_next', 'kind_cf', 'kind_pf', 'kind_af', 'kind_sf', 'kind_of'];

/** As many targets of an indirect jump are compared one after the other; more by halving. */
const COMPARED = 2;

class RegionWriter extends RegionFrame implements RegionState {
  readonly #rip: Local;
  readonly #result: Local;
  readonly #labels = new Map<number, Label>();
  readonly #forms: ReadonlyMap<number, LoopFlags | null>;
  /** How the ways back to heads leave the flags, if all of them leave them alike and something looks at them. */
  readonly left = new Map<number, LoopFlags | null>();
  readonly #plainHeads: PlainHeads;
  /** Which entry a block that was added goes to. */
  readonly #next: Local;
  #block = 0;
  /** What instructions do is known by now. */
  readonly #done = noFacts();
  /** Where the function is left: with F.rip in a local, or for the interpreter to execute the record at the page offset in `result` (and behind how many since `fuel`: BEFORE_SHIFT). */
  #left: Label | null = null;
  /** The same with flags of a form of sharedForms, by its text. */
  readonly #wayOf = new Map<string | null, { readonly label: Label; taken: boolean }>();
  #stay: Label | null = null;

  /**
   * @param forms how the passes of loops leave the flags, by head: what `left` of an earlier writer found
   * @param plainHeads what it found out about doubles at heads
   */
  constructor(f: FunctionBuilder, a: Analysed, forms: ReadonlyMap<number, LoopFlags | null>, plainHeads: PlainHeads) {
    super(f, a);
    this.#forms = forms;
    this.#plainHeads = plainHeads;
    this.#result = f.let(f.params[0]!);
    this.#next = f.local('i32');
    this.#rip = f.local(a.mode === 64 ? 'i64' : 'i32');
    f.block((left) => {
      this.#left = left;
      f.block((stay) => {
        this.#stay = stay;
        this.#ways(sharedForms(a.mode), stay);
      });
      f.set(this.fuel, this.fuel.sub(this.#result.shrU(BEFORE_SHIFT)));
      f.set(this.#result, this.#result.and((1 << BEFORE_SHIFT) - 1));
      f.set(this.#rip, this.address(this.#result));
      this.executeIn(this.#result);
      f.set(this.#result, this.recordAt(this.#result.and(PAGE - 1)));
    });
    this.spill(this.#rip);
    f.if(this.#result.eq(RegionExit.Left), () => f.returnCall('region_next'));
    const returns = a.region.blocks.some(({ instructions }) => instructions.at(-1)!.onward === 'return');
    if (returns) f.if(this.#result.eq(RegionExit.Returned), () => this.returnToCall(this.#rip));
    f.return(this.#result);
  }

  /** What this writing found out about doubles at heads of loops. */
  get plainHeads(): PlainHeads {
    return this.plain.heads();
  }

  // ---- blocks in their nesting

  #begin(): void {
    const { entry } = this.a.dispatched;
    this.plain.forget();
    // where added blocks come first a check may be made on the way from them
    if (this.a.flow.heads.has(entry)) this.#checkPlain(entry, 0, false);
    this.#tree(entry);
  }
  #tree(n: number): void {
    const { flow } = this.a;
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
    this.plain.beginPass(n, this.a.uses.doubles, this.#plainHeads.get(n));
    this.f.loop((head) => {
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
    this.f.block((label) => {
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
    this.plain.forget();
  }

  #write(n: number): void {
    const { region, facts, plans, wanted, mode, dispatched } = this.a;
    const { f } = this;
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
    this.forgetRuns();
    instructions.forEach((instruction, i) => {
      const x = facts[n]![i]!;
      // a routine's common cases are written as branches
      const decides = instruction.handler.instruction.routine !== undefined && (x.setsFlags || x.written.size > 0);
      f.scope(() => {
        const { pageOffset } = instruction.record;
        if (instruction.spanning)
          f.if(this.sameBytes(pageOffset, instruction.spanning).eqz(), () => this.bail(pageOffset), undefined, false);
        if (x.looksAtFlags || decides) this.flags.decide();
        this.flags.detach(x.written);
        this.flags.beginInstruction();
        const s = new TranslatorSemantics(
          ...([f, mode, instruction, this] as const),
          ...([wanted[n]![i]!, plans[n]![i]!, resetFacts(this.#done)] as const),
        );
        this.spillDoubles(x.vectors);
        s.writeInstruction();
        this.loadDoubles([...x.vectors].filter((r) => !x.doublesWritten.has(r)));
      });
      this.before++;
    });
    if (last.onward === 'next' || last.onward === 'conditional')
      this.go(BigInt(last.record.pageOffset + last.record.length));
    this.#block = outer;
  }

  // ---- edges

  go(offset: bigint): void {
    const { region } = this.a;
    const to = offset >= 0n && offset < 2n * BigInt(PAGE) ? region.blockAt.get(Number(offset)) : undefined;
    // a place of the region may be one that this block was not seen to go to: a function in the page behind
    if (to === undefined || !region.blocks[this.#block]!.successors.includes(to)) {
      this.#leave(this.pageBase.add(this.a.mode === 64 ? offset : Number(BigInt.asIntN(32, offset))));
      return;
    }
    this.#edge(to);
  }
  #edge(block: number): void {
    const { flow, longest, liveAtStart, region, dispatched } = this.a;
    const { f } = this;
    const added = dispatched.via(this.#block, block);
    const to = added ?? block;
    const back = retreats(flow, this.#block, to);
    const { at } = this.flags;
    const { before } = this;
    const { point } = this.plain;
    this.#enterSecond(block);
    if (flow.heads.has(to)) this.#checkPlain(to, block, back);
    if (flow.heads.has(to) && !dispatched.entries.has(this.#block)) {
      // a pass must be paid for in full; the interpreter executes the rest of a budget
      const enough = longest[to]! + before;
      const first = region.blocks[block]!.instructions[0]!.record.pageOffset;
      f.if(this.fuel.ltS(enough), () => this.bail(first), undefined, false);
    }
    if (added !== undefined && dispatched.entries.get(added)!.length > 1)
      f.set(this.#next, dispatched.choice(added, block));
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
    this.plain.point = point;
  }
  /** Control goes from the first page to a block of the page behind: it leaves if that is another page by now. */
  #enterSecond(block: number): void {
    const { region } = this.a;
    const offsetOf = (n: number): number => region.blocks[n]?.instructions[0]!.record.pageOffset ?? PAGE;
    const to = offsetOf(block);
    if (to >= PAGE && offsetOf(this.#block) < PAGE) this.#needSecond(to);
  }
  #needSecond(to: number): void {
    const { at } = this.flags;
    const { before } = this;
    this.f.if(this.second!.here.eqz(), () => this.#leaveTo(this.address(i32(to))), undefined, false);
    this.flags.at = at;
    this.before = before;
  }
  /** On the way to the head of a loop: what a pass relies on is checked if it is not known here. */
  #checkPlain(head: number, block: number, back: boolean): void {
    this.plain.noteEdge(head, back);
    const missing = this.plain.missing(this.#plainHeads.get(head));
    if (missing.length === 0) return;
    const first = this.a.region.blocks[block]?.instructions[0]!.record.pageOffset;
    if (first === undefined) throw new Error(`The translator has no instruction to leave in front of block ${block}.`);
    const plain = missing.map((register) => isPlainDouble(this.f.let(this.doubles[register]!.op(0xbd, 'i64'))));
    this.f.if(plain.reduce((all, one) => all.and(one)).eqz(), () => this.bail(first), undefined, false);
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
    if (this.before !== 0) this.f.set(this.fuel, this.fuel.sub(this.before));
  }

  goTo(target: Local, record: { pageOffset: number }): void {
    const { region } = this.a;
    const sites = (region.targets.get(record.pageOffset) ?? []).filter((site) => region.blockAt.has(site));
    if (sites.length > 0) this.#choose(target, sites);
    this.#leave(target);
  }
  /** Goes to the one of the region's places that a linear address is, if it is one. */
  #choose(target: Local, sites: readonly number[]): void {
    const { f } = this;
    const { region } = this.a;
    const edge = (site: number): void => this.#edge(region.blockAt.get(site)!);
    if (sites.length <= COMPARED) {
      for (const site of sites) f.if(target.eq(this.address(i32(site))), () => edge(site));
      return;
    }
    const distance = f.let(target.sub(this.pageBase));
    const end = this.second ? 2 * PAGE : PAGE;
    f.if(distance.ltU(this.a.mode === 64 ? BigInt(end) : end), () => {
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

  /** Leaves behind the last instruction of a block; behind a call it comes back if it can. */
  #leave(rip: E): void {
    const { f } = this;
    const { instructions, behindCall } = this.a.region.blocks[this.#block]!;
    if (behindCall !== null) {
      this.#callOut(f.let(rip), behindCall);
      return;
    }
    this.#leaveTo(rip, instructions.at(-1)!.onward === 'return');
  }
  #leaveTo(rip: E, returns = false): void {
    const { f } = this;
    f.set(this.#rip, rip);
    this.#settle(true);
    f.set(this.#result, returns ? RegionExit.Returned : RegionExit.Left);
    f.br(this.#left!);
  }
  /** @param block the one behind the call */
  #callOut(rip: E, block: number): void {
    const { region, dispatched, longest } = this.a;
    const { at } = this.flags;
    const { before } = this;
    const { point } = this.plain;
    const { pageOffset } = region.blocks[block]!.instructions[0]!.record;
    this.#settle(true);
    this.callOut(rip, pageOffset);
    this.before = 0;
    const enough = longest[dispatched.via(this.#block, block) ?? block]!;
    this.f.if(this.fuel.ltS(enough), () => this.bail(pageOffset), undefined, false);
    if (pageOffset >= PAGE) this.#needSecond(pageOffset);
    this.#edge(block);
    this.flags.at = at;
    this.before = before;
    this.plain.point = point;
  }
  bail(offset: number): void {
    const { f } = this;
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
    const { f } = this;
    const [form, ...rest] = forms;
    if (!form) {
      this.#begin();
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
  const doubles = a.uses.doubles.size > 0;
  const { left, flags, plainHeads } =
    looks || (doubles && a.flow.heads.size > 0)
      ? new RegionWriter(new FunctionBuilder(f.module, ['i32']), a, nothing, new Map())
      : { left: nothing, flags: undefined, plainHeads: new Map() as PlainHeads };
  // what is looked at in every pass is better brought into the state's form where the passes come together
  for (const [head, form] of left)
    if (flags?.looked.has(head) || (flags?.stepped.has(head) && !form?.whole.carryOfState)) left.set(head, null);
  new RegionWriter(f, a, left, plainHeads);
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
