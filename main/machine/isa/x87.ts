// x87 instructions (opcodes D8 to DF, and 9B). Their meaning is in main/machine/cpu/fpu; here are their encodings and names.
// Undocumented aliases that every x87 executes (SDM vol. 2, A.5.2, shaded) are rows like the others.

import { instruction, type Instruction } from './instruction.ts';
import type { Semantics } from './semantics.ts';
import {
  fastArithmetic,
  fastCompare,
  fastConstant,
  fastExchange,
  fastLoad,
  fastLoadControl,
  fastLoadRegister,
  fastSign,
  fastStore,
  fastStoreControl,
  fastStoreInteger,
  fastStoreRegister,
  fastStoreStatus,
} from './x87-fast.ts';
import { defineX87 } from './x87-numbers.ts';

/** `fast` writes the cases that need no routine and falls through to it otherwise. */
const row = (name: string, encodings: string[], routine = 'x87', fast?: (s: Semantics) => void): Instruction =>
  Object.assign(
    instruction(name, encodings, {}, (s) => {
      fast?.(s);
      s.system(routine);
    }),
    { routine },
  );
/** The fast form of arithmetic row n, of which 2 and 3 are comparisons. */
const fast =
  (n: number, options: Parameters<typeof fastArithmetic>[2]) =>
  (s: Semantics): void => {
    if (n === 2 || n === 3)
      fastCompare(s, false, n === 3 || options.pop ? 1 : 0, options.integer ? 'integer' : 'float');
    else fastArithmetic(s, n, options);
  };

const ARITHMETIC = ['fadd', 'fmul', 'fcom', 'fcomp', 'fsub', 'fsubr', 'fdiv', 'fdivr'];
const hex = (n: number): string => n.toString(16).toUpperCase();
/** Register forms of row n begin at C0 + 8n. */
const registers = (n: number): string => `/${hex(0xc0 + n * 8)}+`;
/** In DC and DE the order of subtraction and division changes with the destination. */
const REVERSED = ['fadd', 'fmul', 'fcom', 'fcomp', 'fsubr', 'fsub', 'fdivr', 'fdiv'];

/** One-byte-ModRM instructions of D9. */
const SINGLE: Record<string, string> = {
  D0: 'fnop',
  E0: 'fchs',
  E1: 'fabs',
  E4: 'ftst',
  E5: 'fxam',
  E8: 'fld1',
  E9: 'fldl2t',
  EA: 'fldl2e',
  EB: 'fldpi',
  EC: 'fldlg2',
  ED: 'fldln2',
  EE: 'fldz',
  F0: 'f2xm1',
  F1: 'fyl2x',
  F2: 'fptan',
  F3: 'fpatan',
  F4: 'fxtract',
  F5: 'fprem1',
  F6: 'fdecstp',
  F7: 'fincstp',
  F8: 'fprem',
  F9: 'fyl2xp1',
  FA: 'fsqrt',
  FB: 'fsincos',
  FC: 'frndint',
  FD: 'fscale',
  FE: 'fsin',
  FF: 'fcos',
};

const FAST_SINGLE: Record<string, (s: Semantics) => void> = {
  E0: (s) => fastSign(s, (word) => word.xor(0x8000)),
  E1: (s) => fastSign(s, (word) => word.and(0x7fff)),
  E4: (s) => fastCompare(s, false, 0, 'zero'),
  E8: (s) => fastConstant(s, 1n << 63n, 0x3fff),
  EE: (s) => fastConstant(s, 0n, 0),
};

