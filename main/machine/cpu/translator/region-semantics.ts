// Semantics over constants and locals: the second implementation, for translated code. Operands are read from the operation record while
// translating; general registers live in locals of the region's function, flags as region-flags.ts remembers them.
// Invariant: an instruction that cannot finish here (a fault, a page without a TLB entry, a rare case) changes nothing: the region returns
// that instruction's record and the interpreter executes it.

import type { Operand, Size } from '../../isa/instruction.ts';
import { REG, Semantics, rawLoad, rawStore, type ShiftKind } from '../../isa/semantics.ts';
import { E, i32, i64, konst, select } from '../../wasm/expr.ts';
import type { FunctionBuilder, Label, Local } from '../../wasm/function.ts';
import {
  F,
  FlagKind,
  LastPage,
  OpFlag,
  SLOT_PAGE_BASE,
  STATE,
  Seg,
  TLB_ADDEND,
  TLB_ENTRIES,
  TLB_TAG_READ,
  TLB_TAG_WRITE,
} from '../layout.ts';
import type { AccessPlan, Member } from './access-runs.ts';
import type { OperationRecord } from './operation-record.ts';
import { STACK_PAGE, noFacts, type Facts, type RegionState } from './region-state.ts';
import { callsRoutine, type RegionInstruction } from './blocks.ts';

/** The translator has no answer: our own mistake, region.ts took an instruction that it should not. */
function untranslatable(name: string, what: string): never {
  throw new Error(`The translator has no ${what}, which ${name} needs.`);
}
const Z = i32(0);
const FILE: Partial<Record<Operand['kind'], number>> = { V: F.xmm, W: F.xmm, U: F.xmm, N: F.fpr, Q: F.fpr };
type Bits = 16 | 32 | 64;

export class TranslatorSemantics extends Semantics {
  readonly facts: Facts;
  private readonly record: OperationRecord;
  private readonly region: RegionState;
  private readonly general: boolean;
  private readonly wanted: boolean;
  private readonly callsRoutine: boolean;
  private readonly plan: AccessPlan;
  /** What `address` answered; `local` null: nobody should need it, since a run tells where the operand is. */
  private operandAddress: { readonly address: E; readonly local: Local | null } | null = null;
  /** Branches of the meaning around this point. */
  private conditional = 0;
  private readonly undo: (() => void)[] = [];
  private end: Label | null = null;
  private settledAtEnd = false;

  /**
   * @param wanted false = nobody can see the flags that it sets
   * @param plan how it accesses memory
   * @param facts takes what it does
   */
  constructor(
    f: FunctionBuilder,
    mode: 32 | 64,
    { handler: h, record }: RegionInstruction,
    region: RegionState,
    wanted: boolean,
    plan: AccessPlan,
    facts: Facts = noFacts(),
  ) {
    super(f, mode, h.osz, h.instruction, h.operands, h.memory);
    this.facts = facts;
    this.record = record;
    this.plan = plan;
    this.region = region;
    this.general = h.general;
    this.callsRoutine = callsRoutine(h);
    this.wanted = wanted;
  }

  /** Writes the instruction. */
  writeInstruction(): void {
    const { flags } = this.region;
    const before = flags.at;
    if (this.instruction.routine === undefined) {
      this.instruction.meaning(this);
      return;
    }
    if (this.callsRoutine) {
      // it sees and may change everything
      this.facts.bails = true;
      this.facts.readsFlags = true;
      this.region.callRoutine(this.instruction.routine, this.record);
      return;
    }
    // its common cases end in `done`, the others in `system`
    this.f.block((end) => {
      this.end = end;
      this.instruction.meaning(this);
    });
    flags.at = this.settledAtEnd ? null : before;
  }

  // ---- leaving

