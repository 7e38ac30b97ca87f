// Add, subtract, multiply, divide, square root and remainder on values taken apart. Each computes exactly (or with a sticky lowest bit)
// and rounds once. NaN operands are settled by the caller, whose rules differ between x87 and SSE.
// Invariant: a result of `null` means an invalid operation; nothing but flags was changed.

import { Kind, bitLength, finite, infinity, zero, type Format, type Value } from './format.ts';
import { Exception, Rounding, round, type Environment } from './round.ts';

/** Extra bits below the precision that make a sticky bit harmless. */
const GUARD = 72;

const exclusive = (a: Value, b: Value): 0 | 1 => (a.sign === b.sign ? 0 : 1);

export function add(env: Environment, format: Format, a: Value, b: Value, range: Format = format): Value | null {
  if (a.kind === Kind.Infinity) return b.kind === Kind.Infinity && a.sign !== b.sign ? null : a;
  if (b.kind === Kind.Infinity) return b;
  if (a.kind === Kind.Zero && b.kind === Kind.Zero)
    return a.sign === b.sign ? a : zero(env.rounding === Rounding.Down ? 1 : 0);
  if (a.kind === Kind.Zero) return round(env, format, b.sign, b.sig, b.exp, range);
  if (b.kind === Kind.Zero) return round(env, format, a.sign, a.sig, a.exp, range);
  let x = a;
  let y = b;
  if (x.exp + bitLength(x.sig) < y.exp + bitLength(y.sig)) [x, y] = [y, x];
  const wide = x.exp - GUARD * 2;
  // far below: only that it is not zero matters
  if (y.exp + bitLength(y.sig) < wide) y = finite(y.sign, 1n, wide);
  const exp = Math.min(x.exp, y.exp);
  const p = x.sig << BigInt(x.exp - exp);
  const q = y.sig << BigInt(y.exp - exp);
  const sum = (x.sign === 1 ? -p : p) + (y.sign === 1 ? -q : q);
  if (sum === 0n) return zero(env.rounding === Rounding.Down ? 1 : 0);
  return sum < 0n ? round(env, format, 1, -sum, exp, range) : round(env, format, 0, sum, exp, range);
}

export function multiply(env: Environment, format: Format, a: Value, b: Value, range: Format = format): Value | null {
  const sign = exclusive(a, b);
  if (a.kind === Kind.Infinity || b.kind === Kind.Infinity)
    return a.kind === Kind.Zero || b.kind === Kind.Zero ? null : infinity(sign);
  if (a.kind === Kind.Zero || b.kind === Kind.Zero) return zero(sign);
  return round(env, format, sign, a.sig * b.sig, a.exp + b.exp, range);
}

/** a / b. Division of a finite number by zero sets ZeroDivide and gives infinity. */
export function divide(env: Environment, format: Format, a: Value, b: Value, range: Format = format): Value | null {
  const sign = exclusive(a, b);
  if (a.kind === Kind.Infinity) return b.kind === Kind.Infinity ? null : infinity(sign);
  if (b.kind === Kind.Infinity) return zero(sign);
  if (b.kind === Kind.Zero) {
    if (a.kind === Kind.Zero) return null;
    env.flags |= Exception.ZeroDivide;
    return infinity(sign);
  }
  if (a.kind === Kind.Zero) return zero(sign);
  const shift = Math.max(0, GUARD + bitLength(b.sig) - bitLength(a.sig));
  const n = a.sig << BigInt(shift);
  const q = n / b.sig;
  const sticky = q * b.sig === n ? 0n : 1n;
  return round(env, format, sign, (q << 1n) | sticky, a.exp - b.exp - shift - 1, range);
}

/** Largest integer whose square is at most x. */
export function integerSquareRoot(x: bigint): bigint {
  if (x < 2n) return x;
  let r = 1n << BigInt((bitLength(x) + 1) >> 1);
  for (;;) {
    const next = (r + x / r) >> 1n;
    if (next >= r) return r;
    r = next;
  }
}

export function squareRoot(env: Environment, format: Format, a: Value, range: Format = format): Value | null {
  if (a.kind === Kind.Zero) return a;
  if (a.sign === 1) return null;
  if (a.kind === Kind.Infinity) return a;
  let shift = Math.max(0, 2 * GUARD - bitLength(a.sig));
  if (((a.exp - shift) & 1) !== 0) shift++;
  const n = a.sig << BigInt(shift);
  const r = integerSquareRoot(n);
  const sticky = r * r === n ? 0n : 1n;
  return round(env, format, 0, (r << 1n) | sticky, (a.exp - shift) / 2 - 1, range);
}

/** Order of two values that are no NaNs: -1, 0 or 1. */
export function compare(a: Value, b: Value): -1 | 0 | 1 {
  const x = rank(a);
  const y = rank(b);
  if (x !== y) return x < y ? -1 : 1;
  if (a.kind !== Kind.Finite) return 0;
  const ta = a.exp + bitLength(a.sig);
  const tb = b.exp + bitLength(b.sig);
  let magnitude: number;
  if (ta !== tb) magnitude = ta < tb ? -1 : 1;
  else {
    const exp = Math.min(a.exp, b.exp);
    const p = a.sig << BigInt(a.exp - exp);
    const q = b.sig << BigInt(b.exp - exp);
    magnitude = p === q ? 0 : p < q ? -1 : 1;
  }
  return (a.sign === 1 ? -magnitude : magnitude) as -1 | 0 | 1;
}
/** -infinity, negative, zero, positive, +infinity. */
function rank(v: Value): number {
  const magnitude = v.kind === Kind.Zero ? 0 : v.kind === Kind.Finite ? 1 : 2;
  return v.sign === 1 ? -magnitude : magnitude;
}
