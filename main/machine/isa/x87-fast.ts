// The common x87 cases as WebAssembly: control word 037F (everything masked, 64 bits, to nearest), registers in use, normal numbers and zeros,
// results well inside the range. Everything else goes on to the exact routine in main/machine/cpu/fpu.
// Numbers are named by the address of their 16-byte slot: significand i64, then sign|exponent. Functions return 1 if they did the work.
// Invariant: a function that returns 0 has changed nothing but the temporary slot.

import { E, i32, i64, select } from '../wasm/expr.ts';
import type { FunctionBuilder, Local } from '../wasm/function.ts';
import type { ModuleBuilder } from '../wasm/module.ts';
import { F, Next, STATE, Seg, X87_TEMPORARY } from '../cpu/layout.ts';
import type { Semantics } from './semantics.ts';
import { inMemory } from './vector.ts';

const Z = i32(0);
const DEFAULT_CONTROL = 0x37f;
const INTEGER = 1n << 63n;
const PRECISION = 0x20;
const C1 = 0x200;

/** Significand and sign|exponent at an address. */
const sigAt = (a: E): E => a.ld64();
const wordAt = (a: E): E => a.ld16u(8);
/** Normal: integer bit set, exponent neither 0 nor 7FFF. */
const isNormal = (sig: E, exponent: E): E => exponent.sub(1).ltU(0x7ffe).and(sig.shrU(63n).lo());

function setStatus(f: FunctionBuilder, inexact: E, up: E): void {
  const status = Z.ld32(STATE + F.fpStatus).and(~C1);
  f.st32(Z, STATE + F.fpStatus, status.or(select(inexact, i32(PRECISION), Z)).or(up.shl(9)));
}
/** Rounds sig:rest (64 + 64 bits, leading bit set) to nearest even and stores; returns 0 if the exponent is near the ends. */
function finishRounding(f: FunctionBuilder, to: E, sign: E, exponent: Local, sig: Local, rest: E): void {
  const r = f.let(rest);
  const up = f.let(r.gtU(i64(INTEGER)).or(r.eq(i64(INTEGER)).and(sig.lo().and(1))));
  f.if(exponent.sub(2).geU(0x7ffb), () => f.return(Z));
  f.set(sig, sig.add(up.zx()));
  f.if(sig.eqz(), () => {
    f.set(sig, i64(INTEGER));
    f.set(exponent, exponent.add(1));
  });
  f.st64(to, 0, sig);
  f.st32(to, 8, exponent.or(sign));
  setStatus(f, r.ne(0n), up);
  f.return(i32(1));
}

