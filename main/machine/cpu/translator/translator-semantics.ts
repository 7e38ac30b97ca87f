// Semantics over constants and locals: the second implementation, for translated code. Operands are read from the operation record while
// translating; general registers and lazy flags live in locals of the region's function, the flags' kind in the translator's head where it can.
// Invariant: whatever leaves the region first says where (ripOffset), with what fuel and with which kind of flags; `region.exit` spills the rest.

import { flagOfKind } from '../flag-functions.ts';
import type { Handler } from '../handlers.ts';
import type { Operand, Size } from '../../isa/instruction.ts';
import { REG, Semantics, rawLoad, rawStore } from '../../isa/semantics.ts';
import { E, i32, i64, konst, select } from '../../wasm/expr.ts';
import type { FunctionBuilder, Label, Local } from '../../wasm/function.ts';
import { FlagKind, RAM_BASE, SLOT_PAGE_BASE, TLB_ADDEND, TLB_ENTRIES, TLB_TAG_READ, TLB_TAG_WRITE } from '../layout.ts';
import type { OperationRecord } from './operation-record.ts';

/** Why a region returned. */
export const RegionExit = {
  /** At its head, with less fuel than one pass could need. */
  Fuel: 0,
  /** A fault is pending; F.rip is the faulting instruction, which has not retired. */
  Fault: 1,
  /** At an instruction that is not part of it, or behind one whose access took a slow path that has to be looked at. */
  Left: 2,
} as const;

/** Variables and labels of the region being written. */
export interface RegionState {
  /** i64 each; null = not used by the region. */
  readonly registers: readonly (Local | null)[];
  readonly ccR: Local;
  readonly ccA: Local;
  readonly ccB: Local;
  /** i32: the flags' kind wherever `kind` is null. */
  readonly kindLocal: Local;
  /** The flags' kind at this point of the code, if known. */
  kind: number | null;
  /** i32: fuel at the last pass of the head. */
  readonly fuel: Local;
  /** i32: leave behind this instruction. */
  readonly leave: Local;
  /** i64: linear address of the executing page. */
  readonly pageBase: Local;
  /** i32: TLB in use. */
  readonly tlb: Local;
  readonly status: Local;
  /** i64: where to go on, relative to the page. */
  readonly ripOffset: Local;
  readonly exit: Label;
  readonly head: Label;
  /** Page offset of the head. */
  readonly start: number;
}

/** What a meaning was seen to do while it was written. */
export interface Facts {
  readsFlags: boolean;
  /** Sets all flags whatever happens, without looking at the old ones. */
  setsFlags: boolean;
  accessesMemory: boolean;
  jumps: boolean;
  read: Set<number>;
  written: Set<number>;
}

/** The translator was asked for something it has no answer to: our own mistake, the list of translatable instructions is wrong. */
function untranslatable(name: string, what: string): never {
  throw new Error(`The translator has no ${what}, which ${name} needs.`);
}
const Z = i32(0);
const KINDS = Object.values(FlagKind);

export class TranslatorSemantics extends Semantics {
  readonly facts: Facts = {
    readsFlags: false,
    setsFlags: false,
    accessesMemory: false,
    jumps: false,
    read: new Set(),
    written: new Set(),
  };
  private readonly record: OperationRecord;
  private readonly region: RegionState;
  /** Instructions before this one in the region. */
  private readonly before: number;
  private readonly dropFlags: boolean;
  private conditional = 0;

  constructor(
    f: FunctionBuilder,
    mode: 32 | 64,
    h: Handler,
    record: OperationRecord,
    region: RegionState,
    before: number,
    dropFlags: boolean,
  ) {
    super(f, mode, h.osz, h.instruction, h.operands, h.memory);
    this.record = record;
    this.region = region;
    this.before = before;
    this.dropFlags = dropFlags;
  }

  // ---- leaving

