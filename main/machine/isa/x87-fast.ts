// The common x87 cases as WebAssembly: control word 037F (everything masked, 64 bits, to nearest), registers in use, normal numbers and zeros,
// results well inside the range (x87-numbers.ts). Everything else goes on to the exact routine in main/machine/cpu/fpu.
// Invariant: what these write falls through with nothing changed unless the whole case was done.

import { E, i32, i64, select } from '../wasm/expr.ts';
import { F, STATE, Seg, X87_TEMPORARY } from '../cpu/layout.ts';
import { REG, type Semantics } from './semantics.ts';
import { inMemory } from './vector.ts';
import { C1, numberFromF32, numberFromF64, numberFromInteger, setStatus, type Converted } from './x87-numbers.ts';

const Z = i32(0);
const DEFAULT_CONTROL = 0x37f;

/** Available, control word at its default. */
function whenReady(s: Semantics, body: () => void): void {
  s.if(s.state('cr0').and(12).or(s.state('fpControl').xor(DEFAULT_CONTROL)).eqz(), body);
}
const physical = (s: Semantics, i: E): E => s.let(s.state('fpTop').add(i).and(7));
const slot = (n: E): E => n.shl(4).add(STATE + F.fpr);
const inUse = (s: Semantics, n: E): E => s.state('fpTags').shrU(n).and(1);
const rm = (s: Semantics): E => s.opcodeBytes().and(7);

/** Ends a fast case: what FNSTENV will report, and an optional pop of physical register `pop`, or of that and the next. */
function done(s: Semantics, pop: E | null = null, pops: 1 | 2 = 1): void {
  s.setState64('fpIp', s.ownRip());
  // FPU opcode and CS lie one behind the other
  s.setState64('fpOpcode', s.opcodeBytes().and(0x7ff).zx().or(s.selector(Seg.CS).zx().shl(32n)));
  if (s.memory) {
    s.setState64('fpDp', s.effectiveAddress().zx());
    s.setState('fpDs', s.memorySelector());
  }
  if (pop) {
    const next = pops === 2 ? s.let(pop.add(1).and(7)) : null;
    const popped = i32(1).shl(pop);
    s.setState('fpTags', s.state('fpTags').and((next ? popped.or(i32(1).shl(next)) : popped).xor(-1)));
    s.setState('fpTop', pop.add(pops).and(7));
  }
  s.done();
}
/** Makes a number the new ST(0), physical register `n`. */
function push(s: Semantics, n: E, sig: E, word: E): void {
  s.f.st64(slot(n), 0, sig);
  s.f.st32(slot(n), 8, word);
  s.setState('fpTop', n);
  s.setState('fpTags', s.state('fpTags').or(i32(1).shl(n)));
  s.setState('fpStatus', s.state('fpStatus').and(~C1));
}
/** A register's number. */
const numberIn = (s: Semantics, n: E): Converted => ({
  sig: s.let(slot(n).ld64()),
  word: s.let(slot(n).ld16u(8)),
  ok: inUse(s, n),
});
/** A float or integer memory operand. */
function numberInMemory(s: Semantics, integer: boolean): Converted {
  const size = s.sizeOf(0);
  const bits = s.load(s.address(size / 8), size);
  if (integer) return numberFromInteger(s.f, s.let(s.normal(bits, size)));
  return size === 64 ? numberFromF64(s.f, bits) : numberFromF32(s.f, bits);
}

