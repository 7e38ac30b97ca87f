// FSIN FCOS FSINCOS FPTAN FPATAN F2XM1 FYL2X FYL2XP1.
// Results are computed with more than 160 bits and rounded once, so they are within 1 ulp of the true value for the reduced argument
// (SDM vol. 1, 8.3.10 asks for no more; the last bit can differ between makes of hardware). The reduction is with a 66-bit pi, as on them.

import { constant, FIXED_BITS, fixed } from '../softfloat/constants.ts';
import {
  FIXED_ONE,
  FIXED_SHIFT,
  arctangentFixed,
  cosineSeries,
  exponentialMinusOne,
  logarithmOfRatio,
  magnitude,
  reduceQuadrant,
  sineSeries,
  toFixed,
} from '../softfloat/elementary.ts';
import { DEFAULT_NAN, EXTENDED80, Kind, bitLength, finite, infinity, zero, type Value } from '../softfloat/format.ts';
import { Exception, round, type Environment } from '../softfloat/round.ts';
import { Condition } from './registers.ts';
import type { X87Stack } from './stack.ts';

const NONE = zero(0);
/** Below this exponent the first term of a series is the result, but for its last bits. */
const SMALL = -70;

/** Rounds a fixed-point number that is not exact. */
function inexact(env: Environment, v: bigint, sign: 0 | 1 = 0): Value {
  const s = v < 0n ? ((1 - sign) as 0 | 1) : sign;
  return round(env, EXTENDED80, s, ((v < 0n ? -v : v) << 1n) | 1n, -FIXED_BITS - 1);
}
/** Rounds v changed by a very small amount outwards (1n) or inwards (-1n). */
const nudged = (env: Environment, v: Value, by: 1n | -1n): Value =>
  round(env, EXTENDED80, v.sign, (v.sig << 100n) + by, v.exp - 100);

function sineOf(env: Environment, a: Value): Value {
  if (a.kind === Kind.Zero) return a;
  if (magnitude(a) < SMALL) return nudged(env, a, -1n);
  const { rest, quadrant } = reduceQuadrant(toFixed(a));
  const v = quadrant & 1 ? cosineSeries(rest) : sineSeries(rest);
  return inexact(env, quadrant & 2 ? -v : v, a.sign);
}
function cosineOf(env: Environment, a: Value): Value {
  if (a.kind === Kind.Zero) return finite(0, 1n, 0);
  if (magnitude(a) < SMALL) return round(env, EXTENDED80, 0, (1n << 100n) - 1n, -100);
  const { rest, quadrant } = reduceQuadrant(toFixed(a));
  const v = quadrant & 1 ? sineSeries(rest) : cosineSeries(rest);
  return inexact(env, quadrant === 1 || quadrant === 2 ? -v : v);
}
function tangentOf(env: Environment, a: Value): Value {
  if (a.kind === Kind.Zero) return a;
  if (magnitude(a) < SMALL) return nudged(env, a, 1n);
  const { rest, quadrant } = reduceQuadrant(toFixed(a));
  const s = sineSeries(rest);
  const c = cosineSeries(rest);
  return inexact(env, quadrant & 1 ? -((c << FIXED_SHIFT) / s) : (s << FIXED_SHIFT) / c, a.sign);
}

/** FSIN, FCOS, FSINCOS, FPTAN: `second` computes what is pushed after ST(0) was replaced. */
function circular(
  stack: X87Stack,
  first: (env: Environment, a: Value) => Value,
  second: ((env: Environment, a: Value) => Value) | null,
): void {
  const a = stack.read(0);
  stack.fpu.flags &= ~Condition.C2;
  if (!a) {
    if (!stack.underflow()) return;
    stack.write(0, DEFAULT_NAN);
    if (second) stack.push(DEFAULT_NAN);
    return;
  }
  if (second && !stack.fpu.isEmpty(7)) {
    stack.overflowReplacing();
    return;
  }
  if (a.kind === Kind.Finite && magnitude(a) >= 63) {
    // out of range: the program must reduce the argument itself
    stack.flag(0);
    stack.fpu.flags |= Condition.C2;
    return;
  }
  const env = stack.environment();
  let pushed: Value = DEFAULT_NAN;
  const result = stack.operate(env, a, NONE, () => {
    if (a.kind === Kind.Infinity) return null;
    const r = first(env, a);
    if (second) pushed = second(env, a);
    return r;
  });
  stack.conclude(env);
  if (!result) return;
  stack.write(0, result);
  if (second) stack.push(result.kind === Kind.NaN ? result : pushed);
}
export const sine = (stack: X87Stack): void => circular(stack, sineOf, null);
export const cosine = (stack: X87Stack): void => circular(stack, cosineOf, null);
export const sineCosine = (stack: X87Stack): void => circular(stack, sineOf, cosineOf);
export const tangent = (stack: X87Stack): void => circular(stack, tangentOf, () => finite(0, 1n, 0));