  /** Leaves for `offset` (relative to the page) with `retired` instructions of this pass done. */
  leaveFor(status: number, offset: bigint, retired: number): void {
    const { f, region } = this;
    f.set(region.status, status);
    f.set(region.ripOffset, offset);
    f.set(region.fuel, region.fuel.sub(retired));
    if (region.kind !== null) f.set(region.kindLocal, region.kind);
    f.br(region.exit);
  }
  private faultExit(): void {
    this.leaveFor(RegionExit.Fault, BigInt(this.record.pageOffset), this.before);
  }
  raise(vector: number, error?: number): void {
    this.setState('faultVector', vector);
    this.setState('faultHasError', error === undefined ? 0 : 1);
    this.setState('faultError', error ?? 0);
    this.faultExit();
  }
  faultIfPending(): void {
    this.f.if(this.state('faultVector').geS(0), () => this.faultExit());
  }
  /** Behind the meaning: an access that took a slow path may have changed code, or wants an exit. */
  finish(): void {
    if (!this.facts.accessesMemory) return;
    this.f.if(this.region.leave, () =>
      this.leaveFor(RegionExit.Left, BigInt(this.record.pageOffset + this.record.length), this.before + 1),
    );
  }
  jumpDirect(): void {
    const { f, region } = this;
    this.facts.jumps = true;
    const target = this.record.imm;
    if (target !== BigInt(region.start) || this.facts.accessesMemory) {
      this.leaveFor(RegionExit.Left, target, this.before + 1);
      return;
    }
    f.set(region.fuel, region.fuel.sub(this.before + 1));
    if (region.kind !== null) f.set(region.kindLocal, region.kind);
    f.br(region.head);
  }

  // ---- the kind of the flags through branches of a meaning

  override if(c: E, then: () => void, otherwise?: () => void): void {
    if (c.k !== undefined) {
      if (c.k !== 0n) then();
      else otherwise?.();
      return;
    }
    const { f, region } = this;
    const before = region.kind;
    let afterThen: number | null = before;
    this.conditional++;
    const keep = (kind: number | null): void => {
      if (kind !== null) f.set(region.kindLocal, kind);
    };
    f.if(
      c,
      () => {
        then();
        afterThen = region.kind;
        keep(afterThen);
        region.kind = before;
      },
      () => {
        otherwise?.();
        if (region.kind !== afterThen) keep(region.kind);
      },
    );
    this.conditional--;
    if (region.kind !== afterThen) region.kind = null;
  }

  // ---- general registers

  private register(n: number): Local {
    this.facts.read.add(n);
    return this.region.registers[n] ?? untranslatable(this.instruction.name, `local for register ${n}`);
  }
  override reg(n: number, size: Size): E {
    const r = this.register(n);
    if (size === 64) return r;
    return size === 32 ? r.lo() : r.lo().and(size === 16 ? 0xffff : 0xff);
  }
  override setReg(n: number, size: Size, v: E): void {
    const r = this.register(n);
    this.facts.written.add(n);
    const wide = v.zx();
    if (size === 64) this.f.set(r, wide);
    else if (size === 32) this.f.set(r, v.t === 'i32' ? wide : wide.and(0xffffffffn));
    else {
      const mask = size === 16 ? 0xffffn : 0xffn;
      this.f.set(r, r.and(~mask).or(wide.and(mask)));
    }
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
    this.f.set(r, r.and(~0xff00n).or(v.zx().and(0xffn).shl(8n)));
  }

  // ---- operands

  private isMemory(o: Operand): boolean {
    return (this.memory && ['E', 'M'].includes(o.kind)) || o.kind === 'O';
  }
  private slotOf(o: Operand): number {
    switch (o.kind) {
      case 'E':
      case 'R':
      case 'Z':
        return this.record.rm;
      case 'A':
        return this.operands.some((x) => x !== o && 'EZ'.includes(x.kind)) ? REG.AX * 8 : this.record.rm;
      case 'G':
        return this.record.reg;
      default:
        return untranslatable(this.instruction.name, `operand of kind ${o.kind}`);
    }
  }
  read(i: number): E {
    const o = this.operands[i]!;
    const size = this.sizeOf(i);
    if (this.isMemory(o)) return this.load(this.address(size / 8), size);
    switch (o.kind) {
      case 'I':
        return konst(this.size === 64 ? 'i64' : 'i32', this.record.imm);
      case 'CL':
        return this.let(this.reg(REG.CX, 8));
      case '1':
        return i32(1);
    }
    return this.let(this.readSlot(this.slotOf(o), size));
  }
  write(i: number, v: E): void {
    const o = this.operands[i]!;
    const size = this.sizeOf(i);
    if (this.isMemory(o)) {
      const value = this.let(v);
      this.store(this.address(size / 8), size, value);
    } else this.writeSlot(this.slotOf(o), size, v);
  }
  modify(i: number): { value: E; write: (v: E) => void } {
    const size = this.sizeOf(i);
    if (!this.isMemory(this.operands[i]!)) return { value: this.read(i), write: (v) => this.write(i, v) };
    const { h, finish } = this.modifyAddress(this.address(size / 8), size / 8);
    const value = this.let(rawLoad(h, size));
    return {
      value,
      write: (v) => {
        rawStore(this.f, h, size, v);
        finish();
      },
    };
  }
  immediate(): E {
    return i64(this.record.imm);
  }
  opcodeBytes(): E {
    return i32(this.record.bytes);
  }
  prefix(flag: number): E {
    return i32(this.record.flags & flag);
  }

