// Semantics over operation records: operands are read from the record at run time. Used for handlers inside the main loop (`inline` given)
// and for handlers that are functions (op) -> Next.

import type { Instruction, Operand, Size } from '../isa/instruction.ts';
import { Semantics, rawLoad, rawStore, loadSlot, storeSlot, REG } from '../isa/semantics.ts';
import { E, i32, i64, select } from '../wasm/expr.ts';
import { UNUSUAL } from './fast-calls.ts';
import { FAST_ROUTINES } from './fast-events.ts';
import { countJump } from './translator/hotness.ts';
import type { FunctionBuilder, Label, Local } from '../wasm/function.ts';
import {
  F,
  FlagKind,
  GPR,
  Next,
  OP,
  OpFlag,
  RAM_BASE,
  SLOT_PAGE_BASE,
  STATE,
  Seg,
  SegAttr,
  TLB_ADDEND,
  TLB_ENTRIES,
  TLB_TAG_READ,
  TLB_TAG_WRITE,
} from './layout.ts';

/** Labels and variables of the main loop. */
export interface Inline {
  op: Local;
  fuel: Local;
  /** op is set: dispatch it */
  next: Label;
  /** F.rip is set: look it up */
  lookup: Label;
  /** F.rip is set by a jump, and nothing else has changed on which the meaning of addresses depends */
  near: Label;
  /** a fault is pending for the current op */
  fault: Label;
  /** Jumps are counted for the translating tier. */
  counting: boolean;
}

const Z = i32(0);
const FILE: Partial<Record<Operand['kind'], number>> = { V: F.xmm, W: F.xmm, U: F.xmm, N: F.fpr, Q: F.fpr };

export class InterpreterSemantics extends Semantics {
  readonly op: E;
  readonly general: boolean;
  private readonly inline: Inline | null;
  private readonly cleanup: (() => void)[] = [];

  constructor(
    f: FunctionBuilder,
    mode: 32 | 64,
    osz: 16 | 32 | 64,
    instruction: Instruction,
    operands: readonly Operand[],
    memory: boolean,
    general: boolean,
    op: E,
    inline: Inline | null,
  ) {
    super(f, mode, osz, instruction, operands, memory);
    this.op = op;
    this.general = general;
    this.inline = inline;
  }

  // ---- leaving

  private faultExit(): void {
    for (const undo of this.cleanup) undo();
    if (this.inline) this.f.br(this.inline.fault);
    else this.f.return(i32(Next.Fault));
  }
  private jumpExit(): void {
    if (this.inline) this.f.br(this.inline.near);
    else this.f.return(i32(Next.Jump));
  }
  faultIfPending(): void {
    this.f.if(this.state('faultVector').geS(0), () => this.faultExit());
  }
  raise(vector: number, error?: number): void {
    this.setState('faultVector', vector);
    this.setState('faultHasError', error === undefined ? 0 : 1);
    this.setState('faultError', error ?? 0);
    this.faultExit();
  }
  atomicStack(body: () => void): void {
    const sp = this.let(Z.ld64(STATE + GPR + REG.SP * 8));
    this.cleanup.push(() => this.f.st64(Z, STATE + GPR + REG.SP * 8, sp));
    body();
    this.cleanup.pop();
  }

  // ---- operands

  private slot(field: number): E {
    return this.op.ld8u(field);
  }
  private isMemory(o: Operand): boolean {
    return (this.memory && 'EWQM'.includes(o.kind) && o.kind.length === 1) || o.kind === 'O';
  }
  private registerField(o: Operand): number | null {
    switch (o.kind) {
      case 'E':
      case 'R':
      case 'Z':
      case 'U':
      case 'W':
      case 'Q':
        return OP.rm;
      case 'A':
        return this.operands.some((x) => x !== o && 'EZ'.includes(x.kind)) ? null : OP.rm;
      case 'G':
      case 'V':
      case 'N':
        return OP.reg;
      default:
        throw new Error(`${this.instruction.name}: operand ${o.kind} is no register`);
    }
  }

  read(i: number): E {
    const o = this.operands[i]!;
    const size = this.sizeOf(i);
    if (this.isMemory(o)) return this.load(this.address(size / 8), size);
    switch (o.kind) {
      case 'I': {
        const wide = this.size === 64;
        return this.let(wide ? this.op.ld64(OP.imm) : this.op.ld32(OP.imm));
      }
      case 'CL':
        return this.let(this.reg(REG.CX, 8));
      case '1':
        return i32(1);
      case 'DX':
        return this.let(this.reg(REG.DX, 16));
    }
    const field = this.registerField(o);
    if (field === null) return this.let(this.reg(REG.AX, size));
    return this.let(loadSlot(this.slot(field), STATE + GPR, size));
  }

