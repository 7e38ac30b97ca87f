// 80-bit numbers in WebAssembly: sum, product, quotient, comparison and conversions of normal numbers and zeros, rounded to nearest even.
// A number is a significand (i64) and sign|exponent (i32), in memory one behind the other in a 16-byte slot. Functions return 1 if they did the
// work and 0 for operands or results that need the exact routines in main/machine/cpu/fpu.
// Invariant: a function that returns 0 has changed nothing but the temporary slot.

import { E, i32, i64, select, type WasmType } from '../wasm/expr.ts';
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
/** Where to put the result, then two numbers by value: significand and sign|exponent. */
const NUMBERS: readonly WasmType[] = ['i32', 'i64', 'i32', 'i64', 'i32'];
/** A number in locals; `ok` is 0 if it is neither normal nor zero. */
export interface Converted {
  sig: E;
  word: E;
  ok: E;
}
const isZero = (sig: E, exponent: E): E => sig.eqz().and(exponent.eqz());
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

/** Writes: a double (i64), float (i32) or integer (i64) as an 80-bit number. */
export function numberFromF64(f: FunctionBuilder, bits: E): Converted {
  const sign = f.let(bits.shrU(48n).lo().and(0x8000));
  const e = f.let(bits.shrU(52n).lo().and(0x7ff));
  const zero = f.let(bits.shl(1n).eqz());
  const sig = f.let(select(zero, i64(0), bits.shl(11n).or(i64(INTEGER))));
  const word = f.let(select(zero, sign, e.add(16383 - 1023).or(sign)));
  return { sig, word, ok: f.let(e.sub(1).ltU(0x7fe).or(zero)) };
}
export function numberFromF32(f: FunctionBuilder, bits: E): Converted {
  const sign = f.let(bits.shrU(16).and(0x8000));
  const e = f.let(bits.shrU(23).and(0xff));
  const zero = f.let(bits.shl(1).eqz());
  const sig = f.let(select(zero, i64(0), bits.zx().shl(40n).or(i64(INTEGER))));
  const word = f.let(select(zero, sign, e.add(16383 - 127).or(sign)));
  return { sig, word, ok: f.let(e.sub(1).ltU(0xfe).or(zero)) };
}
export function numberFromInteger(f: FunctionBuilder, v: E): Converted {
  const negative = f.let(v.ltS(0n));
  const magnitude = f.let(select(negative, i64(0).sub(v), v));
  const n = f.let(magnitude.clz());
  const word = i32(16383 + 63)
    .sub(n.lo())
    .or(negative.shl(15));
  return { sig: f.let(magnitude.shl(n)), word: f.let(select(v.eqz(), Z, word)), ok: i32(1) };
}

/** Adds x87_add, x87_compare, x87_mul, x87_div, x87_to_f32, x87_to_f64, x87_to_int to a module. */
export function defineX87(m: ModuleBuilder): void {
  defineToInteger(m);
  // (to, a, b) with the operands as significand and sign|exponent
  m.func('x87_add', NUMBERS, ['i32'], (f) => {
    const [to, sa, wa, sb, wb] = f.params as unknown as [E, Local, Local, Local, Local];
    const ea = f.let(wa.and(0x7fff));
    const eb = f.let(wb.and(0x7fff));
    f.if(isNormal(sa, ea).and(isNormal(sb, eb)).eqz(), () => {
      // a zero and a normal number: that number; two zeros: their common sign, else plus
      const [zeroA, zeroB] = [f.let(isZero(sa, ea)), f.let(isZero(sb, eb))];
      const usable = zeroA.or(isNormal(sa, ea)).and(zeroB.or(isNormal(sb, eb)));
      f.if(usable.eqz(), () => f.return(Z));
      f.st64(to, 0, select(zeroA, sb, sa));
      const both = select(wa.eq(wb), wa, Z);
      f.st32(to, 8, select(zeroA, select(zeroB, both, wb), wa));
      setStatus(f, Z, Z);
      f.return(i32(1));
    });
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
  m.func('x87_mul', NUMBERS, ['i32'], (f) => {
    const [to, sa, wa, sb, wb] = f.params as unknown as [E, Local, Local, Local, Local];
    f.if(
      isNormal(sa, wa.and(0x7fff))
        .and(isNormal(sb, wb.and(0x7fff)))
        .eqz(),
      () => {
        // a product with zero
        const usable = (sig: E, word: E): E => isNormal(sig, word).or(isZero(sig, word));
        f.if(
          usable(sa, wa.and(0x7fff))
            .and(usable(sb, wb.and(0x7fff)))
            .eqz(),
          () => f.return(Z),
        );
        f.st64(to, 0, i64(0));
        f.st32(to, 8, wa.xor(wb).and(0x8000));
        setStatus(f, Z, Z);
        f.return(i32(1));
      },
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
  m.func('x87_div', NUMBERS, ['i32'], (f) => {
    const [to, sa, wa, sb, wb] = f.params as unknown as [E, Local, Local, Local, Local];
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
  m.func('x87_compare', NUMBERS.slice(1), ['i32'], (f) => {
    const [sa, wa, sb, wb] = f.params as unknown as [Local, Local, Local, Local];
    const none = (sig: E, word: E) => isZero(sig, word.and(0x7fff));
    const usable = (sig: E, word: E) => isNormal(sig, word.and(0x7fff)).or(none(sig, word));
    f.if(usable(sa, wa).and(usable(sb, wb)).eqz(), () => f.return(i32(3)));
    const bothZero = none(sa, wa).and(none(sb, wb));
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
