// The whole instruction set, in one list.
import type { Instruction } from './instruction.ts';
import { arithmetic } from './arithmetic.ts';
import { bits } from './bits.ts';
import { control } from './control.ts';
import { data } from './data.ts';
import { fxsave } from './fxsave.ts';
import { privileged } from './privileged.ts';
import { sseMoves } from './sse.ts';
import { sseFloat } from './sse-float.ts';
import { mmxMoves, packedIntegers } from './sse-integer.ts';
import { strings } from './strings.ts';
import { x87 } from './x87.ts';

export const INSTRUCTIONS: readonly Instruction[] = [
  ...arithmetic,
  ...data,
  ...bits,
  ...control,
  ...strings,
  ...privileged,
  ...x87,
  ...fxsave,
  ...sseMoves,
  ...sseFloat,
  ...packedIntegers,
  ...mmxMoves,
];