  write(i: number, v: E): void {
    const o = this.operands[i]!;
    const size = this.sizeOf(i);
    if (this.isMemory(o)) {
      const value = this.let(v);
      this.store(this.address(size / 8, true), size, value);
      return;
    }
    const field = this.registerField(o);
    if (field === null) this.setReg(REG.AX, size, v);
    else storeSlot(this.f, this.slot(field), STATE + GPR, size, v);
  }

  modify(i: number): { value: E; write: (v: E) => void } {
    const o = this.operands[i]!;
    const size = this.sizeOf(i);
    if (!this.isMemory(o)) return { value: this.read(i), write: (v) => this.write(i, v) };
    const { h, finish } = this.modifyAddress(this.address(size / 8, true), size / 8);
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
    const field = this.registerField(o)!;
    return this.let(this.slot(field).add(STATE + FILE[o.kind]!));
  }

  immediate(): E {
    return this.op.ld64(OP.imm);
  }
  opcodeBytes(): E {
    return this.op.ld32(OP.bytes);
  }
  prefix(flag: number): E {
    return this.op.ld8u(OP.flags).and(flag);
  }
  selectorOfReg(): E {
    return this.slot(OP.reg)
      .shl(2)
      .ld32(STATE + F.selector);
  }

  // ---- addresses

  private narrow(linear: E): E {
    return this.mode === 64 ? linear : linear.lo();
  }

  private flatAddress(): E {
    if (this.mode === 64) {
      const base = this.slot(OP.base).ld64(STATE + GPR);
      const index = this.slot(OP.index)
        .ld64(STATE + GPR)
        .shl(this.slot(OP.scale).zx());
      return base.add(index).add(this.op.ld32s64(OP.disp));
    }
    const base = this.slot(OP.base).ld32(STATE + GPR);
    const index = this.slot(OP.index)
      .ld32(STATE + GPR)
      .shl(this.slot(OP.scale));
    return base.add(index).add(this.op.ld32(OP.disp));
  }

  private segmentLinear(segment: E, offset: E, bytes: number, write: boolean): Local {
    const linear = this.let(this.f.call('seg_linear', segment, offset, i32(bytes | (write ? 256 : 0))));
    this.faultIfPending();
    return this.let(this.narrow(linear));
  }

  address(bytes: number, write = false): Local {
    if (this.operands.some((o) => o.kind === 'O')) {
      if (!this.general) return this.let(this.mode === 64 ? this.immediate() : this.immediate().lo());
      return this.segmentLinear(this.slot(OP.seg), this.immediate(), bytes, write);
    }
    if (!this.general) return this.let(this.flatAddress());
    return this.segmentLinear(this.slot(OP.seg), this.f.call('ea_offset', this.op), bytes, write);
  }

  addressPlus(delta: E, bytes: number, write = false): E {
    const d = this.let(delta);
    if (!this.general) return this.flatAddress().add(this.mode === 64 ? d.sx() : d.lo());
    // the offset wraps in the address size before the segment is added
    const offset = this.let(this.f.call('ea_offset', this.op).add(d.sx()));
    const mask = select(
      this.prefix(OpFlag.Addr16),
      i64(0xffff),
      select(this.prefix(OpFlag.Addr32), i64(0xffffffffn), i64(-1)),
    );
    return this.segmentLinear(this.slot(OP.seg), offset.and(mask), bytes, write);
  }

  effectiveAddress(): E {
    if (!this.general) return this.flatAddress();
    return this.let(this.f.call('ea_offset', this.op));
  }

  xlatAddress(): E {
    const al = this.reg(REG.AX, 8);
    if (!this.general) return this.mode === 64 ? this.reg(REG.BX, 64).add(al.zx()) : this.reg(REG.BX, 32).add(al);
    const mask = select(
      this.prefix(OpFlag.Addr16),
      i64(0xffff),
      select(this.prefix(OpFlag.Addr32), i64(0xffffffffn), i64(-1)),
    );
    return this.segmentLinear(this.slot(OP.seg), this.reg(REG.BX, 64).add(al.zx()).and(mask), 1, false);
  }

  // ---- implied registers, by address size

