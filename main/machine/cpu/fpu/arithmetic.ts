// x87 arithmetic and comparison: FADD FSUB FMUL FDIV FSQRT FCOM FUCOM FCOMI FTST FXAM FCHS FABS FRNDINT FSCALE FXTRACT FPREM.

import { add, compare, divide, multiply, squareRoot } from '../softfloat/arithmetic.ts';
import {
  DEFAULT_NAN,
  EXTENDED80,
  Kind,
  bitLength,
  finite,
  fromInteger,
  infinity,
  isSignaling,
  negate,
  zero,
  type Value,
} from '../softfloat/format.ts';
import { Exception, round, roundToInteger, type Environment } from '../softfloat/round.ts';
import { Condition, Flag } from './registers.ts';
import type { X87Stack } from './stack.ts';

const NONE = zero(0);

/** The eight operations of D8, in the order of ModRM.reg, without the comparisons. `a` is ST(0), `b` the other operand. */
export function arithmetic(stack: X87Stack, which: number, destination: number, b: Value | null, pop: boolean): void {
  const a = stack.read(0);
  if (!a || !b) {
    if (!stack.underflow()) return;
    stack.write(destination, DEFAULT_NAN);
    if (pop) stack.pop();
    return;
  }
  const env = stack.environment();
  const format = stack.precision();
  const result = stack.operate(env, a, b, () => {
    switch (which) {
      case 0:
        return add(env, format, a, b, EXTENDED80);
      case 1:
        return multiply(env, format, a, b, EXTENDED80);
      case 4:
        return add(env, format, a, negate(b), EXTENDED80);
      case 5:
        return add(env, format, b, negate(a), EXTENDED80);
      case 6:
        return divide(env, format, a, b, EXTENDED80);
      default:
        return divide(env, format, b, a, EXTENDED80);
    }
  });
  stack.conclude(env);
  if (!result) return;
  stack.write(destination, result);
  if (pop) stack.pop();
}

/**
 * Result of a comparison: -1, 0, 1, 2 = unordered. Hardware reports it even if an exception is unmasked; only the pops are left out
 * then (`stopped`). C1 is the caller's business: FCOMI leaves it alone unless there was a stack fault.
 */
function order(
  stack: X87Stack,
  a: Value | null,
  b: Value | null,
  quietAllowed: boolean,
): { result: number; flags: number; stopped: boolean } {
  if (!a || !b) {
    const masked = (stack.fpu.control & Exception.Invalid) !== 0;
    return { result: 2, flags: Flag.Invalid | Flag.StackFault, stopped: !masked };
  }
  const env = stack.environment();
  let result: number;
  if (a.kind >= Kind.NaN || b.kind >= Kind.NaN) {
    const unsupported = a.kind === Kind.Unsupported || b.kind === Kind.Unsupported;
    if (!quietAllowed || unsupported || isSignaling(a) || isSignaling(b)) env.flags |= Exception.Invalid;
    result = 2;
  } else {
    if (a.denormal || b.denormal) env.flags |= Exception.Denormal;
    result = compare(a, b);
  }
  return { result, flags: env.flags, stopped: stack.stops(env) };
}

/** FCOM, FUCOM, FTST: into the condition bits. */
export function compareToConditions(stack: X87Stack, b: Value | null, quietAllowed: boolean, pops: number): void {
  const { C0, C2, C3 } = Condition;
  const { result, flags, stopped } = order(stack, stack.read(0), b, quietAllowed);
  stack.flag(flags);
  stack.setConditions(result === 2 ? C0 | C2 | C3 : result < 0 ? C0 : result === 0 ? C3 : 0);
  if (!stopped) stack.pop(pops);
}

