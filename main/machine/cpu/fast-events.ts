// The everyday cases of events and privilege changes, as WebAssembly: delivery through a 32-bit or 64-bit gate to level 0, IRET to level 0 or 3,
// fast system calls, CLI, STI, PUSHF, POPF, INVLPG. What is unusual in any way (a descriptor that is not flat, present and accessed, a frame
// across two pages, TF, a task gate, an IST, an intercept) is left to cpu/system.
// Invariant: a function here either does exactly what its namesake in cpu/system does, or changes nothing and says so.

import { E, i32, i64, select } from '../wasm/expr.ts';
import type { FunctionBuilder } from '../wasm/function.ts';
import type { ModuleBuilder } from '../wasm/module.ts';
import {
  F,
  GPR,
  Intercept,
  Next,
  OP,
  OpFlag,
  STATE,
  Seg,
  SegAttr,
  TLB_ADDEND,
  TLB_BYTES,
  TLB_INVALID,
  TLB_SUPERVISOR,
  TLB_TAG_EXEC,
  TLB_TAG_READ,
  TLB_TAG_WRITE,
  TLB_USER,
} from './layout.ts';
import { MODE_KEY_64, ModeKey } from './mode.ts';
import { entryOf } from './walk.ts';

/** System routines with a `fast_` function, which takes the operation's address and returns a value of Next or UNUSUAL. */
export const FAST_ROUTINES: ReadonlySet<string> = new Set([
  'int_n',
  'iret',
  'syscall',
  'sysret',
  'sysenter',
  'sysexit',
  'cli',
  'sti',
  'pushf',
  'popf',
  'invlpg',
]);
/** Nothing has changed: call the system routine. */
export const UNUSUAL = -1;
/** Bits of fast_deliver's second argument. */
export const Event = { HasError: 1, Software: 2, Resume: 4 } as const;

const Z = i32(0);
const WRITE = 256;
const ARITHMETIC = 0x8d5;
const TF = 0x100;
const IF = 0x200;
const IOPL = 0x3000;
const NT = 0x4000;
const RF = 0x1_0000;
const VM = 0x2_0000;
const AC = 0x4_0000;
const ID = 0x20_0000;
const DF = 0x400;
const VIF_VIP = 0x18_0000;
/** Flags that SYSCALL and SYSRET can change. */
const CLEARABLE = ARITHMETIC | TF | IF | DF | IOPL | NT | RF | AC | VIF_VIP | ID;
const SYSRET_FLAGS = 0x3c_7fd7;
const LMA = 0x400;
const SCE = 1;
const RCX = 1;
const RDX = 2;
const RSP = 4;
const R11 = 11;

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

const FLAT_ATTR = SegAttr.Present | SegAttr.NotSystem | SegAttr.RW | SegAttr.Accessed | SegAttr.G;
const ATTR = {
  data: FLAT_ATTR | SegAttr.DB,
  code32: FLAT_ATTR | SegAttr.DB | SegAttr.Code,
  code64: FLAT_ATTR | SegAttr.L | SegAttr.Code,
} as const;

const state = (field: number): E => Z.ld32(STATE + field);
const state64 = (field: number): E => Z.ld64(STATE + field);
const segment = (field: number, s: number): E => state(field + s * 4);
const reg = (n: number): E => state64(GPR + n * 8);
const notCanonical = (v: E): E => v.ne(v.shl(16n).shrS(16n));

class Fast {
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