  private get fixedWidth(): boolean {
    return !this.general && 'A' !== this.instruction.name && STRINGS.has(this.instruction.name);
  }
  private widthMask(): E {
    return select(
      this.prefix(OpFlag.Addr16),
      i64(0xffff),
      select(this.prefix(OpFlag.Addr32), i64(0xffffffffn), i64(-1)),
    );
  }
  private writeByWidth(register: number, v: E): void {
    this.f.if(
      this.prefix(OpFlag.Addr16),
      () => this.f.st16(Z, STATE + GPR + register * 8, v),
      () => this.f.st64(Z, STATE + GPR + register * 8, v.and(this.widthMask())),
    );
  }
  counter(): { value: E; decrement: () => E } {
    if (this.fixedWidth) {
      const size = this.mode;
      return {
        value: this.reg(REG.CX, size),
        decrement: () => {
          const v = this.let(this.reg(REG.CX, size).sub(1));
          this.setReg(REG.CX, size, v);
          return v;
        },
      };
    }
    return {
      value: this.reg(REG.CX, 64).and(this.widthMask()),
      decrement: () => {
        const v = this.let(this.reg(REG.CX, 64).sub(1n).and(this.widthMask()));
        this.writeByWidth(REG.CX, v);
        return v;
      },
    };
  }
  subtractCounter(n: E): void {
    if (this.fixedWidth) this.setReg(REG.CX, this.mode, this.reg(REG.CX, this.mode).sub(this.mode === 64 ? n.zx() : n));
    else this.writeByWidth(REG.CX, this.let(this.reg(REG.CX, 64).sub(n.zx())));
  }
  advanceIndex(register: number, delta: E): void {
    if (this.fixedWidth)
      this.setReg(register, this.mode, this.reg(register, this.mode).add(this.mode === 64 ? delta.sx() : delta));
    else this.writeByWidth(register, this.let(this.reg(register, 64).add(delta.sx())));
  }
  stringSource(bytes: number): E {
    if (this.fixedWidth) return this.let(this.reg(REG.SI, this.mode));
    return this.segmentLinear(this.slot(OP.seg), this.reg(REG.SI, 64).and(this.widthMask()), bytes, false);
  }
  stringDestination(bytes: number, write: boolean): E {
    if (this.fixedWidth) return this.let(this.reg(REG.DI, this.mode));
    return this.segmentLinear(i32(Seg.ES), this.reg(REG.DI, 64).and(this.widthMask()), bytes, write);
  }

  // ---- memory

  private entry(address: E): E {
    const mask = (TLB_ENTRIES - 1) << 5;
    const index = this.mode === 64 ? address.shrU(7n).lo().and(mask) : address.shrU(7).and(mask);
    return Z.ld32(STATE + F.tlb).add(index);
  }
  private hit(entry: E, address: E, bytes: number, tag: number): E {
    const last = bytes === 1 ? address : address.add(this.mode === 64 ? BigInt(bytes - 1) : bytes - 1);
    return this.mode === 64 ? last.and(-4096n).eq(entry.ld64(tag)) : last.and(-4096).eq(entry.ld32(tag));
  }
  private hostAddress(entry: E, address: E): E {
    return address.lo().add(entry.ld32(TLB_ADDEND));
  }
  /** Calls a slow path with the fuel made visible to it. */
  private slow(name: string, h: Local, address: E, bytes: number, stack: boolean): void {
    const a = address;
    if (this.inline) this.f.st32(Z, STATE + F.fuel, this.inline.fuel);
    const hi = this.mode === 64 ? a.shrU(32n).lo() : i32(0);
    this.f.set(h, this.f.call(name, this.op, a.lo(), hi, i32(bytes | (stack ? 256 : 0))));
    if (this.inline) this.f.set(this.inline.fuel, Z.ld32(STATE + F.fuel));
    this.f.if(h.eqz(), () => this.faultExit());
  }

  loadAddress(address: E, bytes: number, stack = false): Local {
    const a = this.let(address);
    const entry = this.let(this.entry(a));
    const h = this.f.local('i32');
    this.f.if(
      this.hit(entry, a, bytes, TLB_TAG_READ),
      () => this.f.set(h, this.hostAddress(entry, a)),
      () => this.slow('slow_read', h, a, bytes, stack),
    );
    return h;
  }

  storeAt(address: E, bytes: number, put: (h: E) => void, stack = false): void {
    const a = this.let(address);
    const entry = this.let(this.entry(a));
    const h = this.f.local('i32');
    this.f.if(
      this.hit(entry, a, bytes, TLB_TAG_WRITE),
      () => {
        this.f.set(h, this.hostAddress(entry, a));
        put(h);
      },
      () => {
        this.slow('slow_write', h, a, bytes, stack);
        put(h);
        this.flushIfBounced(h);
      },
    );
  }