  private bail(): void {
    this.facts.bails = true;
    for (const undo of this.undo) undo();
    this.region.bail(this.record.pageOffset);
  }
  raise(): void {
    this.bail();
  }
  system(): void {
    this.bail();
  }
  done(): void {
    const { flags } = this.region;
    if (this.settledAtEnd || this.facts.setsFlags) {
      flags.settle();
      flags.at = null;
      this.settledAtEnd = true;
    }
    this.f.br(this.end!);
  }
  faultIfPending(): void {
    untranslatable(this.instruction.name, 'faultIfPending');
  }
  atomicStack(body: () => void): void {
    const sp = this.let(this.register(REG.SP));
    this.undo.push(() => this.f.set(this.register(REG.SP), sp));
    body();
    this.undo.pop();
  }
  jumpDirect(): void {
    const { region } = this;
    region.before++;
    const { at } = region.flags;
    const { before } = region;
    region.go(this.record.imm);
    region.flags.at = at;
    region.before = before - 1;
  }
  jumpTo(target: E): void {
    const { region } = this;
    const to = this.let(target);
    region.before++;
    const { at } = region.flags;
    const { before } = region;
    region.goTo(to, this.record);
    region.flags.at = at;
    region.before = before - 1;
  }
  again(): void {
    untranslatable(this.instruction.name, 'again');
  }

  override if(c: E, then: () => void, otherwise?: () => void): void {
    if (c.k !== undefined) {
      if (c.k !== 0n) then();
      else otherwise?.();
      return;
    }
    const { f, region } = this;
    const { flags } = region;
    const before = flags.at;
    let changed = false;
    this.conditional++;
    f.if(
      c,
      () => {
        then();
        changed = flags.at !== before;
        if (changed) flags.settle();
        flags.at = before;
      },
      () => {
        otherwise?.();
        if (!changed && flags.at !== before) untranslatable(this.instruction.name, 'flags set only by an else');
        if (changed) flags.settle();
      },
    );
    this.conditional--;
    if (changed) flags.at = null;
  }

  // ---- general registers

  private register(n: number): Local {
    this.facts.read.add(n);
    return this.region.registers[n] ?? untranslatable(this.instruction.name, `local for register ${n}`);
  }
  override reg(n: number, size: Size): E {
    const r = this.register(n);
    if (size === 64) return this.mode === 64 ? r : r.zx();
    return size === 32 ? r.lo() : r.lo().and(size === 16 ? 0xffff : 0xff);
  }
  override setReg(n: number, size: Size, v: E): void {
    const r = this.register(n);
    this.facts.written.add(n);
    if (this.mode === 32) {
      const low = v.lo();
      const mask = size === 16 ? 0xffff : 0xff;
      this.f.set(r, size >= 32 ? low : r.and(~mask).or(low.and(mask)));
      this.region.flags.registerWritten(n, low, size >= 32);
      return;
    }
    const wide = v.zx();
    if (size === 64) this.f.set(r, wide);
    else if (size === 32) this.f.set(r, v.t === 'i32' ? wide : wide.and(0xffffffffn));
    else {
      const mask = size === 16 ? 0xffffn : 0xffn;
      this.f.set(r, r.and(~mask).or(wide.and(mask)));
    }
    this.region.flags.registerWritten(n, v, size >= 32);
  }
  /** Reads the state slot at byte `slot` (a general register, AH..BH, the zero slot or the page's base). */
  private readSlot(slot: number, size: Size): E {
    if (slot === SLOT_PAGE_BASE) return size === 64 ? this.region.pageBase : this.region.pageBase.lo();
    if (slot > SLOT_PAGE_BASE - 16) return this.k(size, 0);
    if (slot & 7)
      return this.register(slot >> 3)
        .lo()
        .shrU(8)
        .and(0xff);
    return this.reg(slot >> 3, size);
  }
  private writeSlot(slot: number, size: Size, v: E): void {
    if ((slot & 7) === 0) {
      this.setReg(slot >> 3, size, v);
      return;
    }
    const r = this.register(slot >> 3);
    this.facts.written.add(slot >> 3);
    if (this.mode === 32) this.f.set(r, r.and(~0xff00).or(v.lo().and(0xff).shl(8)));
    else this.f.set(r, r.and(~0xff00n).or(v.zx().and(0xffn).shl(8n)));
    this.region.flags.registerWritten(slot >> 3, v, false);
  }

