// Events in the everyday cases, as WebAssembly: delivery through a 32-bit or 64-bit gate to level 0, and IRET to level 0 or 3.
// What is unusual in any way (a descriptor that is not flat, present and accessed, a frame across two pages, TF, a task gate, an IST, an
// intercept) is left to cpu/system.
// Invariant: a function here either does exactly what its namesake in cpu/system does, or changes nothing and says so.

import { E, i32, i64, select } from '../wasm/expr.ts';
import type { ModuleBuilder } from '../wasm/module.ts';
import { FAST_CALLS, UNUSUAL } from './fast-calls.ts';
import { FAST_SEGMENTS } from './fast-segments.ts';
import {
  AC,
  ARITHMETIC,
  DF,
  Fast,
  ID,
  IF,
  IOPL,
  NT,
  RF,
  TF,
  VIF_VIP,
  VM,
  WRITE,
  notCanonical,
  segment,
  state,
  state64,
} from './fast.ts';
import {
  F,
  FlagKind,
  Intercept,
  Next,
  OP,
  OpFlag,
  Seg,
  SegAttr,
  TLB_ADDEND,
  TLB_TAG_READ,
  TLB_TAG_WRITE,
} from './layout.ts';
import { entryOf } from './walk.ts';

/** System routines with a `fast_` function, which takes the operation's address and returns a value of Next or UNUSUAL. */
export const FAST_ROUTINES: ReadonlySet<string> = new Set([
  ...['int_n', 'iret'],
  ...Object.keys(FAST_CALLS),
  ...Object.keys(FAST_SEGMENTS),
]);
/** Bits of fast_deliver's second argument. */
export const Event = { HasError: 1, Software: 2, Resume: 4 } as const;

const Z = i32(0);

/** Adds fast_deliver and the fast_ routines. Needs walk_fill, set_flags and the imported interrupts_enabled and shadow_began. */
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
    // as flagOfKind (flag-functions.ts), all at once
    const { Explicit, Sub, Logic } = FlagKind;
    const kind = f.let(state(F.ccOp));
    const [r, a, b] = [f.let(state64(F.ccR)), f.let(state64(F.ccA)), f.let(state64(F.ccB))];
    const parity = r.lo().and(255).popcnt().and(1).xor(1);
    f.set(flags, flags.or(r.shrU(63n).lo().shl(7)).or(parity.shl(2)));
    f.if(kind.eq(Logic), () => f.return(flags));
    f.if(kind.eq(Explicit), () => f.return(flags.or(a.lo().and(0x11)).or(b.lo().and(1).shl(11))));
    // what is left are sums and differences, with a carry in the odd kinds
    const difference = f.let(kind.geU(Sub));
    const x = f.let(select(difference, a, r));
    const y = f.let(select(difference, b, a));
    const carry = f.let(x.ltU(y).or(x.eq(y).and(kind)));
    const overflow = a
      .xor(r)
      .and(select(difference, a, r).xor(b))
      .shrU(63n)
      .lo();
    const adjust = a.xor(b).xor(r).lo().and(0x10);
    f.set(flags, flags.or(carry).or(adjust).or(overflow.shl(11)));
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
    ...FAST_CALLS,
    ...FAST_SEGMENTS,
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
  s.no(flags.and(long ? TF : TF | VM).or(state(F.nmiBlocked)));
  s.noAlignmentCheck(flags);
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