  private flushIfBounced(h: E): void {
    this.f.if(h.ltU(RAM_BASE), () => {
      this.f.callVoid('flush_bounce');
      if (this.inline) this.f.set(this.inline.fuel, Z.ld32(STATE + F.fuel));
    });
  }

  modifyAddress(address: E, bytes: number): { h: Local; finish: () => void } {
    const a = this.let(address);
    const entry = this.let(this.entry(a));
    const h = this.f.local('i32');
    this.f.if(
      this.hit(entry, a, bytes, TLB_TAG_WRITE),
      () => this.f.set(h, this.hostAddress(entry, a)),
      () => this.slow('slow_modify', h, a, bytes, false),
    );
    return { h, finish: () => this.flushIfBounced(h) };
  }

  peek(address: E, write: boolean): E {
    const a = this.let(address);
    const entry = this.let(this.entry(a));
    return select(this.hit(entry, a, 1, write ? TLB_TAG_WRITE : TLB_TAG_READ), this.hostAddress(entry, a), 0);
  }

  // ---- stack

  private stackLinear(sp: E, bytes: number, write: boolean): Local {
    return this.segmentLinear(i32(Seg.SS), sp.zx(), bytes, write);
  }
  private get wideStack(): E {
    return i32(0)
      .ld32(STATE + F.segAttr + Seg.SS * 4)
      .and(SegAttr.DB);
  }
  private stackMask(v: E): E {
    return select(this.wideStack, v, v.and(0xffff));
  }
  private setStackPointer(v: E): void {
    if (!this.general || this.mode === 64) this.setReg(REG.SP, this.mode, v);
    else
      this.f.if(
        this.wideStack,
        () => this.setReg(REG.SP, 32, v),
        () => this.setReg(REG.SP, 16, v),
      );
  }
  private pushBytes(reserve: number, bytes: number, put: (h: E) => void): void {
    const flat = !this.general || this.mode === 64;
    const sp = this.let(
      flat ? this.reg(REG.SP, this.mode).sub(reserve) : this.stackMask(this.let(this.reg(REG.SP, 32).sub(reserve))),
    );
    this.storeAt(flat ? sp : this.stackLinear(sp, bytes, true), bytes, put, true);
    this.setStackPointer(sp);
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
    const flat = !this.general || this.mode === 64;
    const sp = this.let(flat ? this.reg(REG.SP, this.mode) : this.stackMask(this.let(this.reg(REG.SP, 32))));
    const h = this.loadAddress(flat ? sp : this.stackLinear(sp, size / 8, false), size / 8, true);
    const value = this.let(rawLoad(h, size));
    return {
      value,
      commit: (extra) => {
        let v = sp.add(size / 8);
        if (extra) v = v.add(this.mode === 64 ? extra : extra.lo());
        this.setStackPointer(flat ? v : this.let(v));
      },
    };
  }
  leave(size: Size): void {
    const flat = !this.general || this.mode === 64;
    const bp = this.let(flat ? this.reg(REG.BP, this.mode) : this.stackMask(this.let(this.reg(REG.BP, 32))));
    const h = this.loadAddress(flat ? bp : this.stackLinear(bp, size / 8, false), size / 8, true);
    const value = this.let(rawLoad(h, size));
    this.setStackPointer(this.let(bp.add(size / 8)));
    this.setReg(REG.BP, size, value);
  }

  // ---- flags

  setFlag(field: 'ccR' | 'ccA' | 'ccB', v: E): void {
    this.f.st64(Z, STATE + F[field], v);
  }
  setFlagKind(kind: number): void {
    this.f.st32(Z, STATE + F.ccOp, kind);
  }
  setFlagKindFrom(off: number, on: number, c: E): void {
    this.f.st32(Z, STATE + F.ccOp, select(c, i32(on), off));
  }
  flagsCarryOverflow(cf: E, of: E | null): void {
    const c = this.let(cf);
    const o = of ? this.let(of) : this.flag('of');
    this.f.callVoid('set_cf_of', c, o);
  }
  carry(): Local {
    return this.let(this.f.call('get_cf'));
  }
  flag(name: 'cf' | 'pf' | 'af' | 'zf' | 'sf' | 'of'): Local {
    if (name === 'zf') return this.let(this.state64('ccR').eqz());
    return this.let(this.f.call(`get_${name}`));
  }
  setArithmeticFlags(image: E): void {
    this.f.callVoid('set_flags', image);
  }