  /** Both words of a GDT descriptor, accessed bit and all being as `want` says under `mask`. */
  descriptor(selector: E, mask: number, want: E): { lo: E; hi: E } {
    this.no(selector.and(4));
    const offset = this.f.let(selector.and(0xfff8));
    this.no(offset.eqz());
    this.no(offset.add(7).gtU(state(F.gdtLimit)));
    const h = this.at(this.address(F.gdtBase, offset), 8);
    const lo = this.f.let(h.ld32());
    const hi = this.f.let(h.ld32(4));
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

/** Adds fast_deliver and the fast_ routines. Needs walk_fill, set_flags and the imported interrupts_enabled. */
export function defineFastEvents(m: ModuleBuilder, mode: 32 | 64): void {
  const long = mode === 64;
  // (linear low, high, bytes | write, user) -> WebAssembly address, or 0: not in one page, not mapped in the everyday way, not RAM
  m.func('fast_at', ['i32', 'i32', 'i32', 'i32'], ['i32'], (f) => {
    const [lo, hi, info, user] = f.params as unknown as [E, E, E, E];
    const no = (c: E): void => f.if(c, () => f.return(Z));
    no(lo.and(4095).add(info.and(255)).gtU(4096));
    if (long) no(hi.ne(hi.shl(16).shrS(16)));
    const entry = f.let(entryOf(lo, user));
    const tag = f.let(entry.add(select(info.and(WRITE), i32(TLB_TAG_WRITE), TLB_TAG_READ)));
    const page = long ? f.let(lo.and(-4096).zx().or(hi.zx().shl(32n))) : f.let(lo.and(-4096));
    const miss = (): E => (long ? tag.ld64().ne(page) : tag.ld32().ne(page));
    f.if(miss(), () => {
      no(f.call('walk_fill', lo, hi, info.shrU(8), user).ne(1));
      no(miss());
    });
    f.return(lo.add(entry.ld32(TLB_ADDEND)));
  });
  m.func('read_flags', [], ['i32'], (f) => {
    const flags = f.let(state(F.eflags).and(~ARITHMETIC).or(2));
    f.set(flags, flags.or(state64(F.ccR).eqz().shl(6)));
    f.if(state(F.ccOp).eqz(), () =>
      f.return(
        flags.or(
          state64(F.ccA)
            .lo()
            .and(ARITHMETIC & ~0x40),
        ),
      ),
    );
    for (const [name, bit] of [
      ['cf', 0],
      ['pf', 2],
      ['af', 4],
      ['sf', 7],
      ['of', 11],
    ] as const)
      f.set(flags, flags.or(f.let(f.call(`get_${name}`)).shl(bit)));
    f.return(flags);
  });
  m.func('fast_deliver', ['i32', 'i32', 'i32', 'i64'], ['i32'], (f) => deliver(new Fast(f, mode, 0)), true);
  // an interrupt from outside: vector -> 1 if the handler is entered
  m.func(
    'fast_external',
    ['i32'],
    ['i32'],
    (f) => f.return(f.call('fast_deliver', f.params[0]!, Z, Z, state64(F.rip))),
    true,
  );
  const routines: Record<string, (s: Fast, op: E) => void> = {
    int_n: (s, op) => {
      s.no(state(F.intercepts).and(Intercept.SoftInt));
      const entered = s.f.call('fast_deliver', op.ld8u(OP.imm), i32(Event.Software), Z, s.nextRip(op));
      s.no(entered.eqz());
      s.f.return(i32(Next.Jump));
    },
    iret,
    syscall,
    sysret,
    sysenter,
    sysexit,
    cli: (s) => {
      s.no(state(F.cr0).and(1).and(state(F.cpl).gtU(s.iopl())));
      s.set(F.eflags, state(F.eflags).and(~IF).or(2));
      s.f.return(i32(Next.Sequential));
    },
    sti: (s) => {
      // where it opens interrupts the run loop has to know
      s.no(state(F.eflags).and(IF).eqz());
      s.no(state(F.cr0).and(1).and(state(F.cpl).gtU(s.iopl())));
      s.f.return(i32(Next.Sequential));
    },
    pushf,
    popf,
    invlpg,
  };
  for (const name of FAST_ROUTINES)
    m.func(`fast_${name}`, ['i32'], ['i32'], (f) => routines[name]!(new Fast(f, mode, UNUSUAL), f.params[0]!), true);
}

/** fast_deliver(vector, Event bits, error code, address to return to) -> 1, or 0 (SDM vol. 3, 6.12 and 6.14). */
function deliver(s: Fast): void {
  const { f, long } = s;
  const [vector, info, error, rip] = f.params as unknown as [E, E, E, E];
  s.usualMode();
  s.no(state(F.eflags).and(TF | VM));
  const offset = f.let(vector.shl(long ? 4 : 3));
  s.no(offset.add(long ? 15 : 7).gtU(state(F.idtLimit)));
  const gate = s.at(s.address(F.idtBase, offset), long ? 16 : 8);
  const lo = f.let(gate.ld32());
  const hi = f.let(gate.ld32(4));
  // present, 32- or 64-bit interrupt or trap gate; in long mode without an IST
  s.no(hi.and(long ? 0x9e07 : 0x9e00).ne(0x8e00));
  const cpl = f.let(state(F.cpl));
  s.no(info.and(Event.Software).ne(0).and(hi.shrU(13).and(3).ltU(cpl)));
  const low = f.let(lo.and(0xffff).or(hi.and(0xffff_0000 | 0)));
  const target = f.let(long ? low.zx().or(gate.ld32(8).zx().shl(32n)) : low.zx());
  if (long) s.no(notCanonical(target));
  const selector = f.let(lo.shrU(16));
  const code = s.code(selector, Z);
  const sp = s.rsp;
  const top = f.let(sp);
  const ss = f.let(Z);
  const ssHi = f.let(Z);
  const bytes = f.let(select(info.and(Event.HasError), i32(long ? 48 : 16), long ? 40 : 12));
  f.if(cpl, () => {
    // the stack of level 0 from the TSS
    const tss = f.let(long ? state64(F.segBase + Seg.TR * 8).add(4n) : state(F.segBase + Seg.TR * 8).add(4));
    s.no(segment(F.segLimit, Seg.TR).ltU(long ? 11 : 9));
    const h = s.at(tss, 8);
    if (long) {
      f.set(top, h.ld64());
      s.no(notCanonical(top));
      return;
    }
    s.no(segment(F.segAttr, Seg.TR).and(8).eqz());
    f.set(top, h.ld32());
    f.set(ss, h.ld16u(4));
    s.no(ss.and(3));
    f.set(ssHi, s.stack(ss, Z).hi);
    f.set(bytes, bytes.add(8));
  });
  if (long) f.set(top, top.and(-16n));
  const base = f.let(long ? top.sub(bytes.zx()) : top.sub(bytes));
  const h = s.at(base, bytes, true);
  // nothing can go wrong from here on
  f.if(info.and(Event.HasError), () => {
    if (long) f.st64(h, 0, error.zx());
    else f.st32(h, 0, error);
  });
  const word = long ? 8 : 4;
  const frame = f.let(h.add(info.and(Event.HasError).mul(word)));
  const put = (at: number, v: E): void => (long ? f.st64(frame, at * 8, v) : f.st32(frame, at * 4, v));
  const resume = select(info.and(Event.Resume), i32(RF), Z);
  const flags = f.let(f.let(f.call('read_flags')).and(~RF).or(resume));
  const wide = (v: E): E => (long ? v.zx() : v);
  put(0, long ? rip : rip.lo());
  put(1, wide(segment(F.selector, Seg.CS)));
  put(2, wide(flags));
  const outer = (): void => {
    put(3, sp);
    put(4, wide(segment(F.selector, Seg.SS)));
  };
  if (long) outer();
  f.if(cpl, () => {
    if (long) {
      s.segment(Seg.SS, Z, i64(0), Z, i32(SegAttr.Unusable));
      return;
    }
    outer();
    s.segment(Seg.SS, ss, i64(0), i32(-1), ssHi.shrU(8).and(0xf0ff));
  });
  const off = select(hi.and(0x100), i32(TF | NT | RF | VM), TF | NT | RF | VM | IF);
  s.set(F.eflags, state(F.eflags).and(off.xor(-1)).or(2));
  s.load(Seg.CS, selector.and(0xfffc), code);
  s.level(Z);
  s.sp(base);
  s.set64(F.rip, target);
  s.set(F.shadow, 0);
  s.set(F.halted, 0);
  f.return(i32(1));
}

/** IRET at level 0 to level 0 or 3 (SDM vol. 2). */
function iret(s: Fast, op: E): void {
  const { f, long } = s;
  s.usualMode();
  s.no(
    op
      .ld8u(OP.flags)
      .and(OpFlag.OpSize16 | OpFlag.OpSize64)
      .ne(long ? OpFlag.OpSize64 : 0),
  );
  s.no(state(F.cpl));
  const old = f.let(state(F.eflags));
  s.no(old.and(NT | TF | VM));
  const sp = s.rsp;
  const h = s.at(sp, long ? 40 : 12);
  const word = long ? 8 : 4;
  const rip = f.let(long ? h.ld64() : h.ld32().zx());
  const selector = f.let(h.ld16u(word));
  const flags = f.let(h.ld32(2 * word));
  s.no(flags.and(long ? TF : TF | VM));
  if (long) s.no(notCanonical(rip));
  const rpl = f.let(selector.and(3));
  s.no(rpl.ne(0).and(rpl.ne(3)));
  const code = s.code(selector, rpl);
  const newSp = f.let(sp);
  const ss = f.let(Z);
  const ssLo = f.let(Z);
  const ssHi = f.let(Z);
  const readStack = (): void => {
    f.set(newSp, long ? h.ld64(24) : h.ld32(12));
    f.set(ss, h.ld16u(4 * word));
    s.no(ss.and(3).ne(rpl));
    const load = (): void => {
      const d = s.stack(ss, rpl);
      f.set(ssLo, d.lo);
      f.set(ssHi, d.hi);
    };
    // a null SS is right for 64-bit code of an inner level
    if (long) f.if(ss.and(0xfffc).or(rpl), load);
    else load();
  };
  if (long) readStack();
  f.if(
    rpl,
    () => {
      if (!long) {
        s.no(sp.and(4095).gtU(4096 - 20));
        readStack();
      }
      s.outerSegments();
    },
    () => {
      if (!long) f.set(newSp, sp.add(12));
    },
  );
  const loadSs = (): void => s.load(Seg.SS, ss, { lo: ssLo, hi: ssHi });
  if (long) f.if(ssHi, loadSs, () => s.segment(Seg.SS, ss, i64(0), Z, i32(SegAttr.Unusable)));
  else f.if(rpl, loadSs);
  s.load(Seg.CS, selector, code);
  s.level(rpl);
  s.sp(newSp);
  s.systemFlags(flags, DF | NT | RF | AC | ID | IF | IOPL | VIF_VIP);
  s.arithmeticFlags(flags);
  s.set64(F.rip, rip);
  f.if(flags.and(IF).and(old.xor(-1)), () => f.callVoid('interrupts_enabled'));
  f.return(i32(Next.Jump));
}

/** Flat CS and SS of a level, as fast system calls load them. */
function loadFlat(s: Fast, cs: E, ss: E, cpl: number, code: number): void {
  const dpl = cpl << SegAttr.DplShift;
  s.segment(Seg.CS, cs.and(0xfffc).or(cpl), i64(0), i32(-1), i32(code | dpl));
  s.segment(Seg.SS, ss.and(0xfffc).or(cpl), i64(0), i32(-1), i32(ATTR.data | dpl));
  s.level(i32(cpl));
}

function syscall(s: Fast, op: E): void {
  const { f } = s;
  if (!s.long) return f.return(i32(UNUSUAL));
  s.usualMode();
  s.no(state(F.efer).and(SCE).eqz());
  s.no(state(F.intercepts).and(Intercept.Syscall));
  const flags = f.let(f.call('read_flags'));
  s.set64(GPR + RCX * 8, s.nextRip(op));
  s.set64(GPR + R11 * 8, flags.and(~RF).zx());
  const mask = f.let(state(F.sfmask).or(RF).and(CLEARABLE));
  f.if(mask.and(ARITHMETIC), () => s.arithmeticFlags(flags.and(mask.xor(-1))));
  s.set(F.eflags, state(F.eflags).and(mask.and(~ARITHMETIC).xor(-1)).or(2));
  const selectors = f.let(state(F.star + 4).and(0xffff));
  loadFlat(s, selectors, selectors.add(8), 0, ATTR.code64);
  s.set64(F.rip, state64(F.lstar));
  f.return(i32(Next.Jump));
}

function sysret(s: Fast, op: E): void {
  const { f } = s;
  if (!s.long) return f.return(i32(UNUSUAL));
  s.usualMode();
  s.no(op.ld8u(OP.flags).and(OpFlag.OpSize64).eqz());
  s.no(state(F.efer).and(SCE).eqz());
  s.no(state(F.cpl));
  const rip = f.let(reg(RCX));
  s.no(notCanonical(rip));
  const old = f.let(state(F.eflags));
  const flags = f.let(reg(R11).lo().and(SYSRET_FLAGS));
  s.no(flags.or(old).and(TF));
  s.systemFlags(flags, CLEARABLE);
  s.arithmeticFlags(flags);
  const selectors = f.let(state(F.star + 4).shrU(16));
  loadFlat(s, selectors.add(16), selectors.add(8), 3, ATTR.code64);
  s.set64(F.rip, rip);
  f.if(flags.and(IF).and(old.xor(-1)), () => f.callVoid('interrupts_enabled'));
  f.return(i32(Next.Jump));
}

function sysenter(s: Fast): void {
  const { f } = s;
  if (s.long) return f.return(i32(UNUSUAL));
  s.usualMode();
  const selector = f.let(state(F.sysenterCs).and(0xfffc));
  s.no(selector.eqz());
  s.no(state(F.intercepts).and(Intercept.Syscall));
  s.set(
    F.eflags,
    state(F.eflags)
      .and(~(VM | IF | RF))
      .or(2),
  );
  s.sp(state(F.sysenterEsp));
  loadFlat(s, selector, selector.add(8), 0, ATTR.code32);
  s.set64(F.rip, state(F.sysenterEip).zx());
  f.return(i32(Next.Jump));
}

function sysexit(s: Fast, op: E): void {
  const { f } = s;
  if (s.long) return f.return(i32(UNUSUAL));
  s.usualMode();
  s.no(op.ld8u(OP.flags).and(OpFlag.OpSize64));
  const selector = f.let(state(F.sysenterCs).and(0xfffc));
  s.no(selector.eqz().or(state(F.cpl)));
  s.no(state(F.eflags).and(TF));
  s.sp(reg(RCX).lo());
  loadFlat(s, selector.add(16), selector.add(24), 3, ATTR.code32);
  s.set64(F.rip, reg(RDX).lo().zx());
  f.return(i32(Next.Jump));
}

function pushf(s: Fast, op: E): void {
  const { f, long } = s;
  s.usualMode();
  s.no(op.ld8u(OP.flags).and(OpFlag.OpSize16));
  const sp = f.let(long ? s.rsp.sub(8n) : s.rsp.sub(4));
  const h = s.at(sp, long ? 8 : 4, true, state(F.cpl).eq(3));
  const flags = f.let(f.call('read_flags')).and(~(VM | RF));
  if (long) f.st64(h, 0, flags.zx());
  else f.st32(h, 0, flags);
  s.sp(sp);
  f.return(i32(Next.Sequential));
}

function popf(s: Fast, op: E): void {
  const { f, long } = s;
  s.usualMode();
  s.no(op.ld8u(OP.flags).and(OpFlag.OpSize16));
  const old = f.let(state(F.eflags));
  const cpl = f.let(state(F.cpl));
  const sp = s.rsp;
  const h = s.at(sp, long ? 8 : 4, false, cpl.eq(3));
  const flags = f.let(h.ld32());
  s.no(flags.or(old).and(TF));
  const mask = f.let(i32(DF | NT | AC | ID | RF));
  f.if(cpl.leU(s.iopl()), () => f.set(mask, mask.or(IF)));
  f.if(cpl.eqz(), () => f.set(mask, mask.or(IOPL)));
  s.sp(long ? sp.add(8n) : sp.add(4));
  s.set(F.eflags, old.and(mask.xor(-1)).or(flags.and(~RF).and(mask)).or(2));
  s.arithmeticFlags(flags);
  f.if(state(F.eflags).and(old.xor(-1)).and(IF), () => f.callVoid('interrupts_enabled'));
  f.if(
    state(F.eflags)
      .xor(old)
      .and(IF | AC)
      .eqz(),
    () => f.return(i32(Next.Sequential)),
  );
  s.set64(F.rip, s.nextRip(op));
  f.return(i32(Next.Jump));
}

function invlpg(s: Fast, op: E): void {
  const { f, long } = s;
  s.usualMode();
  s.no(state(F.cpl));
  s.no(state(F.intercepts).and(Intercept.Invlpg));
  // the register form is an undefined instruction
  s.no(op.ld8u(OP.bytes).geU(0xc0));
  const seg = f.let(op.ld8u(OP.seg));
  const offset = f.let(f.call('ea_offset', op));
  const base = seg.shl(3).ld64(STATE + F.segBase);
  const linear = f.let(offset.add(long ? select(seg.geU(Seg.FS), base, i64(0)) : base));
  if (long) s.no(notCanonical(linear));
  const entry = f.let(entryOf(linear.lo(), Z));
  for (const tlb of [0, TLB_BYTES])
    for (const tag of [TLB_TAG_READ, TLB_TAG_WRITE, TLB_TAG_EXEC]) f.st32(entry, tlb + tag, TLB_INVALID);
  s.set64(F.rip, s.nextRip(op));
  f.return(i32(Next.Jump));
}
