// 80-bit numbers in WebAssembly: sum, product, quotient, comparison and conversions of normal numbers and zeros, rounded to nearest even.
// Numbers are named by the address of their 16-byte slot: significand i64, then sign|exponent. Functions return 1 if they did the work and
// 0 for operands or results that need the exact routines in main/machine/cpu/fpu.
// Invariant: a function that returns 0 has changed nothing but the temporary slot.

import { E, i32, i64, select } from '../wasm/expr.ts';
import type { FunctionBuilder, Local } from '../wasm/function.ts';
import type { ModuleBuilder } from '../wasm/module.ts';
import { F, STATE, X87_TEMPORARY } from '../cpu/layout.ts';

const Z = i32(0);
const INTEGER = 1n << 63n;
const PRECISION = 0x20;
export const C1 = 0x200;

/** Significand and sign|exponent at an address. */
const sigAt = (a: E): E => a.ld64();
const wordAt = (a: E): E => a.ld16u(8);
/** Normal: integer bit set, exponent neither 0 nor 7FFF. */
const isNormal = (sig: E, exponent: E): E => exponent.sub(1).ltU(0x7ffe).and(sig.shrU(63n).lo());

/** The status word after an operation that rounded: PE stays, C1 says whether upwards. */
export function setStatus(f: FunctionBuilder, inexact: E, up: E): void {
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

/** Adds x87_add, x87_compare, x87_mul, x87_div, x87_from_f32, x87_from_f64, x87_from_int, x87_to_f32, x87_to_f64, x87_to_int to a module. */
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
  // (a, b) -> 0 less, 1 equal, 2 greater, 3 one is neither normal nor zero
  m.func('x87_compare', ['i32', 'i32'], ['i32'], (f) => {
    const [a, b] = f.params as unknown as [E, E];
    const sa = f.let(sigAt(a));
    const wa = f.let(wordAt(a));
    const sb = f.let(sigAt(b));
    const wb = f.let(wordAt(b));
    const isZero = (sig: E, word: E) => sig.eqz().and(word.and(0x7fff).eqz());
    const usable = (sig: E, word: E) => isNormal(sig, word.and(0x7fff)).or(isZero(sig, word));
    f.if(usable(sa, wa).and(usable(sb, wb)).eqz(), () => f.return(i32(3)));
    const bothZero = isZero(sa, wa).and(isZero(sb, wb));
    f.if(bothZero.or(wa.eq(wb).and(sa.eq(sb))), () => f.return(i32(1)));
    f.if(wa.xor(wb).and(0x8000), () => f.return(select(wa.and(0x8000), Z, i32(2))));
    const smaller = wa
      .and(0x7fff)
      .ltU(wb.and(0x7fff))
      .or(wa.eq(wb).and(sa.ltU(sb)));
    f.return(smaller.xor(wa.shrU(15)).xor(1).shl(1));
  });
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