/** An operation on ST(0) and ST(1) whose result replaces ST(1), and which pops. */
function popping(stack: X87Stack, compute: (env: Environment, x: Value, y: Value) => Value | null): void {
  const x = stack.read(0);
  const y = stack.read(1);
  if (!x || !y) {
    if (!stack.underflow()) return;
    stack.write(1, DEFAULT_NAN);
    return stack.pop();
  }
  const env = stack.environment();
  const result = stack.operate(env, x, y, () => compute(env, x, y));
  stack.conclude(env);
  if (!result) return;
  stack.write(1, result);
  stack.pop();
}

/** FPATAN: the angle of the point (ST(0), ST(1)). */
export const arctangent = (stack: X87Stack): void =>
  popping(stack, (env, x, y) => {
    const piTimes = (eighths: bigint) => inexact(env, (fixed('pi') * eighths) >> 2n, y.sign);
    if (y.kind === Kind.Infinity) return piTimes(x.kind !== Kind.Infinity ? 2n : x.sign ? 3n : 1n);
    if (y.kind === Kind.Zero || x.kind === Kind.Infinity) return x.sign ? piTimes(4n) : zero(y.sign);
    if (x.kind === Kind.Zero) return piTimes(2n);
    const gap = magnitude(y) - magnitude(x);
    if (gap < SMALL) {
      if (x.sign) return piTimes(4n);
      const shift = 140;
      const q = (y.sig << BigInt(shift + bitLength(x.sig))) / x.sig;
      return round(env, EXTENDED80, y.sign, q - 1n, y.exp - x.exp - shift - bitLength(x.sig));
    }
    if (gap > -SMALL) return piTimes(2n);
    // ratio of the smaller to the larger, in fixed point
    const exp = Math.min(x.exp, y.exp);
    const px = x.sig << BigInt(x.exp - exp);
    const py = y.sig << BigInt(y.exp - exp);
    let angle =
      py <= px
        ? arctangentFixed((py << FIXED_SHIFT) / px)
        : (fixed('pi') >> 1n) - arctangentFixed((px << FIXED_SHIFT) / py);
    if (x.sign) angle = fixed('pi') - angle;
    return inexact(env, angle, y.sign);
  });

/** F2XM1: 2^ST(0) - 1, for -1 to 1. Outside, where the manual leaves the result undefined, ST(0) stays. */
export function powerMinusOne(stack: X87Stack): void {
  const a = stack.read(0);
  if (!a) {
    if (stack.underflow()) stack.write(0, DEFAULT_NAN);
    return;
  }
  const env = stack.environment();
  const result = stack.operate(env, a, NONE, () => {
    if (a.kind === Kind.Zero) return a;
    if (a.kind === Kind.Infinity) return a.sign ? finite(1, 1n, 0) : a;
    const e = magnitude(a);
    if (e >= 0) env.flags |= Exception.Precision;
    if (e >= 0) return a.sig === 1n << BigInt(bitLength(a.sig) - 1) && e === 0 ? (a.sign ? finite(1, 1n, -1) : a) : a;
    const ln2 = fixed('lnOf2');
    if (e < SMALL) return round(env, EXTENDED80, a.sign, ((a.sig * ln2) << 1n) | 1n, a.exp - FIXED_BITS - 1);
    const x = (toFixed(a) * ln2) >> FIXED_SHIFT;
    return inexact(env, exponentialMinusOne(a.sign ? -x : x));
  });
  stack.conclude(env);
  if (result) stack.write(0, result);
}

/** y times a fixed-point number, rounded; `exact` if the number has no error. */
function scaled(env: Environment, y: Value, v: bigint, exact: boolean, shift = FIXED_BITS): Value {
  const sign = v < 0n !== (y.sign === 1) ? 1 : 0;
  const product = (v < 0n ? -v : v) * y.sig;
  return round(env, EXTENDED80, sign, exact ? product : (product << 1n) | 1n, y.exp - shift - (exact ? 0 : 1));
}