/** FCOMI, FUCOMI: the EFLAGS image (CF PF ZF; the other arithmetic flags clear). */
export function compareToFlags(stack: X87Stack, b: Value | null, quietAllowed: boolean, pops: number): number {
  const { result, flags, stopped } = order(stack, stack.read(0), b, quietAllowed);
  if ((flags & Flag.StackFault) !== 0) stack.flag(flags);
  else stack.fpu.flags |= flags;
  if (!stopped) stack.pop(pops);
  return result === 2 ? 0x45 : result < 0 ? 1 : result === 0 ? 0x40 : 0;
}

/** FXAM: class of ST(0) in C3 C2 C0, its sign in C1, even of an empty register. */
export function examine(stack: X87Stack): void {
  const { fpu } = stack;
  const { C0, C2, C3 } = Condition;
  const v = stack.read(0);
  stack.flag(0, (fpu.signExponent(fpu.physical(0)) & 0x8000) !== 0);
  if (!v) return stack.setConditions(C3 | C0);
  switch (v.kind) {
    case Kind.Unsupported:
      return stack.setConditions(0);
    case Kind.NaN:
      return stack.setConditions(C0);
    case Kind.Infinity:
      return stack.setConditions(C2 | C0);
    case Kind.Zero:
      return stack.setConditions(C3);
    default:
      return stack.setConditions(v.denormal ? C3 | C2 : C2);
  }
}

/** FCHS (`sign` = null: invert) and FABS (`sign` = 0): change the sign bit of any value, without exceptions but the stack fault. */
export function changeSign(stack: X87Stack, invert: boolean): void {
  const { fpu } = stack;
  if (fpu.isEmpty(0)) {
    if (stack.underflow()) stack.write(0, DEFAULT_NAN);
    return;
  }
  const n = fpu.physical(0);
  const word = fpu.signExponent(n);
  fpu.setPhysical(n, fpu.significand(n), invert ? word ^ 0x8000 : word & 0x7fff);
  stack.flag(0);
}

/** An instruction that replaces ST(0) by a function of it. */
function unary(stack: X87Stack, compute: (env: Environment, a: Value) => Value | null): void {
  const a = stack.read(0);
  if (!a) {
    if (stack.underflow()) stack.write(0, DEFAULT_NAN);
    return;
  }
  const env = stack.environment();
  const result = stack.operate(env, a, NONE, () => compute(env, a));
  stack.conclude(env);
  if (result) stack.write(0, result);
}

export const fsqrt = (stack: X87Stack): void =>
  unary(stack, (env, a) => squareRoot(env, stack.precision(), a, EXTENDED80));

export const frndint = (stack: X87Stack): void =>
  unary(stack, (env, a) => {
    if (a.kind !== Kind.Finite || a.exp >= 0) return a;
    const n = roundToInteger(env, a);
    return n === 0n ? zero(a.sign) : fromInteger(n);
  });

/** FSCALE: ST(0) * 2^truncated ST(1). */
export function fscale(stack: X87Stack): void {
  const a = stack.read(0);
  const b = stack.read(1);
  if (!a || !b) {
    if (stack.underflow()) stack.write(0, DEFAULT_NAN);
    return;
  }
  const env = stack.environment();
  const result = stack.operate(env, a, b, () => {
    if (b.kind === Kind.Infinity) {
      if (b.sign === 0) return a.kind === Kind.Zero ? null : infinity(a.sign);
      return a.kind === Kind.Infinity ? null : zero(a.sign);
    }
    if (a.kind !== Kind.Finite) return a;
    const exp = a.exp + scaleOf(b);
    // so far out that even the adjusted exponent of an unmasked exception does not fit
    const leading = exp + bitLength(a.sig) - 1;
    if (leading - 24576 > 16383 && (env.masks & Exception.Overflow) === 0) {
      env.flags |= Exception.Overflow | Exception.Precision;
      env.roundedUp = true;
      return infinity(a.sign);
    }
    if (leading + 24576 < -16382 && (env.masks & Exception.Underflow) === 0) {
      env.flags |= Exception.Underflow | Exception.Precision;
      return zero(a.sign);
    }
    return round(env, EXTENDED80, a.sign, a.sig, exp);
  });
  stack.conclude(env);
  if (result) stack.write(0, result);
}
/** The truncated exponent, held within what can make a difference (it also bounds the unmasked, adjusted result). */
function scaleOf(b: Value): number {
  if (b.kind !== Kind.Finite) return 0;
  const top = b.exp + bitLength(b.sig);
  const magnitude = top > 17 ? 0x1_0000 : b.exp >= 0 ? Number(b.sig << BigInt(b.exp)) : Number(b.sig >> BigInt(-b.exp));
  return b.sign === 1 ? -magnitude : magnitude;
}

