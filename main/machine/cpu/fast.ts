// What the fast functions for events and system calls are made of (fast-events.ts, fast-calls.ts): flat protected mode or 64-bit mode is
// required, tables are read through the TLB of level 0, descriptors must be flat, present and accessed.
// Invariant: until the last check has passed nothing is changed; a check that fails leaves with `failed`.

import { E, i32, i64, select } from '../wasm/expr.ts';
import type { FunctionBuilder } from '../wasm/function.ts';
import { F, GPR, OP, STATE, Seg, SegAttr, TLB_SUPERVISOR, TLB_USER } from './layout.ts';
import { MODE_KEY_64, ModeKey } from './mode.ts';

const Z = i32(0);
const RSP = 4;
const LMA = 0x400;
/** In fast_at's third argument: the access writes. */
export const WRITE = 256;
export const ARITHMETIC = 0x8d5;
export const TF = 0x100;
export const IF = 0x200;
export const IOPL = 0x3000;
export const NT = 0x4000;
export const RF = 0x1_0000;
export const VM = 0x2_0000;
export const AC = 0x4_0000;
export const ID = 0x20_0000;
export const DF = 0x400;
export const VIF_VIP = 0x18_0000;
/** 32-bit protected mode with flat segments, in the running code and after what is done here. */
const KEY_32 = ModeKey.Code32 | ModeKey.Stack32 | ModeKey.Flat | ModeKey.FlatCode;
/** Second word of a flat 4 GiB descriptor of level 0, accessed; code may be readable (bit 9) or not, AVL (bit 20) is free. */
const FLAT_CODE = 0x00cf_9900;
const FLAT_CODE_MASK = ~0x10_0200;
const FLAT_DATA = 0x00cf_9300;
const FLAT_DATA_MASK = ~0x10_0000;
/** The same of 64-bit code, whose base and limit do not matter, and of data that may be a stack there. */
const LONG_CODE = 0x20_9900;
const LONG_CODE_MASK = 0x60_fd00;
const LONG_STACK = 0x9300;
const LONG_STACK_MASK = 0xfb00;
const DPL_BIT = 13;

export const state = (field: number): E => Z.ld32(STATE + field);
export const state64 = (field: number): E => Z.ld64(STATE + field);
export const segment = (field: number, s: number): E => state(field + s * 4);
export const reg = (n: number): E => state64(GPR + n * 8);
export const notCanonical = (v: E): E => v.ne(v.shl(16n).shrS(16n));

/** Writes one fast function: checks that leave without a change, then loads of registers. */
export class Fast {
  readonly f: FunctionBuilder;
  readonly long: boolean;
  readonly failed: number;

  constructor(f: FunctionBuilder, mode: 32 | 64, failed: number) {
    this.f = f;
    this.long = mode === 64;
    this.failed = failed;
  }

  /** Leaves without a change if `c`. */
  no(c: E): void {
    this.f.if(c, () => this.f.return(i32(this.failed)));
  }
  set(field: number, v: E | number): void {
    this.f.st32(Z, STATE + field, v);
  }
  set64(field: number, v: E): void {
    this.f.st64(Z, STATE + field, v);
  }

  /** Only flat protected mode: what is running here decodes and addresses memory the same way before and after. */
  usualMode(): void {
    this.no(state(F.careful));
    if (this.long) {
      this.no(state(F.mode).ne(MODE_KEY_64));
      return;
    }
    this.no(state(F.mode).ne(KEY_32));
    this.no(state(F.cr0).and(1).eqz());
    this.no(state(F.efer).and(LMA));
    this.no(state(F.flatLimit).ne(-1));
  }

  /** WebAssembly address of `bytes` bytes at a linear address (i64 in long mode) with level 0's or 3's permissions. */
  at(linear: E, bytes: E | number, write = false, user: E = Z): E {
    const lo = this.long ? linear.lo() : linear;
    const hi = this.long ? linear.shrU(32n).lo() : Z;
    const info = (bytes instanceof E ? bytes : i32(bytes)).or(write ? WRITE : 0);
    const h = this.f.let(this.f.call('fast_at', lo, hi, info, user));
    this.no(h.eqz());
    return h;
  }

  /** A table's base plus an offset, as a linear address. */
  address(base: number, offset: E): E {
    return this.f.let(this.long ? state64(base).add(offset.zx()) : state(base).add(offset));
  }

