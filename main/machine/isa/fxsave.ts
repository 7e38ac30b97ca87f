// FXSAVE, FXRSTOR and the MXCSR. Their meaning is in main/machine/cpu/fpu/environment.ts.

import { instruction, type Instruction } from './instruction.ts';

const row = (routine: string, encodings: string[]): Instruction =>
  Object.assign(
    instruction(routine, encodings, {}, (s) => s.system(routine)),
    { routine },
  );

export const fxsave: Instruction[] = [
  row('fxsave', ['NP 0F AE /0 M']),
  row('fxrstor', ['NP 0F AE /1 M']),
  row('ldmxcsr', ['NP 0F AE /2 Md']),
  row('stmxcsr', ['NP 0F AE /3 Md']),
];
