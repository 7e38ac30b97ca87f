// Instructions without a gate in the everyday cases, as WebAssembly: fast system calls, CLI, STI, PUSHF, POPF, SWAPGS, INVLPG, reading control
// registers and the time-stamp counter.
// Invariant: as in fast-events.ts.

import { E, i32, i64, select } from '../wasm/expr.ts';
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
  notCanonical,
  reg,
  state,
  state64,
} from './fast.ts';
import {
  Clock,
  F,
  GPR,
  Intercept,
  Next,
  OP,
  OpFlag,
  PAUSE_CYCLES,
  STATE,
  Seg,
  SegAttr,
  Shadow,
  TLB_BYTES,
  TLB_INVALID,
  TLB_TAG_EXEC,
  TLB_TAG_READ,
  TLB_TAG_WRITE,
  Waited,
} from './layout.ts';
import { entryOf } from './walk.ts';

/** What a fast function returns when nothing has changed: call the system routine. */
export const UNUSUAL = -1;
const Z = i32(0);
/** Flags that SYSCALL and SYSRET can change. */
const CLEARABLE = ARITHMETIC | TF | IF | DF | IOPL | NT | RF | AC | VIF_VIP | ID;
const SYSRET_FLAGS = 0x3c_7fd7;
const SCE = 1;
const TSD = 4;
const RAX = 0;
const RCX = 1;
const RDX = 2;
const R11 = 11;

const FLAT_ATTR = SegAttr.Present | SegAttr.NotSystem | SegAttr.RW | SegAttr.Accessed | SegAttr.G;
const ATTR = {
  data: FLAT_ATTR | SegAttr.DB,
  code32: FLAT_ATTR | SegAttr.DB | SegAttr.Code,
  code64: FLAT_ATTR | SegAttr.L | SegAttr.Code,
} as const;

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
  s.noAlignmentCheck(flags);
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
  s.noAlignmentCheck(state(F.eflags));
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
  s.noAlignmentCheck(flags);
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

function movFromCr(s: Fast, op: E): void {
  const { f } = s;
  s.usualMode();
  s.no(state(F.cpl));
  s.no(state(F.intercepts).and(Intercept.CrAccess));
  // with REX.R it is CR8 or none
  s.no(op.ld8u(OP.bytes + 2).and(4));
  const number = f.let(op.ld8u(OP.bytes).shrU(3).and(7));
  const to = f.let(op.ld8u(OP.rm));
  const is = (n: number, v: E): void =>
    f.if(number.eq(n), () => {
      f.st64(to, STATE, v);
      f.return(i32(Next.Sequential));
    });
  is(0, state(F.cr0).zx());
  is(2, s.long ? state64(F.cr2) : state(F.cr2).zx());
  is(3, s.long ? state64(F.cr3) : state(F.cr3).zx());
  is(4, state(F.cr4).zx());
  f.return(i32(UNUSUAL));
}

function timeStamp(s: Fast, withAux: boolean): void {
  const { f } = s;
  s.no(Z.ld32(Clock.counted).eqz());
  s.no(state(F.cr4).and(TSD).or(state(F.intercepts).and(Intercept.Rdtsc)));
  const now = f.let(Z.ld64(Clock.cycles).sub(state(F.fuel).zx()).add(state64(F.tscOffset)));
  s.set64(GPR + RAX * 8, now.lo().zx());
  s.set64(GPR + RDX * 8, now.shrU(32n));
  if (withAux) s.set64(GPR + RCX * 8, state(F.tscAux).zx());
  f.return(i32(Next.Sequential));
}

/** CpuCore.wait. */
function pause(s: Fast): void {
  const { f } = s;
  s.no(state(F.intercepts).and(Intercept.Pause));
  const fuel = f.let(state(F.fuel));
  const taken = f.let(select(fuel.ltU(PAUSE_CYCLES), fuel, i32(PAUSE_CYCLES)));
  f.st32(Z, STATE + F.fuel, fuel.sub(taken));
  f.st32(Z, Waited.taken, Z.ld32(Waited.taken).add(taken));
  f.st32(Z, Waited.cycles, Z.ld32(Waited.cycles).add(PAUSE_CYCLES));
  f.st64(Z, Clock.cycles, Z.ld64(Clock.cycles).add(i32(PAUSE_CYCLES).sub(taken).zx()));
  f.return(i32(Next.Sequential));
}

/** By the name of the system routine. */
export const FAST_CALLS: Readonly<Record<string, (s: Fast, op: E) => void>> = {
  syscall,
  sysret,
  sysenter,
  sysexit,
  cli: (s) => {
    s.no(state(F.cr0).and(1).and(state(F.cpl).gtU(s.iopl())));
    s.set(F.eflags, state(F.eflags).and(~IF).or(2));
    s.f.return(i32(Next.Sequential));
  },
  sti: (s, op) => {
    s.no(state(F.cr0).and(1).and(state(F.cpl).gtU(s.iopl())));
    s.f.if(state(F.eflags).and(IF), () => s.f.return(i32(Next.Sequential)));
    s.usualMode();
    s.set(F.eflags, state(F.eflags).or(IF | 2));
    s.set(F.shadow, i32(Shadow.Sti));
    s.f.callVoid('shadow_began');
    s.set64(F.rip, s.nextRip(op));
    s.f.return(i32(Next.Jump));
  },
  swapgs: (s) => {
    if (!s.long) s.no(i32(1));
    s.usualMode();
    s.no(state(F.cpl));
    const base = s.f.let(state64(F.segBase + Seg.GS * 8));
    s.set64(F.segBase + Seg.GS * 8, state64(F.kernelGsBase));
    s.set64(F.kernelGsBase, base);
    s.f.return(i32(Next.Sequential));
  },
  pushf,
  popf,
  invlpg,
  mov_from_cr: movFromCr,
  pause,
  rdtsc: (s) => timeStamp(s, false),
  rdtscp: (s) => timeStamp(s, true),
};
