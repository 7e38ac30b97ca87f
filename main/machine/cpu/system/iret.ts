// IRET in every mode (SDM vol. 2, IRET/IRETD/IRETQ).

import { Careful, F, Next, Seg } from '../layout.ts';
import { raiseGp } from './fault.ts';
import { modeChanged } from './parts.ts';
import type { Routine, SystemParts } from './parts.ts';
import type { RoutineName } from './routine-names.ts';
import { VM86_ATTR, commitCode, loadParagraph } from './segments.ts';
import { Stack } from './stack.ts';
import { ARITHMETIC_FLAGS, Eflags, Reg } from './state.ts';
import { returnFromTask } from './task.ts';
import { checkReturnCode, checkReturnStack, checkTarget, commitOuter } from './transfer.ts';

/** Flags that IRET of `size` bytes may change at privilege `cpl` with `iopl`, before the return. */
export function returnFlagsMask(size: number, cpl: number, iopl: number): number {
  let mask = ARITHMETIC_FLAGS | Eflags.TF | Eflags.DF | Eflags.NT;
  if (size !== 2) mask |= Eflags.RF | Eflags.AC | Eflags.ID;
  if (cpl <= iopl) mask |= Eflags.IF;
  if (cpl === 0) {
    mask |= Eflags.IOPL;
    if (size !== 2) mask |= Eflags.VIF | Eflags.VIP;
  }
  return mask;
}

export function iretRoutines(parts: SystemParts): Partial<Record<RoutineName, Routine>> {
  const { state, ctx } = parts;

  /** Writes flags and tells the run loop if interrupts became possible. */
  const setFlags = (flags: number, mask: number): void => {
    const opened = (flags & mask & ~state.eflags & Eflags.IF) !== 0;
    ctx.writeEflags(flags, mask);
    if (opened) ctx.interruptsEnabled?.();
    if ((flags & mask & Eflags.RF) !== 0 && (state.get32(F.careful) & Careful.Code) !== 0) ctx.boundary?.();
  };

  /** NMIs are taken again, also when the IRET faults (SDM vol. 3, 6.7.1). */
  const unblockNmi = (): void => {
    if (state.get32(F.nmiBlocked) === 0) return;
    state.set32(F.nmiBlocked, 0);
    if (state.get32(F.nmiPending) !== 0) ctx.boundary?.();
  };

  const arrive = (offset: number): number => {
    state.rip = offset;
    modeChanged(parts);
    return Next.Jump;
  };

  const iretParagraph = (size: number): number => {
    if (state.vm86 && state.iopl < 3) raiseGp(state, 0);
    const stack = Stack.current(parts);
    const offset = stack.popAddress(size);
    const selector = stack.pop(size) & 0xffff;
    const flags = stack.pop(size);
    if (offset > (state.vm86 ? 0xffff : state.limit(Seg.CS))) raiseGp(state, 0);
    stack.commit();
    loadParagraph(parts, Seg.CS, selector);
    const mask = returnFlagsMask(size, 0, 0);
    setFlags(flags, state.vm86 ? mask & ~(Eflags.IOPL | Eflags.VIF | Eflags.VIP) : mask);
    return arrive(offset);
  };

  /** IRET at CPL 0 with VM set in the popped flags: into virtual-8086 mode. */
  const iretToVm86 = (stack: Stack, offset: number, selector: number, flags: number): number => {
    const sp = stack.pop(4);
    const selectors = [Seg.SS, Seg.ES, Seg.DS, Seg.FS, Seg.GS].map((segment) => ({
      segment,
      selector: stack.pop(4) & 0xffff,
    }));
    setFlags(flags, returnFlagsMask(4, 0, 3) | Eflags.VM);
    state.set32(F.cpl, 3);
    for (const { segment, selector: value } of [...selectors, { segment: Seg.CS, selector }]) {
      state.setSegment(segment, value, value * 16, 0xffff, VM86_ATTR);
    }
    state.setReg32(Reg.RSP, sp);
    return arrive(offset & 0xffff);
  };

  const iretProtected = (op: number, size: number): number => {
    if ((state.eflags & Eflags.NT) !== 0) {
      if (state.longModeActive) raiseGp(state, 0);
      returnFromTask(parts, state.nextRip(op));
      return Next.Jump;
    }
    const stack = Stack.current(parts);
    const offset = stack.popAddress(size);
    const selector = stack.pop(size) & 0xffff;
    const flags = stack.pop(size);
    const cpl = state.cpl;
    const mask = returnFlagsMask(size, cpl, state.iopl);
    if ((flags & Eflags.VM) !== 0 && cpl === 0 && size === 4 && !state.longModeActive) {
      return iretToVm86(stack, offset, selector, flags);
    }
    const code = checkReturnCode(parts, selector);
    if ((selector & 3) > cpl || state.in64) {
      const sp = stack.popAddress(size);
      const ssSelector = stack.pop(size) & 0xffff;
      const ss = checkReturnStack(parts, ssSelector, code);
      const rip = checkTarget(parts, code, offset);
      commitOuter(parts, code, ss, ssSelector, sp);
      setFlags(flags, mask);
      return arrive(rip);
    }
    const rip = checkTarget(parts, code, offset);
    commitCode(parts, code, cpl);
    stack.commit();
    setFlags(flags, mask);
    return arrive(rip);
  };

  return {
    iret(op) {
      const size = state.operandSize(op);
      if (!state.vm86 || state.iopl === 3) unblockNmi();
      return state.paragraphMode ? iretParagraph(size) : iretProtected(op, size);
    },
  };
}
