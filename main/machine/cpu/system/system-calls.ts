// SYSCALL, SYSRET, SYSENTER, SYSEXIT and calls to a hypervisor (SDM vol. 2; vol. 3, 5.8.7 and 5.8.8).

import { F, Intercept, Next, OP, Seg, SegAttr } from '../layout.ts';
import { ExitCode } from './exit.ts';
import { exitBefore, leave, raiseGp, raiseUd } from './fault.ts';
import { modeChanged } from './parts.ts';
import type { Routine, SystemParts } from './parts.ts';
import type { RoutineName } from './routine-names.ts';
import { ARITHMETIC_FLAGS, Efer, Eflags, Reg, isCanonical } from './state.ts';

const FLAT_LIMIT = 0xffff_ffff;
const DATA = SegAttr.G | SegAttr.DB | SegAttr.Present | SegAttr.NotSystem | SegAttr.RW | SegAttr.Accessed;
const CODE32 = DATA | SegAttr.Code;
const CODE64 = (CODE32 & ~SegAttr.DB) | SegAttr.L;
/** SYSRET takes these from R11; RF and VM are always cleared (SDM vol. 2, SYSRET: AND 3C7FD7H). */
const SYSRET_FLAGS = 0x3c_7fd7;

/** Flags that SYSCALL and SYSENTER may clear. */
const CLEARABLE =
  ARITHMETIC_FLAGS |
  Eflags.TF |
  Eflags.IF |
  Eflags.DF |
  Eflags.IOPL |
  Eflags.NT |
  Eflags.RF |
  Eflags.AC |
  Eflags.VIF |
  Eflags.VIP |
  Eflags.ID;

export function systemCallRoutines(parts: SystemParts): Partial<Record<RoutineName, Routine>> {
  const { state, ctx } = parts;

  const length = (op: number): number => state.u8[op + OP.length];
  const intercepted = (bit: number): boolean => (state.get32(F.intercepts) & bit) !== 0;

  /** Loads flat CS and SS at a privilege level, as fast system calls do without looking at descriptors. */
  const enter = (cs: number, ss: number, cpl: number, code: number, rip: number): number => {
    const dpl = cpl << SegAttr.DplShift;
    state.setSegment(Seg.CS, (cs & 0xfffc) | cpl, 0, FLAT_LIMIT, code | dpl);
    state.setSegment(Seg.SS, (ss & 0xfffc) | cpl, 0, FLAT_LIMIT, DATA | dpl);
    state.set32(F.cpl, cpl);
    state.rip = rip;
    modeChanged(parts);
    return Next.Jump;
  };

  const hypercall = (op: number, vmmcall: number): number => {
    if (!intercepted(Intercept.Vmcall)) raiseUd(state);
    return exitBefore(state, ExitCode.Hypercall, vmmcall, 0, 0, length(op));
  };

  return {
    syscall(op) {
      // Intel's processors know SYSCALL in 64-bit mode only
      if (!state.in64 || (state.get32(F.efer) & Efer.SCE) === 0) raiseUd(state);
      if (intercepted(Intercept.Syscall)) return exitBefore(state, ExitCode.Syscall, 0, 0, 0, length(op));
      const next = state.nextRip(op);
      const flags = ctx.readEflags();
      state.setAddress(Reg.RCX * 8, next);
      state.setReg64(Reg.R11, flags & ~Eflags.RF, 0);
      ctx.writeEflags(0, (state.get32(F.sfmask) | Eflags.RF) & CLEARABLE);
      const selectors = state.getHigh(F.star) & 0xffff;
      return enter(selectors, selectors + 8, 0, CODE64, state.getAddress(F.lstar));
    },

    sysret(op) {
      if (!state.in64 || (state.get32(F.efer) & Efer.SCE) === 0) raiseUd(state);
      if (state.cpl !== 0) raiseGp(state, 0);
      const wide = state.operandSize(op) === 8;
      const rip = wide ? state.regAddress(Reg.RCX) : state.regLo(Reg.RCX);
      if (wide && !isCanonical(rip)) raiseGp(state, 0);
      const flags = state.regLo(Reg.R11) & SYSRET_FLAGS;
      const opened = (flags & ~state.eflags & Eflags.IF) !== 0;
      ctx.writeEflags(flags, CLEARABLE);
      const selectors = state.getHigh(F.star) >>> 16;
      enter(wide ? selectors + 16 : selectors, selectors + 8, 3, wide ? CODE64 : CODE32, rip);
      if (opened) ctx.interruptsEnabled?.();
      return Next.Jump;
    },

    sysenter(op) {
      const selector = state.get32(F.sysenterCs) & 0xfffc;
      if (!state.protectedMode || selector === 0) raiseGp(state, 0);
      if (intercepted(Intercept.Syscall)) leave(state, ExitCode.Syscall, 1, 0, 0, length(op));
      const long = state.longModeActive;
      ctx.writeEflags(0, Eflags.VM | Eflags.IF | Eflags.RF);
      const rip = long ? state.getAddress(F.sysenterEip) : state.get32(F.sysenterEip);
      if (long) state.setAddress(Reg.RSP * 8, state.getAddress(F.sysenterEsp));
      else state.setReg32(Reg.RSP, state.get32(F.sysenterEsp));
      return enter(selector, selector + 8, 0, long ? CODE64 : CODE32, rip);
    },

    sysexit(op) {
      const selector = state.get32(F.sysenterCs) & 0xfffc;
      if (!state.protectedMode || selector === 0 || state.cpl !== 0) raiseGp(state, 0);
      if (state.operandSize(op) === 8) {
        const rip = state.regAddress(Reg.RDX);
        const rsp = state.regAddress(Reg.RCX);
        if (!isCanonical(rip) || !isCanonical(rsp)) raiseGp(state, 0);
        state.setAddress(Reg.RSP * 8, rsp);
        return enter(selector + 32, selector + 40, 3, CODE64, rip);
      }
      state.setReg32(Reg.RSP, state.regLo(Reg.RCX));
      return enter(selector + 16, selector + 24, 3, CODE32, state.regLo(Reg.RDX));
    },

    vmcall: (op) => hypercall(op, 0),
    vmmcall: (op) => hypercall(op, 1),
  };
}