  // ---- operands

  private isMemory(o: Operand): boolean {
    return (this.memory && 'EWQM'.includes(o.kind) && o.kind.length === 1) || o.kind === 'O';
  }
  private slotOf(o: Operand): number {
    switch (o.kind) {
      case 'E':
      case 'R':
      case 'Z':
      case 'U':
      case 'W':
      case 'Q':
        return this.record.rm;
      case 'A':
        return this.operands.some((x) => x !== o && 'EZ'.includes(x.kind)) ? REG.AX * 8 : this.record.rm;
      case 'G':
      case 'V':
      case 'N':
        return this.record.reg;
      default:
        return untranslatable(this.instruction.name, `operand of kind ${o.kind}`);
    }
  }
  read(i: number): E {
    const o = this.operands[i]!;
    const size = this.sizeOf(i);
    if (this.isMemory(o)) return this.load(this.address(), size);
    switch (o.kind) {
      case 'I':
        return konst(this.size === 64 ? 'i64' : 'i32', this.record.imm);
      case 'CL':
        return this.let(this.reg(REG.CX, 8));
      case 'DX':
        return this.let(this.reg(REG.DX, 16));
      case '1':
        return i32(1);
    }
    const slot = this.slotOf(o);
    const value = this.let(this.readSlot(slot, size));
    if (size >= 32 && slot < SLOT_PAGE_BASE - 8) this.region.flags.registerRead(slot >> 3, value);
    return value;
  }
  write(i: number, v: E): void {
    const o = this.operands[i]!;
    const size = this.sizeOf(i);
    if (this.isMemory(o)) {
      const value = this.let(v);
      this.store(this.address(), size, value);
    } else this.writeSlot(this.slotOf(o), size, v);
  }
  modify(i: number): { value: E; write: (v: E) => void } {
    const size = this.sizeOf(i);
    if (!this.isMemory(this.operands[i]!)) return { value: this.read(i), write: (v) => this.write(i, v) };
    const { h, finish } = this.modifyAddress(this.address(), size / 8);
    const value = this.let(rawLoad(h, size));
    return {
      value,
      write: (v) => {
        rawStore(this.f, h, size, v);
        finish();
      },
    };
  }
  vectorAddress(i: number): E {
    const o = this.operands[i]!;
    const slot = this.slotOf(o);
    if (FILE[o.kind] === F.xmm) this.facts.vectors.add(slot >> 4);
    return i32(slot + STATE + FILE[o.kind]!);
  }
  private double(i: number): Local {
    const n = this.slotOf(this.operands[i]!) >> 4;
    this.facts.doubles.add(n);
    return this.region.doubles[n] ?? untranslatable(this.instruction.name, `local for XMM${n}`);
  }
  override vectorLow(i: number): E {
    return this.double(i).op(0xbd, 'i64');
  }
  override setVectorLow(i: number, v: E): void {
    const n = this.slotOf(this.operands[i]!) >> 4;
    this.f.set(this.double(i), v.op(0xbf, 'f64'));
    this.facts.doublesWritten.add(n);
    this.region.setPlain(n, false);
  }
  override clearVectorHigh(i: number): void {
    this.f.st64(i32(this.slotOf(this.operands[i]!) + STATE + F.xmm), 8, i64(0));
  }
  override sameVector(): boolean {
    return !this.memory && this.slotOf(this.operands[0]!) === this.slotOf(this.operands[1]!);
  }
  override clearVector(i: number): void {
    // alone it is no reason to keep the low half in a local
    const slot = this.slotOf(this.operands[i]!);
    const local = this.region.doubles[slot >> 4];
    if (local) {
      this.f.set(local, konst('f64', 0));
      this.facts.doublesWritten.add(slot >> 4);
      this.region.setPlain(slot >> 4, true);
    } else this.f.st64(i32(slot + STATE + F.xmm), 0, i64(0));
    this.clearVectorHigh(i);
  }
  override lowIsPlain(i: number): boolean {
    return this.region.isPlain(this.slotOf(this.operands[i]!) >> 4);
  }
  override noteLowPlain(i: number): void {
    this.region.setPlain(this.slotOf(this.operands[i]!) >> 4, true);
  }
  immediate(): E {
    return i64(this.record.imm);
  }
  opcodeBytes(): E {
    return i32(this.record.bytes);
  }
  // the region's entry asks for all of its instructions
  override sseRefused(): E {
    this.facts.sse = true;
    return Z;
  }
  override sseUnusual(): E {
    this.facts.sse = true;
    this.facts.sseArithmetic = true;
    return Z;
  }
  override sseInexactKnown(): E {
    return this.region.inexact.ne(0n);
  }
  override sseInexactBit(): E {
    return this.region.inexact;
  }
  prefix(flag: number): E {
    return i32(this.record.flags & flag);
  }
  selectorOfReg(): E {
    return Z.ld32(STATE + F.selector + this.record.reg * 4);
  }
  memorySelector(): E {
    return Z.ld32(STATE + F.selector + this.record.seg * 4);
  }