  // ---- memory (flat addressing only)

  effectiveAddress(): E {
    const { base, index, scale, disp } = this.record;
    const size = this.mode;
    const scaled = this.readSlot(index, size);
    const shifted = scaled.k === 0n ? scaled : scaled.shl(scale);
    return this.readSlot(base, size).add(shifted).add(this.k(size, disp));
  }
  address(): Local;
  address(bytes: number, write?: boolean): Local;
  address(): Local {
    if (this.operands.some((o) => o.kind === 'O')) return this.let(this.k(this.mode, this.record.imm));
    return this.let(this.effectiveAddress());
  }
  addressPlus(delta: E): E {
    return this.effectiveAddress().add(this.mode === 64 ? delta.sx() : delta.lo());
  }
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
  private takeFuel(): void {
    const { f, region } = this;
    const now = this.let(this.state('fuel').add(this.before + 1));
    f.if(now.ne(region.fuel), () => f.set(region.leave, 1));
    f.set(region.fuel, now);
  }
  private slow(name: string, h: Local, a: E, bytes: number, stack: boolean, write: boolean): void {
    const { f, region } = this;
    this.setState('fuel', region.fuel.sub(this.before + 1));
    const hi = this.mode === 64 ? a.shrU(32n).lo() : Z;
    f.set(h, f.call(name, i32(this.record.address), a.lo(), hi, i32(bytes | (stack ? 256 : 0))));
    this.takeFuel();
    f.if(h.eqz(), () => this.faultExit());
    // the page written may hold this very code
    if (write) f.set(region.leave, 1);
  }
  private find(name: string, address: E, bytes: number, stack: boolean, write: boolean): Local {
    this.facts.accessesMemory = true;
    const a = this.let(address);
    const entry = this.let(this.entry(a));
    const h = this.f.local('i32');
    this.f.if(
      this.hit(entry, a, bytes, write ? TLB_TAG_WRITE : TLB_TAG_READ),
      () => this.f.set(h, this.hostAddress(entry, a)),
      () => this.slow(name, h, a, bytes, stack, write),
    );
    return h;
  }
  private flushIfBounced(h: E): void {
    this.f.if(h.ltU(RAM_BASE), () => {
      this.f.callVoid('flush_bounce');
      this.takeFuel();
    });
  }
  loadAddress(address: E, bytes: number, stack = false): Local {
    return this.find('slow_read', address, bytes, stack, false);
  }
  storeAt(address: E, bytes: number, put: (h: E) => void, stack = false): void {
    const h = this.find('slow_write', address, bytes, stack, true);
    put(h);
    this.flushIfBounced(h);
  }
  modifyAddress(address: E, bytes: number): { h: Local; finish: () => void } {
    const h = this.find('slow_modify', address, bytes, false, true);
    return { h, finish: () => this.flushIfBounced(h) };
  }
  peek(address: E, write: boolean): E {
    const a = this.let(address);
    const entry = this.let(this.entry(a));
    return select(this.hit(entry, a, 1, write ? TLB_TAG_WRITE : TLB_TAG_READ), this.hostAddress(entry, a), 0);
  }

  // ---- stack

  push(v: E, size: Size): void {
    const value = this.let(v);
    const sp = this.let(this.reg(REG.SP, this.mode).sub(size / 8));
    this.storeAt(sp, size / 8, (h) => rawStore(this.f, h, size, value), true);
    this.setReg(REG.SP, this.mode, sp);
  }
  pop(size: Size): { value: Local; commit: (extra?: E) => void } {
    const sp = this.let(this.reg(REG.SP, this.mode));
    const value = this.let(rawLoad(this.loadAddress(sp, size / 8, true), size));
    return {
      value,
      commit: (extra) => {
        const v = sp.add(size / 8);
        this.setReg(REG.SP, this.mode, extra ? v.add(this.mode === 64 ? extra : extra.lo()) : v);
      },
    };
  }

  // ---- flags

