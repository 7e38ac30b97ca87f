// Rounding, and the exceptions that come with it: overflow, underflow, precision.
// Invariant: `round` is the only place where a result loses bits, so that it happens once for each operation.

import { EXTENDED80, bitLength, finite, infinity, zero, type Format, type Value } from './format.ts';

/** Exception flags, as in the x87 status word and MXCSR. */
export const Exception = { Invalid: 1, Denormal: 2, ZeroDivide: 4, Overflow: 8, Underflow: 16, Precision: 32 } as const;
/** Rounding control as encoded in both control words. */
export const Rounding = { Nearest: 0, Down: 1, Up: 2, Zero: 3 } as const;

/** What an operation works under, and what it reports. */
export interface Environment {
  rounding: number;
  /** Masked exceptions: bits of Exception. */
  masks: number;
  /** Bits of Exception raised so far. */
  flags: number;
  /** The last rounding increased the magnitude (C1). */
  roundedUp: boolean;
  /** Tiny results become zero (MXCSR.FTZ). */
  flushToZero: boolean;
  /** Denormal operands count as zero (MXCSR.DAZ). */
  denormalsAreZero: boolean;
}

export function environment(rounding: number, masks: number): Environment {
  return { rounding, masks, flags: 0, roundedUp: false, flushToZero: false, denormalsAreZero: false };
}

/** Exponent adjustment of unmasked overflow and underflow in the extended format (SDM vol. 1, 8.5.4 and 8.5.5). */
const EXPONENT_ADJUST = 24576;

/** sig * 2^exp to a multiple of 2^quantum: the multiplier. `inexact` and `up` say what happened. */
function toQuantum(
  env: Environment,
  sign: 0 | 1,
  sig: bigint,
  exp: number,
  quantum: number,
): { m: bigint; inexact: boolean; up: boolean } {
  const shift = quantum - exp;
  if (shift <= 0) return { m: sig << BigInt(-shift), inexact: false, up: false };
  const s = BigInt(shift);
  const m = sig >> s;
  const rest = sig - (m << s);
  if (rest === 0n) return { m, inexact: false, up: false };
  let up: boolean;
  switch (env.rounding) {
    case Rounding.Nearest: {
      const half = 1n << (s - 1n);
      up = rest > half || (rest === half && (m & 1n) === 1n);
      break;
    }
    case Rounding.Down:
      up = sign === 1;
      break;
    case Rounding.Up:
      up = sign === 0;
      break;
    default:
      up = false;
  }
  return { m: up ? m + 1n : m, inexact: true, up };
}

/**
 * Rounds (-1)^sign * sig * 2^exp to a format, setting flags. `sig` > 0; bits that an operation could not compute exactly are
 * represented by its lowest bit, well below the precision.
 * With overflow or underflow unmasked, an 80-bit result comes back with its exponent adjusted.
 * Tininess is detected after rounding, as on every x86 (SDM vol. 1, 4.9.1.5).
 */
export function round(
  env: Environment,
  format: Format,
  sign: 0 | 1,
  sig: bigint,
  exp: number,
  range: Format = format,
): Value {
  const e = exp + bitLength(sig) - 1;
  let quantum = e - format.precision + 1;
  let r = toQuantum(env, sign, sig, exp, quantum);
  let leading = e;
  if (bitLength(r.m) > format.precision) leading++;
  if (leading < range.emin) {
    if ((env.masks & Exception.Underflow) === 0) {
      env.flags |= Exception.Underflow | (r.inexact ? Exception.Precision : 0);
      env.roundedUp = r.up;
      return finite(sign, r.m, quantum + (range === EXTENDED80 ? EXPONENT_ADJUST : 0));
    }
    if (env.flushToZero) {
      env.flags |= Exception.Underflow | Exception.Precision;
      env.roundedUp = false;
      return zero(sign);
    }
    quantum = range.emin - format.precision + 1;
    r = toQuantum(env, sign, sig, exp, quantum);
    env.roundedUp = r.up;
    if (r.inexact) env.flags |= Exception.Underflow | Exception.Precision;
    return r.m === 0n ? zero(sign) : finite(sign, r.m, quantum);
  }
  if (leading > range.emax) {
    if ((env.masks & Exception.Overflow) === 0) {
      env.flags |= Exception.Overflow | (r.inexact ? Exception.Precision : 0);
      env.roundedUp = r.up;
      return finite(sign, r.m, quantum - (range === EXTENDED80 ? EXPONENT_ADJUST : 0));
    }
    env.flags |= Exception.Overflow | Exception.Precision;
    const toInfinity =
      env.rounding === Rounding.Nearest ||
      (env.rounding === Rounding.Up && sign === 0) ||
      (env.rounding === Rounding.Down && sign === 1);
    env.roundedUp = toInfinity;
    if (toInfinity) return infinity(sign);
    return finite(sign, (1n << BigInt(format.precision)) - 1n, range.emax - format.precision + 1);
  }
  env.roundedUp = r.up;
  if (r.inexact) env.flags |= Exception.Precision;
  return finite(sign, r.m, quantum);
}

/** Rounds a finite value to an integer by the rounding mode; Precision is flagged when it was none. */
export function roundToInteger(env: Environment, v: Value): bigint {
  const r = toQuantum(env, v.sign, v.sig, v.exp, 0);
  if (r.inexact) env.flags |= Exception.Precision;
  env.roundedUp = r.up;
  return v.sign === 1 ? -r.m : r.m;
}