  // ---- addresses: the data segments are flat, FS and GS have a base

  /** Bits of the address size. */
  private get width(): Bits {
    if (this.mode === 32) return this.record.flags & OpFlag.Addr16 ? 16 : 32;
    return this.record.flags & OpFlag.Addr32 ? 32 : 64;
  }
  /** Cuts an offset (i32 or i64) to the address size; the result is as wide as an address. */
  private cut(offset: E): E {
    if (this.mode === 64) return this.width === 32 ? offset.lo().zx() : offset;
    return this.width === 16 ? offset.and(0xffff) : offset;
  }
  private linear(offset: E, segment = this.record.seg): E {
    if (!this.general || segment < Seg.FS) return offset;
    this.facts.segments.add(segment);
    return this.region.segmentBase(segment).add(offset);
  }
  effectiveAddress(): E {
    const { base, index, scale, disp } = this.record;
    const size = this.mode;
    const scaled = this.readSlot(index, size);
    let sum = this.readSlot(base, size);
    if (scaled.k === undefined) {
      const shifted = scale === 0 ? scaled : scaled.shl(scale);
      sum = sum.k === undefined ? sum.add(shifted) : shifted;
    }
    return this.cut(sum.add(this.k(size, disp)));
  }
  address(): E {
    const t = this.mode === 64 ? 'i64' : 'i32';
    const { operand } = this.plan;
    const byNumber = this.operands.some((o) => o.kind === 'O');
    const wanted = !operand || this.region.runAt(operand.run) === null;
    const local = wanted
      ? this.let(this.linear(byNumber ? this.k(this.mode, this.record.imm) : this.effectiveAddress()))
      : null;
    const address = new E(t, (w) => {
      this.facts.addressUsed = true;
      if (!local) untranslatable(this.instruction.name, 'address of its own');
      local.emit(w);
    });
    this.operandAddress = { address, local };
    return address;
  }
  addressPlus(delta: E): E {
    const sum = this.effectiveAddress().add(this.mode === 64 ? delta.sx() : delta.lo());
    return this.linear(this.cut(sum));
  }
  xlatAddress(): E {
    const sum = this.reg(REG.BX, this.mode).add(this.mode === 64 ? this.reg(REG.AX, 8).zx() : this.reg(REG.AX, 8));
    return this.linear(this.cut(sum));
  }
  counter(): { value: E; decrement: () => E } {
    const { width } = this;
    const value = this.reg(REG.CX, width);
    return {
      value,
      decrement: () => {
        const v = this.let(this.reg(REG.CX, width).sub(1));
        this.setReg(REG.CX, width, v);
        return width === 16 ? this.let(v.and(0xffff)) : v;
      },
    };
  }
  subtractCounter(n: E): void {
    const { width } = this;
    this.setReg(REG.CX, width, this.reg(REG.CX, width).sub(width === 64 ? n.zx() : n));
  }
  override get wholeOnly(): boolean {
    return true;
  }
  override leaveWhole(): void {
    this.bail();
  }
  advanceIndex(register: number, delta: E): void {
    const { width } = this;
    this.setReg(register, width, this.reg(register, width).add(width === 64 ? delta.sx() : delta));
  }
  private index(register: number): E {
    const v = this.reg(register, this.width);
    return this.mode === 64 ? v.zx() : v;
  }
  stringSource(): E {
    return this.let(this.linear(this.index(REG.SI)));
  }
  stringDestination(): E {
    return this.let(this.index(REG.DI));
  }