export const x87: Instruction[] = [
  ...ARITHMETIC.map((name, n) => row(name, [`D8 /${n} Md`, `DC /${n} Mq`, `D8 ${registers(n)}`], 'x87', fast(n, {}))),
  ...REVERSED.map((name, n) => row(name, [`DC ${registers(n)}`], 'x87', fast(n, { toOther: true }))),
  ...ARITHMETIC.map((name, n) =>
    row(name.replace('f', 'fi'), [`DA /${n} Md`, `DE /${n} Mw`], 'x87', fast(n, { integer: true })),
  ),
  ...REVERSED.flatMap((name, n) =>
    n === 3
      ? []
      : [row(n === 2 ? 'fcomp' : `${name}p`, [`DE ${registers(n)}`], 'x87', fast(n, { toOther: true, pop: true }))],
  ),
  row('fcompp', ['DE /D9'], 'x87', (s) => fastCompare(s, false, 2)),
  row('fld', ['D9 /0 Md', 'DD /0 Mq', 'DB /5 Mt', 'D9 /C0+'], 'x87', (s) => {
    fastLoad(s, false);
    fastLoadRegister(s);
  }),
  row('fst', ['D9 /2 Md', 'DD /2 Mq', 'DD /D0+'], 'x87', (s) => {
    fastStore(s, false);
    fastStoreRegister(s, false);
  }),
  row('fstp', ['D9 /3 Md', 'DD /3 Mq', 'DB /7 Mt', 'DD /D8+', 'D9 /D8+', 'DF /D0+', 'DF /D8+'], 'x87', (s) => {
    fastStore(s, true);
    fastStoreRegister(s, true);
  }),
  row('fxch', ['D9 /C8+', 'DD /C8+', 'DF /C8+'], 'x87', fastExchange),
  row('fild', ['DB /0 Md', 'DF /0 Mw', 'DF /5 Mq'], 'x87', (s) => fastLoad(s, true)),
  row('fist', ['DB /2 Md', 'DF /2 Mw'], 'x87', (s) => fastStoreInteger(s, false, false)),
  row('fistp', ['DB /3 Md', 'DF /3 Mw', 'DF /7 Mq'], 'x87', (s) => fastStoreInteger(s, false, true)),
  row('fisttp', ['DB /1 Md', 'DF /1 Mw', 'DD /1 Mq'], 'x87', (s) => fastStoreInteger(s, true, true)),
  row('fbld', ['DF /4 Mt']),
  row('fbstp', ['DF /6 Mt']),
  ...Object.entries(SINGLE).map(([modrm, name]) => row(name, [`D9 /${modrm}`], 'x87', FAST_SINGLE[modrm])),
  ...['b', 'e', 'be', 'u'].map((cc, n) => row(`fcmov${cc}`, [`DA ${registers(n)}`])),
  ...['nb', 'ne', 'nbe', 'nu'].map((cc, n) => row(`fcmov${cc}`, [`DB ${registers(n)}`])),
  row('fucompp', ['DA /E9'], 'x87', (s) => fastCompare(s, false, 2)),
  row('fucomi', ['DB /E8+'], 'x87', (s) => fastCompare(s, true, 0)),
  row('fcomi', ['DB /F0+'], 'x87', (s) => fastCompare(s, true, 0)),
  row('fucomip', ['DF /E8+'], 'x87', (s) => fastCompare(s, true, 1)),
  row('fcomip', ['DF /F0+'], 'x87', (s) => fastCompare(s, true, 1)),
  row('ffree', ['DD /C0+']),
  row('ffreep', ['DF /C0+']),
  row('fucom', ['DD /E0+'], 'x87', (s) => fastCompare(s, false, 0)),
  row('fucomp', ['DD /E8+'], 'x87', (s) => fastCompare(s, false, 1)),
  // control instructions
  row('fldenv', ['D9 /4 M'], 'fldenv'),
  row('fldcw', ['D9 /5 Mw'], 'fldcw', fastLoadControl),
  row('fnstenv', ['D9 /6 M'], 'fnstenv'),
  row('fnstcw', ['D9 /7 Mw'], 'fnstcw', fastStoreControl),
  row('frstor', ['DD /4 M'], 'frstor'),
  row('fnsave', ['DD /6 M'], 'fnsave'),
  row('fnstsw', ['DD /7 Mw'], 'fnstsw', fastStoreStatus),
  row('fnstsw', ['DF /E0'], 'fnstsw_ax', fastStoreStatus),
  row('fnclex', ['DB /E2'], 'fnclex'),
  row('fninit', ['DB /E3'], 'fninit'),
  // 8087 and 80287 instructions that later units accept and ignore
  row('feni', ['DB /E0'], 'fnop_control'),
  row('fdisi', ['DB /E1'], 'fnop_control'),
  row('fsetpm', ['DB /E4'], 'fnop_control'),
  row('fwait', ['9B'], 'fwait'),
  Object.assign(row('emms', ['NP 0F 77'], 'emms'), { define: defineX87 }),
];
