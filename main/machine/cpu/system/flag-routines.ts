// CLI, STI, PUSHF, POPF and ENTER (SDM vol. 2; vol. 3, table 20-1 for virtual-8086 mode without VME).

import { F, Next, Seg, Shadow } from '../layout.ts';
import { raiseGp } from './fault.ts';
import { Access } from './paging.ts';
import { modeChanged } from './parts.ts';
import type { Routine, SystemParts } from './parts.ts';
import type { RoutineName } from './routine-names.ts';
import { Stack } from './stack.ts';
import { ARITHMETIC_FLAGS, Eflags, Reg } from './state.ts';

/** Flags whose change the run loop has to look at. */
const WATCHED = Eflags.IF | Eflags.TF | Eflags.AC;

export function flagRoutines(parts: SystemParts): Partial<Record<RoutineName, Routine>> {
  const { state, access, ctx } = parts;

  const checkIopl = (): void => {
    if (state.protectedMode && state.cpl > state.iopl) raiseGp(state, 0);
  };

  return {
    cli() {
      checkIopl();
      ctx.writeEflags(0, Eflags.IF);
      return Next.Sequential;
    },
    sti(op) {
      checkIopl();
      if ((state.eflags & Eflags.IF) !== 0) return Next.Sequential;
      ctx.writeEflags(Eflags.IF, Eflags.IF);
      state.set32(F.shadow, Shadow.Sti);
      ctx.interruptsEnabled?.();
      state.rip = state.nextRip(op);
      return Next.Jump;
    },
    pushf(op) {
      if (state.vm86 && state.iopl < 3) raiseGp(state, 0);
      const stack = Stack.current(parts);
      stack.push(state.stackOperandSize(op), ctx.readEflags() & ~(Eflags.VM | Eflags.RF));
      stack.commit();
      return Next.Sequential;
    },
    popf(op) {
      if (state.vm86 && state.iopl < 3) raiseGp(state, 0);
      const size = state.stackOperandSize(op);
      const stack = Stack.current(parts);
      const flags = stack.pop(size);
      const cpl = state.protectedMode ? state.cpl : 0;
      let mask = ARITHMETIC_FLAGS | Eflags.TF | Eflags.DF | Eflags.NT;
      if (size !== 2) mask |= Eflags.AC | Eflags.ID;
      if (cpl <= state.iopl) mask |= Eflags.IF;
      if (cpl === 0) mask |= Eflags.IOPL;
      const old = state.eflags;
      stack.commit();
      ctx.writeEflags(flags & ~Eflags.RF, mask | (size === 2 ? 0 : Eflags.RF));
      if ((flags & mask & ~old & Eflags.IF) !== 0) ctx.interruptsEnabled?.();
      if (((state.eflags ^ old) & WATCHED) === 0) return Next.Sequential;
      if (((state.eflags ^ old) & Eflags.AC) !== 0) modeChanged(parts);
      state.rip = state.nextRip(op);
      return Next.Jump;
    },
    enter(op) {
      const size = state.stackOperandSize(op);
      const imm = state.immLo(op);
      const allocate = imm & 0xffff;
      const level = (imm >>> 16) & 0x1f;
      const width = state.stackWidth;
      const stack = Stack.current(parts);
      stack.push(size, state.regLo(Reg.RBP), state.regHi(Reg.RBP));
      const frame = stack.sp;
      if (level > 0) {
        let from = width === 8 ? state.regAddress(Reg.RBP) : state.regLo(Reg.RBP);
        for (let i = 1; i < level; i++) {
          from = width === 8 ? from - size : width === 4 ? (from - size) >>> 0 : (from - size) & 0xffff;
          const linear = access.linear(Seg.SS, from, size, false);
          const lo = access.readSized(linear, size, access.user);
          stack.push(size, lo, access.hi);
        }
        stack.pushAddress(size, frame);
      }
      stack.release(-allocate);
      // The last step of ENTER touches the new top of the stack (SDM vol. 2, ENTER)
      access.probe(access.linear(Seg.SS, stack.sp, size, true), size, Access.Write, access.user);
      stack.commit();
      // The 16-bit forms leave the upper part of the frame pointer alone
      if (size === 2) state.setReg16(Reg.RBP, frame);
      else if (size === 8) state.setAddress(Reg.RBP * 8, frame);
      else state.setReg32(Reg.RBP, frame);
      return Next.Sequential;
    },
  };
}