/** Adds x87_add, x87_mul, x87_div, x87_from_f32, x87_from_f64, x87_from_int, x87_to_f32, x87_to_f64, x87_to_int to a module. */
export function defineX87(m: ModuleBuilder): void {
  defineToInteger(m);
  // (to, a, b, sign to invert in a, sign to invert in b)
  m.func('x87_add', ['i32', 'i32', 'i32', 'i32', 'i32'], ['i32'], (f) => {
    const [to, a0, b0, flipA, flipB] = f.params as unknown as [E, E, E, E, E];
    const sa = f.let(sigAt(a0));
    const wa = f.let(wordAt(a0).xor(flipA));
    const sb = f.let(sigAt(b0));
    const wb = f.let(wordAt(b0).xor(flipB));
    const ea = f.let(wa.and(0x7fff));
    const eb = f.let(wb.and(0x7fff));
    f.if(isNormal(sa, ea).and(isNormal(sb, eb)).eqz(), () => f.return(Z));
    // a becomes the larger
    f.if(ea.ltU(eb).or(ea.eq(eb).and(sa.ltU(sb))), () => {
      const s = f.let(sa);
      const w = f.let(wa);
      f.set(sa, sb);
      f.set(wa, wb);
      f.set(ea, wb.and(0x7fff));
      f.set(sb, s);
      f.set(wb, w);
      f.set(eb, w.and(0x7fff));
    });
    const d = f.let(ea.sub(eb).zx());
    f.if(d.gtU(63n), () => f.return(Z));
    const sign = f.let(wa.and(0x8000));
    const high = f.let(sb.shrU(d));
    const low = f.let(select(d.eqz(), i64(0), sb.shl(i64(64).sub(d))));
    const sig = f.local('i64');
    f.if(
      wa.xor(wb).and(0x8000),
      () => {
        f.set(sig, sa.sub(high).sub(low.ne(0n).zx()));
        f.set(low, i64(0).sub(low));
        f.if(sig.eqz(), () => {
          f.if(low.eqz(), () => {
            f.st64(to, 0, i64(0));
            f.st32(to, 8, 0);
            setStatus(f, Z, Z);
            f.return(i32(1));
          });
          f.set(sig, low);
          f.set(low, i64(0));
          f.set(ea, ea.sub(64));
        });
        const n = f.let(sig.clz());
        f.set(sig, sig.shl(n).or(select(n.eqz(), i64(0), low.shrU(i64(64).sub(n)))));
        f.set(low, low.shl(n));
        f.set(ea, ea.sub(n.lo()));
        // the exponent may have gone below zero
        f.if(ea.leS(1), () => f.return(Z));
      },
      () => {
        f.set(sig, sa.add(high));
        f.if(sig.ltU(sa), () => {
          f.set(low, low.shrU(1n).or(low.and(1n)).or(sig.shl(63n)));
          f.set(sig, sig.shrU(1n).or(i64(INTEGER)));
          f.set(ea, ea.add(1));
        });
      },
    );
    finishRounding(f, to, sign, ea, sig, low);
  });
  m.func('x87_mul', ['i32', 'i32', 'i32'], ['i32'], (f) => {
    const [to, a, b] = f.params as unknown as [E, E, E];
    const sa = f.let(sigAt(a));
    const wa = f.let(wordAt(a));
    const sb = f.let(sigAt(b));
    const wb = f.let(wordAt(b));
    f.if(
      isNormal(sa, wa.and(0x7fff))
        .and(isNormal(sb, wb.and(0x7fff)))
        .eqz(),
      () => f.return(Z),
    );
    const e = f.let(wa.and(0x7fff).add(wb.and(0x7fff)).sub(16383));
    f.if(e.leS(1), () => f.return(Z));
    const sig = f.let(f.call('mulhi_u', sa, sb));
    const low = f.let(sa.mul(sb));
    f.if(
      sig.ltS(0n),
      () => f.set(e, e.add(1)),
      () => {
        f.set(sig, sig.shl(1n).or(low.shrU(63n)));
        f.set(low, low.shl(1n));
      },
    );
    finishRounding(f, to, f.let(wa.xor(wb).and(0x8000)), e, sig, low);
  });
  m.func('x87_div', ['i32', 'i32', 'i32'], ['i32'], (f) => {
    const [to, a, b] = f.params as unknown as [E, E, E];
    const sa = f.let(sigAt(a));
    const wa = f.let(wordAt(a));
    const sb = f.let(sigAt(b));
    const wb = f.let(wordAt(b));
    f.if(
      isNormal(sa, wa.and(0x7fff))
        .and(isNormal(sb, wb.and(0x7fff)))
        .eqz(),
      () => f.return(Z),
    );
    const e = f.let(wa.and(0x7fff).sub(wb.and(0x7fff)).add(16382));
    const low = f.let(i64(0));
    f.if(sa.geU(sb), () => {
      f.set(low, sa.shl(63n));
      f.set(sa, sa.shrU(1n));
      f.set(e, e.add(1));
    });
    f.if(e.leS(1), () => f.return(Z));
    const q = f.let(f.call('div128_quot', sa, low, sb));
    const rest = f.let(low.sub(q.mul(sb)));
    // the remainder against half the divisor, as a fraction of 2^64 that rounding understands
    const twice = f.let(sb.sub(rest));
    const half = select(
      rest.eqz(),
      i64(0),
      select(rest.gtU(twice), i64(-1), select(rest.eq(twice), i64(INTEGER), i64(1))),
    );
    finishRounding(f, to, f.let(wa.xor(wb).and(0x8000)), e, q, half);
  });
  // (bits) -> number in the temporary slot
  const put = (f: FunctionBuilder, sig: E, word: E): void => {
    f.st64(Z, X87_TEMPORARY, sig);
    f.st32(Z, X87_TEMPORARY + 8, word);
    f.return(i32(1));
  };
  m.func('x87_from_f64', ['i64'], ['i32'], (f) => {
    const bits = f.params[0] as E;
    const sign = f.let(bits.shrU(48n).lo().and(0x8000));
    const e = f.let(bits.shrU(52n).lo().and(0x7ff));
    f.if(bits.shl(1n).eqz(), () => put(f, i64(0), sign));
    f.if(e.sub(1).geU(0x7fe), () => f.return(Z));
    put(f, bits.shl(11n).or(i64(INTEGER)), e.add(16383 - 1023).or(sign));
  });
  m.func('x87_from_f32', ['i32'], ['i32'], (f) => {
    const bits = f.params[0] as E;
    const sign = f.let(bits.shrU(16).and(0x8000));
    const e = f.let(bits.shrU(23).and(0xff));
    f.if(bits.shl(1).eqz(), () => put(f, i64(0), sign));
    f.if(e.sub(1).geU(0xfe), () => f.return(Z));
    put(f, bits.zx().shl(40n).or(i64(INTEGER)), e.add(16383 - 127).or(sign));
  });
  m.func('x87_from_int', ['i64'], ['i32'], (f) => {
    const v = f.params[0] as E;
    f.if(v.eqz(), () => put(f, i64(0), Z));
    const magnitude = f.let(select(v.ltS(0n), i64(0).sub(v), v));
    const n = f.let(magnitude.clz());
    put(
      f,
      magnitude.shl(n),
      i32(16383 + 63)
        .sub(n.lo())
        .or(select(v.ltS(0n), i32(0x8000), Z)),
    );
  });
  /** (from, where to put the bits): rounds to a narrower format. `fraction` bits after the leading one. */
  const narrow = (name: string, fraction: number, bias: number, signShift: bigint) =>
    m.func(name, ['i32', 'i32'], ['i32'], (f) => {
      const [from, to] = f.params as unknown as [E, E];
      const sig = f.let(sigAt(from));
      const word = f.let(wordAt(from));
      const sign = f.let(word.shrU(15).zx().shl(signShift));
      const drop = BigInt(63 - fraction);
      const e = f.let(word.and(0x7fff).sub(16383 - bias));
      const store = (bits: E) => (signShift === 63n ? f.st64(to, 0, bits) : f.st32(to, 0, bits));
      f.if(sig.eqz().and(word.and(0x7fff).eqz()), () => {
        store(sign);
        setStatus(f, Z, Z);
        f.return(i32(1));
      });
      f.if(
        isNormal(sig, word.and(0x7fff))
          .and(e.sub(2).ltU(2 * bias - 3))
          .eqz(),
        () => f.return(Z),
      );
      const rest = f.let(sig.shl(64n - drop));
      const m0 = f.let(sig.shrU(drop));
      const up = f.let(rest.gtU(i64(INTEGER)).or(rest.eq(i64(INTEGER)).and(m0.lo().and(1))));
      // the leading bit adds one to the exponent, and so does a carry out of the significand
      store(
        f.let(
          m0
            .add(up.zx())
            .add(e.sub(1).zx().shl(BigInt(fraction)))
            .or(sign),
        ),
      );
      setStatus(f, rest.ne(0n), up);
      f.return(i32(1));
    });
  narrow('x87_to_f64', 52, 1023, 63n);
  narrow('x87_to_f32', 23, 127, 31n);
}