  // ---- memory

  private entry(address: E): E {
    const mask = (TLB_ENTRIES - 1) << 5;
    return this.region.tlb.add(address.shrU(7).lo().and(mask));
  }
  private hit(entry: E, address: E, bytes: number, tag: number): E {
    const last = bytes === 1 ? address : address.add(bytes - 1);
    return last.and(-4096).eq(this.mode === 64 ? entry.ld64(tag) : entry.ld32(tag));
  }
  private hostAddress(entry: E, address: E): E {
    return address.lo().add(entry.ld32(TLB_ADDEND));
  }
  /**
   * Accesses that probably go to one page have one key: those by the same base register, or with the same page as displacement. A page that
   * can be read need not be writable, so these are apart; the stack's is both.
   */
  private pageKey(write: boolean, register?: number): string {
    const { base, disp } = this.record;
    const by = register ?? (base < SLOT_PAGE_BASE - 8 ? base >> 3 : -1);
    if (by === REG.SP) return STACK_PAGE;
    return `${by >= 0 ? by : `page ${disp >> 12}`}${write ? ' written' : ''}`;
  }
  /** Eight bytes are aligned in 64-bit code; in 32-bit code those of SSE are, those of x87 need not be. */
  private get alignsEight(): boolean {
    return this.mode === 64 || this.operands.some((o) => o.kind === 'V');
  }
  /**
   * Whether all bytes of an access lie in a remembered page. The last byte alone does not tell: the access may begin in the page in front, whose
   * memory is elsewhere. What is mostly aligned is left to the TLB where it is not, which costs one comparison.
   */
  private isPage(first: E, bytes: number, at: number): E {
    const wide = this.mode === 64;
    const tag = wide ? Z.ld64(at + LastPage.tag) : Z.ld32(at + LastPage.tag);
    const page = (address: E, mask: number): E => (wide ? address.and(BigInt(mask)) : address.and(mask));
    if (bytes <= 4 || (bytes === 8 && this.alignsEight)) return page(first, -4096 | (bytes - 1)).eq(tag);
    const known = this.let(tag);
    return page(first, -4096)
      .eq(known)
      .and(page(first.add(bytes - 1), -4096).eq(known));
  }
  private remember(at: number, address: E, addend: E): void {
    if (this.mode === 64) this.f.st64(Z, at + LastPage.tag, address.and(-4096n));
    else this.f.st32(Z, at + LastPage.tag, address.and(-4096));
    this.f.st32(Z, at + LastPage.addend, addend);
  }
  /** @param stack the access is that many bytes from where a register points in front of the instruction */
  private find(address: E, bytes: number, write: boolean, stack?: { register: number; delta: number }): E {
    const { f } = this;
    const { register } = stack ?? {};
    const ofOperand = address === this.operandAddress?.address;
    const kind = this.conditional > 0 ? 'other' : ofOperand ? 'operand' : stack ? 'stack' : 'other';
    this.facts.accesses.push({ kind, register: register ?? -1, delta: stack?.delta ?? 0, bytes, write });
    const member = kind === 'other' ? null : this.plan[kind];
    const linear = ofOperand ? this.operandAddress!.local : address;
    if (member) return this.inRun(linear, member);
    const key = this.pageKey(write, stack && REG.SP);
    this.facts.pages.add(key);
    const last = this.region.lastPage(key);
    const a = this.let(linear!);
    const h = f.local('i32');
    const tag = write ? TLB_TAG_WRITE : TLB_TAG_READ;
    const miss = (): void => (this.plan.careful ? this.slowWay(h, a, bytes, write) : this.bail());
    const viaTlb = (): void => {
      const entry = this.let(this.entry(a));
      const found = (): void => {
        const addend = this.let(entry.ld32(TLB_ADDEND));
        // the stack's page is remembered for both ways
        if (last && (write || key !== STACK_PAGE)) this.remember(last, a, addend);
        f.set(h, a.lo().add(addend));
      };
      const hit = this.hit(entry, a, bytes, tag);
      if (this.plan.careful) f.if(hit, found, miss, true);
      else {
        f.if(hit.eqz(), miss, undefined, false);
        found();
      }
    };
    if (!last) viaTlb();
    else f.if(this.isPage(a, bytes, last), () => f.set(h, a.lo().add(Z.ld32(last + LastPage.addend))), viaTlb, true);
    return h;
  }
  private inRun(address: E | null, { run, offset }: Member): E {
    let at = this.region.runAt(run);
    if (!at) {
      const first = this.let(offset === run.low ? address! : address!.add(this.k(this.mode, run.low - offset)));
      const entry = this.let(this.entry(first));
      const hit = this.hit(entry, first, run.high - run.low, run.write ? TLB_TAG_WRITE : TLB_TAG_READ);
      this.f.if(hit.eqz(), () => this.bail(), undefined, false);
      at = this.region.beginRun(run);
      this.f.set(at, this.hostAddress(entry, first));
    }
    return at.near(offset - run.low);
  }
  /** Asks for a page that the TLB does not have as it is wanted here. */
  private slowWay(h: Local, a: Local, bytes: number, write: boolean): void {
    const hi = this.mode === 64 ? a.shrU(32n).lo() : Z;
    this.f.set(h, this.f.call(write ? 'region_write' : 'region_read', a.lo(), hi, i32(bytes)));
    this.f.if(h.eqz(), () => this.bail(), undefined, false);
  }
  loadAddress(address: E, bytes: number): E {
    return this.find(address, bytes, false);
  }
  private stackAddress(address: E, bytes: number, write: boolean, delta = 0, register: number = REG.SP): E {
    return this.find(address, bytes, write, { register, delta });
  }
  storeAt(address: E, bytes: number, put: (h: E) => void): void {
    put(this.find(address, bytes, true));
  }
  modifyAddress(address: E, bytes: number): { h: E; finish: () => void } {
    return { h: this.find(address, bytes, true), finish: () => {} };
  }
  peek(address: E, write: boolean): E {
    const a = this.let(address);
    const entry = this.let(this.entry(a));
    return select(this.hit(entry, a, 1, write ? TLB_TAG_WRITE : TLB_TAG_READ), this.hostAddress(entry, a), 0);
  }

