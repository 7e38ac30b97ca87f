// Near control transfers: Jcc, JMP, CALL, RET, LOOP, JCXZ. Far ones are system routines.

import { instruction, type Instruction, type Size } from './instruction.ts';
import { VECTOR, type Semantics, type E } from './semantics.ts';
import { hex } from './arithmetic.ts';
import { conditions } from './data.ts';

const near = { d64: true, end: true, sized: true } as const;
/** A near transfer to an address that is not canonical faults as the transfer, before anything changed (SDM vol. 2, CALL, JMP, RET). */
const requireCanonical = (s: Semantics, target: E): void => {
  if (s.mode === 64) s.if(target.shl(16n).shrS(16n).ne(target), () => s.raise(VECTOR.GP, 0));
};
const stackSize = (s: Semantics): Size => (s.mode === 64 ? 64 : s.osz === 16 ? 16 : 32);

/** The loop counter by address size. */
function counter(s: Semantics): { value: E; decrement: () => E } {
  return s.counter();
}

const loopWhile = (condition: null | boolean) => (s: Semantics) => {
  const left = s.let(counter(s).decrement());
  const go = s.let(left.ne(0));
  if (condition !== null) {
    const z = s.flag('zf');
    s.f.set(go, go.and(condition ? z : z.xor(1)));
  }
  s.if(go, () => s.jumpDirect());
};

export const control: Instruction[] = [
  ...conditions.map(({ name, n }) =>
    instruction(
      `j${name}`,
      [`${hex(0x70 + n)} Jb`, `0F ${hex(0x80 + n)} Jz`],
      { d64: true, sized: true, hot: true },
      (s) => {
        s.if(s.condition(n), () => s.jumpDirect());
      },
    ),
  ),
  instruction('jmp', ['EB Jb', 'E9 Jz'], { ...near, hot: true }, (s) => s.jumpDirect()),
  instruction('jmp', ['FF /4 Ev'], { ...near, hot: true }, (s) => {
    const target = s.let(s.read(0));
    requireCanonical(s, target);
    s.jumpTo(target);
  }),
  instruction('call', ['E8 Jz'], { ...near, stack: true, hot: true }, (s) => {
    s.push(s.nextRip(), stackSize(s));
    s.jumpDirect();
  }),
  instruction('call', ['FF /2 Ev'], { ...near, stack: true, hot: true }, (s) => {
    const target = s.let(s.read(0));
    requireCanonical(s, target);
    s.push(s.nextRip(), stackSize(s));
    s.jumpTo(target);
  }),
  instruction('ret', ['C3'], { ...near, stack: true, hot: true }, (s) => {
    const { value, commit } = s.pop(stackSize(s));
    requireCanonical(s, value);
    commit();
    s.jumpTo(value);
  }),
  instruction('ret', ['C2 Iw'], { ...near, stack: true }, (s) => {
    const { value, commit } = s.pop(stackSize(s));
    requireCanonical(s, value);
    commit(s.immediate());
    s.jumpTo(value);
  }),
  instruction('loopne', ['E0 Jb'], { d64: true, sized: true }, loopWhile(false)),
  instruction('loope', ['E1 Jb'], { d64: true, sized: true }, loopWhile(true)),
  instruction('loop', ['E2 Jb'], { d64: true, sized: true }, loopWhile(null)),
  instruction('jcxz', ['E3 Jb'], { d64: true, sized: true }, (s) => {
    s.if(s.let(s.let(counter(s).value).eq(0)), () => s.jumpDirect());
  }),
];