/**
 * x87_to_int(from, truncate): the integer to the temporary slot, and behind it bit 0 = inexact, bit 1 = rounded up. Magnitudes from 1/2 to 2^63.
 */
function defineToInteger(m: ModuleBuilder): void {
  m.func('x87_to_int', ['i32', 'i32'], ['i32'], (f) => {
    const [from, truncate] = f.params as unknown as [E, E];
    const sig = f.let(sigAt(from));
    const word = f.let(wordAt(from));
    const e = f.let(word.and(0x7fff).sub(16383));
    const answer = (v: E, flags: E) => {
      f.st64(Z, X87_TEMPORARY, v);
      f.st32(Z, X87_TEMPORARY + 8, flags);
      f.return(i32(1));
    };
    f.if(sig.eqz().and(word.and(0x7fff).eqz()), () => answer(i64(0), Z));
    f.if(sig.geS(0n).or(e.geU(62)), () => f.return(Z));
    const shift = f.let(i32(63).sub(e).zx());
    const n = f.let(sig.shrU(shift));
    const rest = f.let(sig.shl(i64(64).sub(shift)));
    const nearest = rest.gtU(i64(INTEGER)).or(rest.eq(i64(INTEGER)).and(n.lo().and(1)));
    const up = f.let(nearest.and(truncate.eqz()));
    f.set(n, n.add(up.zx()));
    answer(select(word.and(0x8000), i64(0).sub(n), n), rest.ne(0n).or(up.shl(1)));
  });
}