  // ---- stack

  private pushBytes(reserve: number, bytes: number, put: (h: E) => void): void {
    const sp = this.let(this.reg(REG.SP, this.mode).sub(reserve));
    put(this.stackAddress(sp, bytes, true, this.facts.stackStep - reserve));
    this.facts.stackStep -= reserve;
    this.setReg(REG.SP, this.mode, sp);
  }
  push(v: E, size: Size): void {
    const value = this.let(v);
    this.pushBytes(size / 8, size / 8, (h) => rawStore(this.f, h, size, value));
  }
  pushSelector(selector: E, size: Size): void {
    if (size === 64) this.push(selector.zx(), 64);
    else this.pushBytes(size / 8, 2, (h) => this.f.st16(h, 0, selector));
  }
  pop(size: Size): { value: Local; commit: (extra?: E) => void } {
    const sp = this.let(this.reg(REG.SP, this.mode));
    const value = this.let(rawLoad(this.stackAddress(sp, size / 8, false, this.facts.stackStep), size));
    return {
      value,
      commit: (extra) => {
        const v = sp.add(size / 8);
        this.facts.stackStep += extra ? NaN : size / 8;
        this.setReg(REG.SP, this.mode, extra ? v.add(this.mode === 64 ? extra : extra.lo()) : v);
      },
    };
  }
  leave(size: Size): void {
    const bp = this.let(this.reg(REG.BP, this.mode));
    const value = this.let(rawLoad(this.stackAddress(bp, size / 8, false, 0, REG.BP), size));
    this.setReg(REG.SP, this.mode, bp.add(size / 8));
    this.setReg(REG.BP, size, value);
  }