/** FADD FMUL FSUB FSUBR FDIV FDIVR by ModRM.reg (0 1 4 5 6 7). `toOther`: the result goes to ST(i). */
export function fastArithmetic(
  s: Semantics,
  which: number,
  options: { integer?: boolean; toOther?: boolean; pop?: boolean },
): void {
  whenReady(s, () => {
    const n0 = physical(s, Z);
    const run = (b: Converted, to: E) => {
      s.if(inUse(s, n0).and(b.ok), () => {
        const a = numberIn(s, n0);
        const call = (name: string, x: Converted, y: Converted, negate: 'x' | 'y' | null = null): E =>
          s.f.call(
            name,
            to,
            x.sig,
            negate === 'x' ? x.word.xor(0x8000) : x.word,
            y.sig,
            negate === 'y' ? y.word.xor(0x8000) : y.word,
          );
        const done1 =
          which === 0
            ? call('x87_add', a, b)
            : which === 4
              ? call('x87_add', a, b, 'y')
              : which === 5
                ? call('x87_add', a, b, 'x')
                : which === 1
                  ? call('x87_mul', a, b)
                  : which === 6
                    ? call('x87_div', a, b)
                    : call('x87_div', b, a);
        s.if(s.let(done1), () => done(s, options.pop ? n0 : null));
      });
    };
    if (inMemory(s, 0)) run(numberInMemory(s, options.integer ?? false), slot(n0));
    else {
      const n = physical(s, rm(s));
      run(numberIn(s, n), options.toOther ? slot(n) : slot(n0));
    }
  });
}
/** FLD m32, m64 and FILD. */
export function fastLoad(s: Semantics, integer: boolean): void {
  if (!s.memory || ![16, 32, 64].includes(s.operands[0]!.size as number)) return;
  whenReady(s, () => {
    const n = physical(s, i32(7));
    const { sig, word, ok } = numberInMemory(s, integer);
    s.if(ok.and(inUse(s, n).eqz()), () => {
      push(s, n, sig, word);
      done(s);
    });
  });
}
/** FST and FSTP to m32 or m64. */
export function fastStore(s: Semantics, pop: boolean): void {
  if (!s.memory || ![32, 64].includes(s.operands[0]!.size as number)) return;
  whenReady(s, () => {
    const size = s.sizeOf(0);
    const n = physical(s, Z);
    s.if(inUse(s, n), () => {
      // the store is made certain before flags and stack change
      const { h, finish } = s.modifyAddress(s.address(size / 8, true), size / 8);
      s.if(s.let(s.f.call(size === 64 ? 'x87_to_f64' : 'x87_to_f32', slot(n), h)), () => {
        finish();
        done(s, pop ? n : null);
      });
    });
  });
}
/** FIST, FISTP (to nearest or, as compilers set it for conversions, truncating) and FISTTP (`truncate`). */
export function fastStoreInteger(s: Semantics, truncate: boolean, pop: boolean): void {
  const usual = s.state('fpControl').and(~0xc00).xor(DEFAULT_CONTROL);
  const rounding = s.state('fpControl').and(0xc00);
  const known = truncate ? i32(1) : rounding.eqz().or(rounding.eq(0xc00));
  s.if(s.state('cr0').and(12).or(usual).eqz().and(known), () => {
    const size = s.sizeOf(0);
    const n = physical(s, Z);
    s.if(inUse(s, n), () =>
      s.if(s.let(s.f.call('x87_to_int', slot(n), truncate ? i32(1) : rounding)), () => {
        const v = s.let(i32(X87_TEMPORARY).ld64());
        const flags = s.let(i32(X87_TEMPORARY).ld32(8));
        const narrowed = size === 16 ? v.sx16() : size === 32 ? v.sx32() : v;
        s.if(v.eq(narrowed), () => {
          s.store(s.address(size / 8, true), size, size === 64 ? v : v.lo());
          setStatus(s.f, flags.and(1), flags.shrU(1));
          done(s, pop ? n : null);
        });
      }),
    );
  });
}
/** FLD ST(i). */
export function fastLoadRegister(s: Semantics): void {
  if (s.memory || s.operands.length) return;
  whenReady(s, () => {
    const from = physical(s, rm(s));
    const n = physical(s, i32(7));
    s.if(inUse(s, from).and(inUse(s, n).eqz()), () => {
      push(s, n, slot(from).ld64(), slot(from).ld32(8));
      done(s);
    });
  });
}
/** FXCH. */
export function fastExchange(s: Semantics): void {
  whenReady(s, () => {
    const a = physical(s, Z);
    const b = physical(s, rm(s));
    s.if(inUse(s, a).and(inUse(s, b)), () => {
      const v = s.let(slot(a).ldV128());
      const w = s.let(slot(b).ldV128());
      s.f.stV128(slot(a), 0, w);
      s.f.stV128(slot(b), 0, v);
      s.setState('fpStatus', s.state('fpStatus').and(~C1));
      done(s);
    });
  });
}
/** FSTP ST(i), FST ST(i). */
export function fastStoreRegister(s: Semantics, pop: boolean): void {
  if (s.memory || s.operands.length) return;
  whenReady(s, () => {
    const a = physical(s, Z);
    const b = physical(s, rm(s));
    s.if(inUse(s, a), () => {
      s.f.stV128(slot(b), 0, slot(a).ldV128());
      s.setState('fpTags', s.state('fpTags').or(i32(1).shl(b)));
      s.setState('fpStatus', s.state('fpStatus').and(~C1));
      done(s, pop ? a : null);
    });
  });
}
/** FCOM, FUCOM, FCOMI, FUCOMI and their popping forms, FTST (`other` = 'zero'), for normal numbers and zeros. */
export function fastCompare(
  s: Semantics,
  toFlags: boolean,
  pops: 0 | 1 | 2,
  other: 'float' | 'integer' | 'zero' = 'float',
): void {
  whenReady(s, () => {
    const n0 = physical(s, Z);
    const run = (b: Converted) =>
      s.if(inUse(s, n0).and(b.ok), () => {
        const a = numberIn(s, n0);
        const r = s.let(s.f.call('x87_compare', a.sig, a.word, b.sig, b.word));
        // 0 less, 1 equal, 2 greater, 3 not for here
        s.if(r.ne(3), () => {
          if (toFlags) s.setArithmeticFlags(s.let(select(r.eqz(), i32(1), select(r.eq(1), i32(0x40), Z))));
          else {
            const conditions = select(r.eqz(), i32(0x100), select(r.eq(1), i32(0x4000), Z));
            s.setState('fpStatus', s.state('fpStatus').and(~0x4700).or(conditions));
          }
          done(s, pops ? n0 : null, pops === 2 ? 2 : 1);
        });
      });
    if (other === 'zero') run({ sig: i64(0), word: Z, ok: i32(1) });
    else if (s.operands.length && inMemory(s, 0)) run(numberInMemory(s, other === 'integer'));
    else run(numberIn(s, physical(s, rm(s))));
  });
}
/** FCHS and FABS: the sign of whatever it is. */
export function fastSign(s: Semantics, change: (word: E) => E): void {
  whenReady(s, () => {
    const n = physical(s, Z);
    s.if(inUse(s, n), () => {
      s.f.st32(slot(n), 8, change(slot(n).ld32(8)));
      s.setState('fpStatus', s.state('fpStatus').and(~C1));
      done(s);
    });
  });
}
/** FLD1 and FLDZ. */
export function fastConstant(s: Semantics, significand: bigint, word: number): void {
  whenReady(s, () => {
    const n = physical(s, i32(7));
    s.if(inUse(s, n).eqz(), () => {
      push(s, n, i64(significand), i32(word));
      done(s);
    });
  });
}