/** FYL2X: ST(1) * log2 ST(0). */
export const logarithm = (stack: X87Stack): void =>
  popping(stack, (env, x, y) => {
    if (x.kind === Kind.Zero) {
      if (y.kind === Kind.Zero) return null;
      if (y.kind === Kind.Finite) env.flags |= Exception.ZeroDivide;
      return infinity(y.sign ? 0 : 1);
    }
    if (x.sign) return null;
    if (x.kind === Kind.Infinity) return y.kind === Kind.Zero ? null : infinity(y.sign);
    const e = magnitude(x);
    const isOne = e === 0 && x.sig === 1n << BigInt(bitLength(x.sig) - 1);
    const below = e < 0;
    if (y.kind === Kind.Infinity) return isOne ? null : infinity(below === (y.sign === 1) ? 0 : 1);
    if (y.kind === Kind.Zero || isOne) return zero(below === (y.sign === 1) ? 0 : 1);
    // hardware reports every finite result as inexact
    env.flags |= Exception.Precision;
    if (x.sig === 1n << BigInt(bitLength(x.sig) - 1)) {
      const result = scaled(env, y, BigInt(e), true, 0);
      // and a tiny one, being inexact, as an underflow
      const tiny = result.kind === Kind.Finite && magnitude(result) < EXTENDED80.emin;
      if (tiny && (env.masks & Exception.Underflow) !== 0) env.flags |= Exception.Underflow;
      return result;
    }
    let m = (x.sig << FIXED_SHIFT) >> BigInt(bitLength(x.sig) - 1); // 1 <= m < 2
    let k = BigInt(e);
    if (m > (FIXED_ONE * 181n) >> 7n) {
      m >>= 1n;
      k++;
    }
    const ln = logarithmOfRatio(((m - FIXED_ONE) << FIXED_SHIFT) / (m + FIXED_ONE));
    return scaled(env, y, (k << FIXED_SHIFT) + (ln << FIXED_SHIFT) / fixed('lnOf2'), false);
  });

/** FYL2XP1: ST(1) * log2(ST(0) + 1), for ST(0) within 1 - sqrt(1/2) of 0. */
export const logarithmPlusOne = (stack: X87Stack): void =>
  popping(stack, (env, x, y) => {
    const negative = x.sign !== y.sign ? 1 : 0;
    if (x.kind === Kind.Zero) return y.kind === Kind.Infinity ? null : zero(negative);
    if (x.kind === Kind.Infinity) return x.sign || y.kind === Kind.Zero ? null : infinity(y.sign);
    if (y.kind === Kind.Infinity) return infinity(negative);
    if (y.kind === Kind.Zero) return zero(negative);
    if (magnitude(x) < SMALL) {
      const { sig, exp } = constant('log2ofE');
      return round(env, EXTENDED80, negative, ((x.sig * y.sig * sig) << 1n) | 1n, x.exp + y.exp + exp - 1);
    }
    if (magnitude(x) >= 0) {
      // beyond the range that the manual defines: below -1 hardware answers with the argument, above it goes on
      env.flags |= Exception.Precision;
      return x.sign ? x : logarithmOfSum(env, x, y);
    }
    const f = x.sign ? -toFixed(x) : toFixed(x);
    const ln = logarithmOfRatio((f << FIXED_SHIFT) / (2n * FIXED_ONE + f));
    return scaled(env, y, (ln << FIXED_SHIFT) / fixed('lnOf2'), false);
  });
/** y * log2(x + 1) for x of at least 1. */
function logarithmOfSum(env: Environment, x: Value, y: Value): Value {
  const sum = (x.sig << 80n) + (x.exp >= 80 ? 0n : 1n << BigInt(80 - x.exp));
  const length = bitLength(sum);
  // 1 <= m < 2, taken against 3/2 so that the series converges fast
  const m = (sum << FIXED_SHIFT) >> BigInt(length - 1);
  const middle = (FIXED_ONE * 3n) / 2n;
  const ln = logarithmOfRatio(((m - middle) << FIXED_SHIFT) / (m + middle)) + logarithmOfRatio(FIXED_ONE / 5n);
  return scaled(env, y, (BigInt(x.exp - 80 + length - 1) << FIXED_SHIFT) + (ln << FIXED_SHIFT) / fixed('lnOf2'), false);
}