  condition(cc: number): Local {
    const f = this.f;
    const r = this.state64('ccR');
    const a = this.state64('ccA');
    const b = this.state64('ccB');
    const negate = cc & 1;
    const result = f.local('i32');
    const kind = () => this.state('ccOp');
    switch (cc >> 1) {
      case 0:
        f.set(result, f.call('get_of'));
        break;
      case 1:
        f.if(
          kind().eq(FlagKind.Sub),
          () => f.set(result, a.ltU(b)),
          () => f.set(result, f.call('get_cf')),
        );
        break;
      case 2:
        f.set(result, r.eqz());
        break;
      case 3:
        f.if(
          kind().eq(FlagKind.Sub),
          () => f.set(result, a.leU(b)),
          () => {
            f.set(result, f.call('get_cf'));
            f.set(result, result.or(r.eqz()));
          },
        );
        break;
      case 4:
        f.if(
          kind(),
          () => f.set(result, r.ltS(0n)),
          () => f.set(result, f.call('get_sf')),
        );
        break;
      case 5:
        f.set(result, f.call('get_pf'));
        break;
      case 6:
      case 7: {
        const orEqual = cc >> 1 === 7;
        f.if(
          kind().eq(FlagKind.Sub),
          () => f.set(result, orEqual ? a.leS(b) : a.ltS(b)),
          () =>
            f.if(
              kind().eq(FlagKind.Logic),
              () => f.set(result, orEqual ? r.leS(0n) : r.ltS(0n)),
              () => {
                f.set(result, f.call('get_sf_ne_of'));
                if (orEqual) f.set(result, result.or(r.eqz()));
              },
            ),
        );
        break;
      }
    }
    if (negate) f.set(result, result.xor(1));
    return result;
  }

  // ---- control

  private get ownOffset(): E {
    return this.op.ld16u(OP.pageOffset);
  }
  /** rip of `page offset` bytes into the executing page. */
  private ripAt(offset: E): E {
    if (this.mode === 64) return Z.ld64(STATE + SLOT_PAGE_BASE).add(offset.zx());
    return Z.ld32(STATE + SLOT_PAGE_BASE)
      .add(offset)
      .sub(Z.ld32(STATE + F.segBase + Seg.CS * 8));
  }
  private setRip(v: E): void {
    this.f.st64(Z, STATE + F.rip, v.zx());
  }
  ownRip(): E {
    return this.ripAt(this.ownOffset).zx();
  }
  memorySelector(): E {
    return this.slot(OP.seg)
      .shl(2)
      .ld32(STATE + F.selector);
  }
  nextRip(): E {
    const rip = this.ripAt(this.ownOffset.add(this.op.ld8u(OP.length)));
    return this.mode === 64 ? rip : this.osz === 16 ? rip.and(0xffff) : rip;
  }
  jumpDirect(): void {
    const f = this.f;
    if (!this.inline) {
      f.callVoid('branch_rip', this.op);
      f.return(i32(Next.Jump));
      return;
    }
    const { op, next, lookup, counting, fuel } = this.inline;
    const target = this.let(op.ld32(OP.link));
    f.if(target.eqz(), () => {
      f.set(target, f.call('branch_link', op));
      f.brIf(lookup, target.eqz());
    });
    // calls and jumps back are where translation begins
    if (counting) {
      const back = op.ld32(OP.imm).leU(op.ld16u(OP.pageOffset));
      countJump(f, target, this.instruction.name === 'call' ? i32(1) : back, fuel);
    }
    f.set(op, target);
    f.br(next);
  }
  jumpTo(target: E): void {
    if (this.mode === 64) this.setRip(target);
    else this.setRip(this.osz === 16 ? target.and(0xffff) : target);
    this.jumpExit();
  }
  again(): void {
    this.setRip(this.ripAt(this.ownOffset));
    this.jumpExit();
  }
  done(): void {
    if (this.inline) throw new Error(`${this.instruction.name}: cannot end early inside the main loop`);
    this.f.return(i32(Next.Sequential));
  }
  system(name: string): void {
    if (this.inline) throw new Error(`${this.instruction.name}: a system routine cannot be inline`);
    this.setRip(this.ripAt(this.ownOffset));
    if (FAST_ROUTINES.has(name)) {
      const next = this.let(this.f.call(`fast_${name}`, this.op));
      this.f.if(next.ne(UNUSUAL), () => this.f.return(next));
    }
    this.f.return(this.f.call(`sys_${name}`, this.op));
  }
}
const STRINGS = new Set(['movs', 'cmps', 'stos', 'lods', 'scas']);