// ---- control instructions: for them the control word may be any

const CONTROL_BITS = 0x1f3f;
const controlWord = (s: Semantics): E => s.state('fpControl').and(CONTROL_BITS).or(0x40);
/** Exceptions that are flagged and not masked. */
const pending = (s: Semantics): E => s.state('fpStatus').and(s.state('fpControl').xor(-1)).and(0x3f);
const whenAvailable = (s: Semantics, body: () => void): void => s.if(s.state('cr0').and(12).eqz(), body);

/** FLDCW, if no exception is pending. */
export function fastLoadControl(s: Semantics): void {
  s.if(s.state('cr0').and(12).or(pending(s)).eqz(), () => {
    const word = s.load(s.address(2), 16);
    s.setState('fpControl', word.and(CONTROL_BITS).or(0x40));
    s.done();
  });
}
/** FNSTCW. */
export function fastStoreControl(s: Semantics): void {
  whenAvailable(s, () => {
    s.store(s.address(2, true), 16, s.let(controlWord(s)));
    s.done();
  });
}
/** FNSTSW to memory or AX: TOP, ES and B are put in when it is read. */
export function fastStoreStatus(s: Semantics): void {
  whenAvailable(s, () => {
    const summary = select(pending(s), i32(0x8080), Z);
    const word = s.let(s.state('fpStatus').or(s.state('fpTop').and(7).shl(11)).or(summary));
    if (s.memory) s.store(s.address(2, true), 16, word);
    else s.setReg(REG.AX, 16, word);
    s.done();
  });
}