  setFlag(field: 'ccR' | 'ccA' | 'ccB', v: E): void {
    if (!this.dropFlags) this.f.set(this.region[field], v);
  }
  private noteFlags(): void {
    if (this.conditional === 0 && !this.facts.readsFlags) this.facts.setsFlags = true;
  }
  setFlagKind(kind: number): void {
    this.noteFlags();
    if (!this.dropFlags) this.region.kind = kind;
  }
  setFlagKindFrom(off: number, on: number, c: E): void {
    this.noteFlags();
    if (this.dropFlags) return;
    this.f.set(this.region.kindLocal, select(c, i32(on), off));
    this.region.kind = null;
  }
  setArithmeticFlags(image: E): void {
    this.setFlagKind(FlagKind.Raw);
    this.setFlag('ccA', image.zx());
    this.setFlag('ccR', select(image.and(0x40), i64(0), i64(1)));
  }
  flag(name: 'cf' | 'pf' | 'af' | 'zf' | 'sf' | 'of'): Local {
    this.facts.readsFlags = true;
    const { f, region } = this;
    const { ccR, ccA, ccB } = region;
    if (name === 'zf') return this.let(ccR.eqz());
    if (region.kind !== null) return this.let(flagOfKind(name, region.kind, ccR, ccA, ccB));
    const result = f.let(Z);
    for (const kind of KINDS)
      f.if(region.kindLocal.eq(kind), () => f.set(result, flagOfKind(name, kind, ccR, ccA, ccB)));
    return result;
  }
  carry(): Local {
    return this.flag('cf');
  }
  condition(cc: number): E {
    this.facts.readsFlags = true;
    const { ccR, ccA, ccB, kind } = this.region;
    const sub = kind === FlagKind.Sub;
    const logic = kind === FlagKind.Logic;
    let v: E;
    switch (cc >> 1) {
      case 0:
        v = this.flag('of');
        break;
      case 1:
        v = this.flag('cf');
        break;
      case 2:
        v = ccR.eqz();
        break;
      case 3:
        v = sub ? ccA.leU(ccB) : this.flag('cf').or(ccR.eqz());
        break;
      case 4:
        v = this.flag('sf');
        break;
      case 5:
        v = this.flag('pf');
        break;
      case 6:
        v = sub ? ccA.ltS(ccB) : logic ? ccR.ltS(0n) : this.flag('sf').xor(this.flag('of'));
        break;
      default:
        v = sub ? ccA.leS(ccB) : logic ? ccR.leS(0n) : this.flag('sf').xor(this.flag('of')).or(ccR.eqz());
    }
    return this.let(cc & 1 ? v.eqz() : v);
  }

  // ---- not part of what is translated yet

  flagsCarryOverflow(): void {
    untranslatable(this.instruction.name, 'flagsCarryOverflow');
  }
  vectorAddress(): E {
    return untranslatable(this.instruction.name, 'vectorAddress');
  }
  counter(): { value: E; decrement: () => E } {
    return untranslatable(this.instruction.name, 'counter');
  }
  subtractCounter(): void {
    untranslatable(this.instruction.name, 'subtractCounter');
  }
  advanceIndex(): void {
    untranslatable(this.instruction.name, 'advanceIndex');
  }
  stringSource(): E {
    return untranslatable(this.instruction.name, 'stringSource');
  }
  stringDestination(): E {
    return untranslatable(this.instruction.name, 'stringDestination');
  }
  xlatAddress(): E {
    return untranslatable(this.instruction.name, 'xlatAddress');
  }
  pushSelector(): void {
    untranslatable(this.instruction.name, 'pushSelector');
  }
  leave(): void {
    untranslatable(this.instruction.name, 'leave');
  }
  atomicStack(): void {
    untranslatable(this.instruction.name, 'atomicStack');
  }
  nextRip(): E {
    return untranslatable(this.instruction.name, 'nextRip');
  }
  ownRip(): E {
    return untranslatable(this.instruction.name, 'ownRip');
  }
  memorySelector(): E {
    return untranslatable(this.instruction.name, 'memorySelector');
  }
  jumpTo(): void {
    untranslatable(this.instruction.name, 'jumpTo');
  }
  again(): void {
    untranslatable(this.instruction.name, 'again');
  }
  done(): void {
    untranslatable(this.instruction.name, 'done');
  }
  system(): void {
    untranslatable(this.instruction.name, 'system routines');
  }
  selectorOfReg(): E {
    return untranslatable(this.instruction.name, 'selectorOfReg');
  }
}

/** rip (relative to CS base, i64) of an offset relative to the executing page. */
export function ripOf(mode: 32 | 64, pageBase: E, offset: E, csBase: E): E {
  if (mode === 64) return pageBase.add(offset);
  return pageBase.lo().add(offset.lo()).sub(csBase).zx();
}
