// Elementary functions on fixed-point integers of 256 fraction bits: sine, cosine, arctangent, exponential, logarithm.
// Invariant: arguments below 2^-70 never come here (callers use the first term of the series), so every result keeps more than
// 160 correct significant bits, which is what makes a single rounding to 64 bits right to within 1 ulp.

import { integerSquareRoot } from './arithmetic.ts';
import { bitLength, type Value } from './format.ts';
import { FIXED_BITS, fixed } from './constants.ts';

const B = BigInt(FIXED_BITS);
const ONE = 1n << B;
const mul = (a: bigint, b: bigint): bigint => (a * b) >> B;

/** A finite value's magnitude as fixed point; bits below 2^-256 are cut. */
export function toFixed(v: Value): bigint {
  const shift = FIXED_BITS + v.exp;
  return shift >= 0 ? v.sig << BigInt(shift) : v.sig >> BigInt(-shift);
}
/** Exponent of the leading bit. */
export const magnitude = (v: Value): number => v.exp + bitLength(v.sig) - 1;

/**
 * x reduced by multiples of pi/2: the rest in [-pi/4, pi/4] and the multiple modulo 4. Uses pi cut to 66 bits, as hardware does
 * (SDM vol. 1, 8.3.8), so that results for large arguments are those of an x87 and not those of mathematics.
 */
export function reduceQuadrant(x: bigint): { rest: bigint; quadrant: number } {
  const pi = (fixed('pi') >> (B - 64n)) << (B - 64n);
  const half = pi >> 1n;
  const k = (2n * x + half) / (2n * half);
  return { rest: x - k * half, quadrant: Number(k & 3n) };
}

export function sineSeries(r: bigint): bigint {
  const square = mul(r, r);
  let term = r;
  let sum = r;
  for (let n = 2n; term !== 0n && term !== -1n; n += 2n) {
    term = -mul(term, square) / (n * (n + 1n));
    sum += term;
  }
  return sum;
}
export function cosineSeries(r: bigint): bigint {
  const square = mul(r, r);
  let term = ONE;
  let sum = ONE;
  for (let n = 1n; term !== 0n && term !== -1n; n += 2n) {
    term = -mul(term, square) / (n * (n + 1n));
    sum += term;
  }
  return sum;
}

/** atan(t) for 0 <= t <= 1. */
export function arctangentFixed(t: bigint): bigint {
  let x = t;
  let doublings = 0n;
  while (x > ONE >> 4n) {
    // atan x = 2 atan(x / (1 + sqrt(1 + x^2)))
    x = (x << B) / (ONE + integerSquareRoot((ONE + mul(x, x)) << B));
    doublings++;
  }
  const square = mul(x, x);
  let power = x;
  let sum = x;
  for (let k = 3n, minus = true; power !== 0n; k += 2n, minus = !minus) {
    power = mul(power, square);
    sum += minus ? -(power / k) : power / k;
  }
  return sum << doublings;
}

/** e^x - 1 for |x| < 1. */
export function exponentialMinusOne(x: bigint): bigint {
  let term = x;
  let sum = x;
  for (let n = 2n; term !== 0n && term !== -1n; n++) {
    term = mul(term, x) / n;
    sum += term;
  }
  return sum;
}

/** ln((1 + t) / (1 - t)) for |t| < 0.2. */
export function logarithmOfRatio(t: bigint): bigint {
  const square = mul(t, t);
  let power = t;
  let sum = t;
  for (let k = 3n; power !== 0n && power !== -1n; k += 2n) {
    power = mul(power, square);
    sum += power / k;
  }
  return 2n * sum;
}
export { B as FIXED_SHIFT, ONE as FIXED_ONE };
