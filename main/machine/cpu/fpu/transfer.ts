// x87 loads and stores: FLD, FST, FILD, FIST, FISTTP, FBLD, FBSTP, constants, FXCH, FCMOV.
// Memory is read by the caller before anything changes, and written here through `store`, which raises before it writes.

import {
  DEFAULT_NAN,
  EXTENDED80,
  Kind,
  fromBits,
  isSignaling,
  quiet,
  toBits,
  type Format,
  type Value,
} from '../softfloat/format.ts';
import { Exception, Rounding, round, roundToInteger } from '../softfloat/round.ts';
import { constant, type ConstantName } from '../softfloat/constants.ts';
import type { X87Stack } from './stack.ts';

/** FLD m32, m64: signaling NaNs and denormals are noticed. */
export function loadFloat(stack: X87Stack, bits: bigint, format: Format): void {
  if (!stack.canPush()) return;
  const env = stack.environment();
  const v = fromBits(bits, format);
  if (isSignaling(v)) env.flags |= Exception.Invalid;
  else if (v.denormal) env.flags |= Exception.Denormal;
  stack.flag(env.flags);
  // an unmasked denormal exception is noted, and the load happens all the same
  if ((env.flags & Exception.Invalid & ~env.masks) === 0) stack.push(quiet(v));
}

/** FLD m80 and FLD ST(i): a copy, whatever it is. */
export function loadRaw(stack: X87Stack, sig: bigint, signExponent: number): void {
  if (!stack.canPush()) return;
  stack.flag(0);
  stack.fpu.top--;
  stack.writeRaw(0, sig, signExponent);
}
export function loadRegister(stack: X87Stack, i: number): void {
  const { fpu } = stack;
  if (fpu.isEmpty(i)) {
    if (stack.underflow()) stack.push(DEFAULT_NAN);
    return;
  }
  const n = fpu.physical(i);
  loadRaw(stack, fpu.significand(n), fpu.signExponent(n));
}
export function loadInteger(stack: X87Stack, v: Value): void {
  if (!stack.canPush()) return;
  stack.flag(0);
  stack.push(v);
}

const CONSTANTS: readonly (ConstantName | 'one' | 'zero')[] = [
  'one',
  'log2of10',
  'log2ofE',
  'pi',
  'log10of2',
  'lnOf2',
  'zero',
];
/** FLD1 FLDL2T FLDL2E FLDPI FLDLG2 FLDLN2 FLDZ, in the order of their codes; rounded by the rounding mode, never inexact to the program. */
export function loadConstant(stack: X87Stack, n: number): void {
  if (!stack.canPush()) return;
  stack.flag(0);
  const name = CONSTANTS[n]!;
  if (name === 'zero') stack.writeRaw((stack.fpu.top--, 0), 0n, 0);
  else if (name === 'one') stack.writeRaw((stack.fpu.top--, 0), 1n << 63n, 0x3fff);
  else {
    const { sig, exp } = constant(name);
    stack.push(round(stack.environment(), EXTENDED80, 0, (sig << 1n) | 1n, exp - 1));
  }
}

/** FST and FSTP to m32 or m64. Unmasked overflow and underflow store nothing. */
export function storeFloat(stack: X87Stack, format: Format, pop: boolean, store: (bits: bigint) => void): void {
  let v = stack.read(0);
  let c1 = false;
  let flags = 0;
  if (!v) {
    if ((stack.fpu.control & Exception.Invalid) === 0) return void stack.underflow();
    store(toBits(DEFAULT_NAN, format));
    stack.underflow();
    if (pop) stack.pop();
    return;
  }
  const env = stack.environment();
  if (v.kind === Kind.Unsupported) {
    env.flags |= Exception.Invalid;
    v = DEFAULT_NAN;
  } else if (isSignaling(v)) {
    env.flags |= Exception.Invalid;
    v = quiet(v);
  } else if (v.kind === Kind.Finite) v = round(env, format, v.sign, v.sig, v.exp);
  flags = env.flags;
  c1 = env.roundedUp;
  const forbids = Exception.Invalid | Exception.Overflow | Exception.Underflow;
  if ((flags & forbids & ~env.masks) !== 0) {
    // nothing is stored: there is no rounded result whose inexactness could be reported
    stack.flag(flags & forbids);
    return;
  }
  store(toBits(v, format));
  stack.flag(flags, c1 && (flags & Exception.Precision) !== 0);
  if (pop) stack.pop();
}

/** FSTP m80: a copy. */
export function storeExtended(stack: X87Stack, store: (sig: bigint, signExponent: number) => void): void {
  const { fpu } = stack;
  if (fpu.isEmpty(0)) {
    if ((fpu.control & Exception.Invalid) !== 0) store(3n << 62n, 0xffff);
    if (!stack.underflow()) return;
  } else {
    const n = fpu.physical(0);
    store(fpu.significand(n), fpu.signExponent(n));
    stack.flag(0);
  }
  stack.pop();
}

