// CPUID, HLT, PAUSE, and the instructions of features that this CPU does not show (MONITOR, XGETBV).

import { F, Intercept, Next, OP, PAUSE_CYCLES } from '../layout.ts';
import { requireCpl0 } from './control-registers.ts';
import { cpuidLeaf, policyOf } from './cpuid-policy.ts';
import { ExitCode } from './exit.ts';
import { exitBefore, leave, raiseUd } from './fault.ts';
import type { Routine, SystemParts } from './parts.ts';
import type { RoutineName } from './routine-names.ts';
import { Reg } from './state.ts';

const APIC_BASE_ENABLE = 0x800;
const FEATURE_APIC = 0x200;
const FEATURE_SYSCALL = 0x800;

export function identificationRoutines(parts: SystemParts): Partial<Record<RoutineName, Routine>> {
  const { state, ctx } = parts;

  return {
    cpuid(op) {
      if ((state.get32(F.intercepts) & Intercept.Cpuid) !== 0) {
        return exitBefore(state, ExitCode.Cpuid, 0, 0, 0, state.u8[op + OP.length]);
      }
      const leaf = state.regLo(Reg.RAX);
      const [eax, ebx, ecx, edx] = cpuidLeaf(policyOf(ctx), leaf, state.regLo(Reg.RCX));
      let b = ebx;
      let d = edx;
      if (leaf === 1) {
        // The initial APIC id, and an APIC that is switched off is not there (SDM vol. 3, 10.4.3)
        b = (ebx & 0x00ff_ffff) | (state.get32(F.index) << 24);
        if ((state.get32(F.apicBase) & APIC_BASE_ENABLE) === 0) d &= ~FEATURE_APIC;
      }
      // Intel's processors show SYSCALL in 64-bit mode only (SDM vol. 2, CPUID 80000001H, note)
      if (leaf === 0x8000_0001 && !state.in64) d &= ~FEATURE_SYSCALL;
      state.setReg32(Reg.RAX, eax);
      state.setReg32(Reg.RBX, b);
      state.setReg32(Reg.RCX, ecx);
      state.setReg32(Reg.RDX, d);
      return Next.Sequential;
    },

    pause(op) {
      if ((state.get32(F.intercepts) & Intercept.Pause) !== 0)
        return exitBefore(state, ExitCode.Pause, 0, 0, 0, state.u8[op + OP.length]);
      ctx.wait?.(PAUSE_CYCLES);
      return Next.Sequential;
    },

    hlt(op) {
      requireCpl0(parts);
      if ((state.get32(F.intercepts) & Intercept.Hlt) !== 0) {
        leave(state, ExitCode.Halt, 1, 0, 0, state.u8[op + OP.length]);
      }
      state.set32(F.halted, 1);
      state.setExit(ExitCode.Halt, 0, 0, 0, 0);
      state.rip = state.nextRip(op);
      return Next.Exit;
    },

    monitor: () => raiseUd(state),
    mwait: () => raiseUd(state),
    xgetbv: () => raiseUd(state),
    xsetbv: () => raiseUd(state),
  };
}
