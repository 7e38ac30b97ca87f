// All floating-point system routines, by name, for the routine table of the CPU's system side.

import type { Routine, SystemParts } from '../system/parts.ts';
import { environmentRoutines } from './environment.ts';
import { FpuRegisters } from './registers.ts';
import { sseRoutines } from './sse.ts';
import { x87Routines } from './x87.ts';

export const FPU_ROUTINE_NAMES = [
  'x87',
  'fninit',
  'fnclex',
  'fnop_control',
  'fldcw',
  'fnstcw',
  'fnstsw',
  'fnstsw_ax',
  'fldenv',
  'fnstenv',
  'fnsave',
  'frstor',
  'fwait',
  'emms',
  'fxsave',
  'fxrstor',
  'ldmxcsr',
  'stmxcsr',
  'sse_np',
  'sse_66',
  'sse_f3',
  'sse_f2',
] as const;
export type FpuRoutineName = (typeof FPU_ROUTINE_NAMES)[number];

export function fpuRoutines(parts: SystemParts): Record<FpuRoutineName, Routine> {
  const fpu = new FpuRegisters(parts);
  const environment = environmentRoutines(parts, fpu);
  return { ...environment.routines, ...x87Routines(parts, fpu, environment), ...sseRoutines(parts, fpu) };
}
