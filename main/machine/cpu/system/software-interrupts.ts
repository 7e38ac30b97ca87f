// INT n, INT3, INT1, INTO and BOUND (SDM vol. 2).

import { F, Intercept, Next, OP } from '../layout.ts';
import { ExitCode } from './exit.ts';
import { Vector, exitBefore, leave, raise, raiseGp, raiseUd } from './fault.ts';
import { enterHandler } from './interrupt.ts';
import type { Routine, SystemParts } from './parts.ts';
import type { RoutineName } from './routine-names.ts';
import { Eflags } from './state.ts';

export function softwareInterruptRoutines(parts: SystemParts): Partial<Record<RoutineName, Routine>> {
  const { state, access, ctx } = parts;

  /** Leaves if the exception that INT1, INT3 or INTO stands for is intercepted. */
  const interceptException = (op: number, vector: number): void => {
    if (((state.get32(F.interceptExceptions) >>> vector) & 1) !== 0) {
      leave(state, ExitCode.Exception, vector, 0, 0, state.u8[op + OP.length]);
    }
  };

  const interrupt = (op: number, vector: number, software: boolean): number => {
    if (software && (state.get32(F.intercepts) & Intercept.SoftInt) !== 0) {
      return exitBefore(state, ExitCode.SoftInt, vector, 0, 0, state.u8[op + OP.length]);
    }
    state.external = software ? 0 : 1;
    try {
      enterHandler(parts, {
        vector,
        hasError: false,
        error: 0,
        software,
        returnRip: state.nextRip(op),
        setResume: false,
      });
    } finally {
      state.external = 0;
    }
    return Next.Jump;
  };

  return {
    int_n(op) {
      if (state.vm86 && state.iopl < 3) raiseGp(state, 0);
      return interrupt(op, state.immLo(op) & 0xff, true);
    },
    int3(op) {
      interceptException(op, Vector.BP);
      return interrupt(op, Vector.BP, true);
    },
    int1(op) {
      // ICEBP is treated as a hardware exception: the gate's DPL is not checked
      interceptException(op, Vector.DB);
      return interrupt(op, Vector.DB, false);
    },
    into(op) {
      if (state.in64) raiseUd(state);
      if ((ctx.readEflags() & Eflags.OF) === 0) return Next.Sequential;
      interceptException(op, Vector.OF);
      return interrupt(op, Vector.OF, true);
    },
    bound(op) {
      if (state.in64 || state.modrmIsRegister(op)) raiseUd(state);
      const size = state.operandSize(op);
      const shift = size === 2 ? 16 : 0;
      const signed = (value: number) => (value << shift) >> shift;
      const lower = signed(access.readSized(access.operand(op, size, false), size, access.user));
      const upper = signed(access.readSized(access.operand(op, size, false, size), size, access.user));
      const index = signed(state.regLo(state.regField(op)));
      if (index < lower || index > upper) raise(state, Vector.BR);
      return Next.Sequential;
    },
  };
}