  /** Both words of a descriptor in the GDT. */
  anyDescriptor(selector: E): { lo: E; hi: E } {
    this.no(selector.and(4));
    const offset = this.f.let(selector.and(0xfff8));
    this.no(offset.eqz());
    this.no(offset.add(7).gtU(state(F.gdtLimit)));
    const h = this.at(this.address(F.gdtBase, offset), 8);
    const lo = this.f.let(h.ld32());
    const hi = this.f.let(h.ld32(4));
    return { lo, hi };
  }
  /** The same, accessed bit and all being as `want` says under `mask`. */
  descriptor(selector: E, mask: number, want: E): { lo: E; hi: E } {
    const { lo, hi } = this.anyDescriptor(selector);
    this.no(hi.and(mask).ne(want));
    if (!this.long) this.no(lo.ne(0xffff));
    return { lo, hi };
  }
  code(selector: E, level: E): { lo: E; hi: E } {
    const dpl = level.shl(DPL_BIT);
    return this.long
      ? this.descriptor(selector, LONG_CODE_MASK, dpl.or(LONG_CODE))
      : this.descriptor(selector, FLAT_CODE_MASK, dpl.or(FLAT_CODE));
  }
  stack(selector: E, level: E): { lo: E; hi: E } {
    const dpl = level.shl(DPL_BIT);
    return this.long
      ? this.descriptor(selector, LONG_STACK_MASK, dpl.or(LONG_STACK))
      : this.descriptor(selector, FLAT_DATA_MASK, dpl.or(FLAT_DATA));
  }

  segment(s: number, selector: E, base: E, limit: E, attr: E): void {
    this.set(F.selector + s * 4, selector);
    this.set(F.segAttr + s * 4, attr);
    this.set(F.segLimit + s * 4, limit);
    this.set64(F.segBase + s * 8, base);
  }
  /** Loads a segment register from a descriptor; CS has base 0 in 64-bit mode. */
  load(s: number, selector: E, d: { lo: E; hi: E }): void {
    const attr = d.hi.shrU(8).and(0xf0ff);
    if (!this.long) return this.segment(s, selector, i64(0), i32(-1), attr);
    const raw = this.f.let(d.lo.and(0xffff).or(d.hi.and(0xf_0000)));
    const limit = select(d.hi.and(0x80_0000), raw.shl(12).or(0xfff), raw);
    const base = d.lo
      .shrU(16)
      .or(d.hi.and(0xff).shl(16))
      .or(d.hi.and(0xff00_0000 | 0));
    this.segment(s, selector, s === Seg.CS ? i64(0) : base.zx(), limit, attr);
  }

  level(cpl: E): void {
    this.set(F.cpl, cpl);
    this.set(F.tlb, select(cpl.eq(3), i32(TLB_USER), TLB_SUPERVISOR));
  }

  /** Leaves if alignment checks would be on at level 3 with these flags: CR0.AM has EFLAGS.AC's place. */
  noAlignmentCheck(flags: E): void {
    this.no(flags.and(AC).and(state(F.cr0)));
  }

  /** EFLAGS with the bits of `mask` (not the arithmetic ones) from `value`. */
  systemFlags(value: E, mask: number): void {
    const kept = mask & ~ARITHMETIC;
    this.set(F.eflags, state(F.eflags).and(~kept).or(value.and(kept)).or(2));
  }
  arithmeticFlags(value: E): void {
    this.f.callVoid('set_flags', value.and(ARITHMETIC));
  }

  /** A return to level 3 takes away segments of inner levels: nothing to do if there are none. */
  outerSegments(): void {
    for (const s of [Seg.ES, Seg.FS, Seg.GS, Seg.DS]) {
      const attr = this.f.let(segment(F.segAttr, s));
      this.no(attr.and(SegAttr.Unusable).eqz().and(attr.shrU(SegAttr.DplShift).and(3).ne(3)));
    }
  }

  iopl(): E {
    return state(F.eflags).shrU(12).and(3);
  }
  /** Address of the instruction after `op`. */
  nextRip(op: E): E {
    const length = op.ld8u(OP.length);
    return this.long ? state64(F.rip).add(length.zx()) : state(F.rip).add(length).zx();
  }
  /** Puts a stack pointer into RSP. */
  sp(v: E): void {
    this.set64(GPR + RSP * 8, this.long ? v : v.zx());
  }
  get rsp(): E {
    return this.f.let(this.long ? reg(RSP) : reg(RSP).lo());
  }
}