/** FIST, FISTP, FISTTP. `bits` 16, 32 or 64; what does not fit becomes the most negative number, with the invalid exception. */
export function storeInteger(
  stack: X87Stack,
  bits: number,
  truncate: boolean,
  pop: boolean,
  store: (v: bigint) => void,
): void {
  const limit = 1n << BigInt(bits - 1);
  storeRounded(
    stack,
    truncate,
    pop,
    (n) => n >= -limit && n < limit,
    store,
    () => store(-limit),
  );
}

/** FBSTP: 18 decimal digits and a sign. `store` gets ten bytes, lowest first. */
export function storeDecimal(stack: X87Stack, store: (bytes: number[]) => void): void {
  const limit = 10n ** 18n;
  const negative = stack.read(0)?.sign === 1;
  const put = (n: bigint): void => {
    let rest = n < 0n ? -n : n;
    const bytes: number[] = [];
    for (let k = 0; k < 9; k++) {
      const two = Number(rest % 100n);
      bytes.push(Math.floor(two / 10) * 16 + (two % 10));
      rest /= 100n;
    }
    store([...bytes, negative ? 0x80 : 0]);
  };
  storeRounded(
    stack,
    false,
    true,
    (n) => n > -limit && n < limit,
    put,
    () => store([0, 0, 0, 0, 0, 0, 0, 0xc0, 0xff, 0xff]),
  );
}

function storeRounded(
  stack: X87Stack,
  truncate: boolean,
  pop: boolean,
  fits: (n: bigint) => boolean,
  store: (n: bigint) => void,
  storeIndefinite: () => void,
): void {
  const v = stack.read(0);
  const env = stack.environment();
  if (truncate) env.rounding = Rounding.Zero;
  let n: bigint | null = null;
  if (v?.kind === Kind.Zero) n = 0n;
  // beyond 2^80 nothing fits; the bound keeps the integers short
  else if (v?.kind === Kind.Finite && v.exp < 20) {
    const r = roundToInteger(env, v);
    if (fits(r)) n = r;
  }
  if (n === null) {
    if (env.masks & Exception.Invalid) storeIndefinite();
    if (!v) {
      if (!stack.underflow()) return;
    } else stack.flag(Exception.Invalid);
    if ((env.masks & Exception.Invalid) === 0) return;
  } else {
    store(n);
    stack.conclude(env);
  }
  if (pop) stack.pop();
}

/** FBLD's ten bytes as an integer value; digits above 9 count as they are (undefined by the manual). */
export function decimal(bytes: readonly number[]): { magnitude: bigint; sign: 0 | 1 } {
  let magnitude = 0n;
  for (let k = 8; k >= 0; k--) magnitude = magnitude * 100n + BigInt((bytes[k]! >> 4) * 10 + (bytes[k]! & 15));
  return { magnitude, sign: bytes[9]! & 0x80 ? 1 : 0 };
}

/** FST ST(i), FSTP ST(i). The undocumented FSTP of opcode D9 does not look whether ST(0) is empty (`checked` false). */
export function storeRegister(stack: X87Stack, i: number, pop: boolean, checked = true): void {
  const { fpu } = stack;
  if (checked && fpu.isEmpty(0)) {
    if (!stack.underflow()) return;
    stack.write(i, DEFAULT_NAN);
  } else {
    const n = fpu.physical(0);
    stack.writeRaw(i, fpu.significand(n), fpu.signExponent(n));
    stack.flag(0);
  }
  if (pop) stack.pop();
}

/** FXCH: empty registers count as default NaNs, with the stack fault noted. */
export function exchange(stack: X87Stack, i: number): void {
  const { fpu } = stack;
  if (fpu.isEmpty(0) || fpu.isEmpty(i)) {
    if (!stack.underflow()) return;
    if (fpu.isEmpty(0)) stack.write(0, DEFAULT_NAN);
    if (fpu.isEmpty(i)) stack.write(i, DEFAULT_NAN);
  } else stack.flag(0);
  const a = fpu.physical(0);
  const b = fpu.physical(i);
  const [sig, word] = [fpu.significand(a), fpu.signExponent(a)];
  fpu.setPhysical(a, fpu.significand(b), fpu.signExponent(b));
  fpu.setPhysical(b, sig, word);
}

/** FCMOVcc, with the condition already worked out. */
export function moveIf(stack: X87Stack, condition: boolean, i: number): void {
  const { fpu } = stack;
  if (fpu.isEmpty(0) || fpu.isEmpty(i)) {
    if (stack.underflow()) stack.write(0, DEFAULT_NAN);
    return;
  }
  const n = fpu.physical(i);
  if (condition) stack.writeRaw(0, fpu.significand(n), fpu.signExponent(n));
}