  // ---- flags

  /** All flags are new; INC, DEC and rotates keep some, which matter as far as the new ones do. */
  private sets(): void {
    if (this.conditional === 0 || this.instruction.routine !== undefined) this.facts.setsFlags = true;
  }
  override flags(kind: keyof typeof FlagKind, size: Size, r: E, a?: E, b?: E): void {
    this.sets();
    if (this.wanted) this.region.flags.setKind(FlagKind[kind], size, r, a, b);
  }
  override flagsExplicit(size: Size, r: E, cf: E, of: E, af?: E): void {
    this.sets();
    if (!this.wanted) return;
    const ra = this.let(r);
    const aa = this.let(af ? cf.or(af.shl(4)) : cf);
    const bb = this.let(of);
    this.region.flags.setKind(FlagKind.Explicit, size, ra, aa, bb);
  }
  override get someFlagsWanted(): boolean {
    return this.wanted;
  }
  override flagsDivided(): void {
    if (!this.wanted) return;
    const { flags } = this.region;
    const cf = this.let(flags.flag('cf').or(0x10));
    flags.setKind(FlagKind.Explicit, 32, i32(1), cf, flags.flag('of'));
  }
  override flagsStep(size: Size, r: E, delta: 1 | -1): void {
    if (this.wanted) this.region.flags.setStep(size, r, delta);
  }
  override flagsCarried(subtract: boolean, size: Size, r: E, a: E, b: E, c: E): void {
    this.sets();
    if (this.wanted) this.region.flags.setCarried(subtract, size, r, a, b, c);
  }
  override flagsShift(kind: ShiftKind, size: Size, a: E, c: E, r: E): void {
    this.sets();
    if (this.wanted) this.region.flags.setShift(kind, size, a, c, r);
  }
  override flagsRotate(left: boolean, size: Size, r: E): void {
    if (this.wanted) this.region.flags.setRotate(left, size, r);
  }
  flagsCarryOverflow(cf: E, of: E | null): void {
    if (this.wanted) this.region.flags.setCarryOverflow(cf, of);
  }
  setArithmeticFlags(image: E): void {
    this.sets();
    if (this.wanted) this.region.flags.setImage(image);
  }
  setFlag(): void {
    untranslatable(this.instruction.name, 'setFlag');
  }
  setFlagKind(): void {
    untranslatable(this.instruction.name, 'setFlagKind');
  }
  setFlagKindFrom(): void {
    untranslatable(this.instruction.name, 'setFlagKindFrom');
  }
  flag(name: 'cf' | 'pf' | 'af' | 'zf' | 'sf' | 'of'): Local {
    this.facts.readsFlags = true;
    return this.region.flags.flag(name);
  }
  carry(): Local {
    return this.flag('cf');
  }
  condition(cc: number): E {
    this.facts.readsFlags = true;
    return this.region.flags.condition(cc);
  }

  // ---- addresses of code

  private codeAddress(offset: number): E {
    const at = this.region.pageBase;
    return this.mode === 64 ? at.add(BigInt(offset)) : at.add(offset);
  }
  nextRip(): E {
    return this.codeAddress(this.record.pageOffset + this.record.length);
  }
  ownRip(): E {
    return this.codeAddress(this.record.pageOffset).zx();
  }
}