/** Available, control word at its default. */
function whenReady(s: Semantics, body: () => void): void {
  s.if(s.state('cr0').and(12).or(s.state('fpControl').xor(DEFAULT_CONTROL)).eqz(), body);
}
const physical = (s: Semantics, i: E): E => s.let(s.state('fpTop').add(i).and(7));
const slot = (n: E): E => n.shl(4).add(STATE + F.fpr);
const inUse = (s: Semantics, n: E): E => s.state('fpTags').shrU(n).and(1);
const rm = (s: Semantics): E => s.opcodeBytes().and(7);

/** Ends a fast case: what FNSTENV will report, and an optional pop. */
function done(s: Semantics, pop = false): void {
  s.setState64('fpIp', s.ownRip());
  s.setState('fpOpcode', s.opcodeBytes().and(0x7ff));
  s.setState('fpCs', Z.ld32(STATE + F.selector + Seg.CS * 4));
  if (s.memory) {
    const offset = s.effectiveAddress();
    s.setState64('fpDp', offset.zx());
    s.setState('fpDs', s.memorySelector());
  }
  if (pop) {
    const top = s.let(s.state('fpTop'));
    s.setState('fpTags', s.state('fpTags').and(i32(1).shl(top).xor(-1)));
    s.setState('fpTop', top.add(1).and(7));
  }
  s.f.return(i32(Next.Sequential));
}
/** Makes the temporary slot the new ST(0). */
function pushTemporary(s: Semantics, n: E): void {
  s.f.st64(slot(n), 0, i32(X87_TEMPORARY).ld64());
  s.f.st32(slot(n), 8, i32(X87_TEMPORARY).ld32(8));
  s.setState('fpTop', n);
  s.setState('fpTags', s.state('fpTags').or(i32(1).shl(n)));
  s.setState('fpStatus', s.state('fpStatus').and(~C1));
}
/** Reads a float or integer memory operand into the temporary slot; i32 truth. */
function memoryToTemporary(s: Semantics, integer: boolean): E {
  const size = s.sizeOf(0);
  const bits = s.load(s.address(size / 8), size);
  if (integer) return s.let(s.f.call('x87_from_int', s.normal(bits, size)));
  return s.let(s.f.call(size === 64 ? 'x87_from_f64' : 'x87_from_f32', bits));
}

/** FADD FMUL FSUB FSUBR FDIV FDIVR by ModRM.reg (0 1 4 5 6 7). `toOther`: the result goes to ST(i). */
export function fastArithmetic(
  s: Semantics,
  which: number,
  options: { integer?: boolean; toOther?: boolean; pop?: boolean },
): void {
  whenReady(s, () => {
    const n0 = physical(s, Z);
    const a = slot(n0);
    const run = (b: E, to: E) => {
      const flip = i32(0x8000);
      const call =
        which === 0
          ? s.f.call('x87_add', to, a, b, Z, Z)
          : which === 4
            ? s.f.call('x87_add', to, a, b, Z, flip)
            : which === 5
              ? s.f.call('x87_add', to, a, b, flip, Z)
              : which === 1
                ? s.f.call('x87_mul', to, a, b)
                : which === 6
                  ? s.f.call('x87_div', to, a, b)
                  : s.f.call('x87_div', to, b, a);
      s.if(s.let(call), () => done(s, options.pop));
    };
    if (inMemory(s, 0)) {
      const ok = memoryToTemporary(s, options.integer ?? false);
      s.if(ok.and(inUse(s, n0)), () => run(i32(X87_TEMPORARY), a));
    } else {
      const n = physical(s, rm(s));
      s.if(inUse(s, n0).and(inUse(s, n)), () => run(slot(n), options.toOther ? slot(n) : a));
    }
  });
}
/** FLD m32, m64 and FILD. */
export function fastLoad(s: Semantics, integer: boolean): void {
  if (!s.memory || ![16, 32, 64].includes(s.operands[0]!.size as number)) return;
  whenReady(s, () => {
    const n = physical(s, i32(7));
    const ok = memoryToTemporary(s, integer);
    s.if(ok.and(inUse(s, n).eqz()), () => {
      pushTemporary(s, n);
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
        done(s, pop);
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
          done(s, pop);
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
      s.f.st64(Z, X87_TEMPORARY, slot(from).ld64());
      s.f.st64(Z, X87_TEMPORARY + 8, slot(from).ld64(8));
      pushTemporary(s, n);
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
      done(s, pop);
    });
  });
}