/** FXTRACT: ST(0) becomes the exponent, then the significand is pushed. */
export function fxtract(stack: X87Stack): void {
  const a = stack.read(0);
  if (!a) {
    if (!stack.underflow()) return;
    stack.write(0, DEFAULT_NAN);
    stack.push(DEFAULT_NAN);
    return;
  }
  if (!stack.fpu.isEmpty(7)) {
    stack.overflowReplacing();
    return;
  }
  const env = stack.environment();
  let significand: Value = a;
  const exponent = stack.operate(env, a, NONE, () => {
    if (a.kind === Kind.Zero) {
      env.flags |= Exception.ZeroDivide;
      return infinity(1);
    }
    if (a.kind === Kind.Infinity) return infinity(0);
    const length = bitLength(a.sig);
    significand = finite(a.sign, a.sig, 1 - length);
    return fromInteger(BigInt(a.exp + length - 1));
  });
  stack.conclude(env);
  if (!exponent) return;
  stack.write(0, exponent);
  stack.push(exponent.kind === Kind.NaN ? exponent : significand);
}

/** FPREM (`nearest` false: quotient truncated) and FPREM1 (quotient rounded to nearest even): SDM vol. 2. */
export function remainder(stack: X87Stack, nearest: boolean): void {
  stack.fpu.flags &= ~Condition.C2;
  const a = stack.read(0);
  const b = stack.read(1);
  if (!a || !b) {
    if (stack.underflow()) stack.write(0, DEFAULT_NAN);
    return;
  }
  const env = stack.environment();
  let quotient = 0n;
  let partial = false;
  const result = stack.operate(env, a, b, () => {
    if (a.kind === Kind.Infinity || b.kind === Kind.Zero) return null;
    if (a.kind === Kind.Zero) return a;
    if (b.kind === Kind.Infinity) return round(env, EXTENDED80, a.sign, a.sig, a.exp);
    const distance = a.exp + bitLength(a.sig) - (b.exp + bitLength(b.sig));
    let divisor = b.sig;
    let divisorExp = b.exp;
    if (distance >= 64) {
      // only reduces the exponent difference, by 32 to 63, with a truncated quotient
      partial = true;
      divisorExp += distance - (32 + (distance % 32));
    }
    const exp = Math.min(a.exp, divisorExp);
    let dividend = a.sig << BigInt(a.exp - exp);
    divisor <<= BigInt(divisorExp - exp);
    const q = dividend / divisor;
    dividend -= q * divisor;
    let sign = a.sign;
    if (!partial) {
      quotient = q;
      if (nearest) {
        const twice = dividend << 1n;
        if (twice > divisor || (twice === divisor && (q & 1n) === 1n)) {
          dividend = divisor - dividend;
          sign = sign === 1 ? 0 : 1;
          quotient += 1n;
        }
      }
    }
    return dividend === 0n ? zero(a.sign) : round(env, EXTENDED80, sign, dividend, exp);
  });
  stack.conclude(env);
  const { C0, C1, C2, C3 } = Condition;
  if (!result) return;
  stack.write(0, result);
  if (result.kind === Kind.NaN) return;
  stack.fpu.flags &= ~(C0 | C1 | C3);
  if (partial) stack.fpu.flags |= C2;
  else stack.fpu.flags |= (quotient & 4n ? C0 : 0) | (quotient & 2n ? C3 : 0) | (quotient & 1n ? C1 : 0);
}
