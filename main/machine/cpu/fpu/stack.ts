// The x87 register stack: reading, writing, pushing, popping, stack faults, and how exceptions end an instruction.
// Invariant: an instruction that meets an unmasked invalid, denormal or divide-by-zero exception leaves stack and memory as they were;
// the exception is then pending for the next waiting instruction (SDM vol. 1, 8.6).

import {
  DEFAULT_NAN,
  Kind,
  fromExtended,
  isSignaling,
  quiet,
  toExtended,
  type Format,
  type Value,
} from '../softfloat/format.ts';
import { Exception, environment, type Environment } from '../softfloat/round.ts';
import { Condition, Flag, type FpuRegisters } from './registers.ts';

const ANY_CONDITION = Condition.C0 | Condition.C2 | Condition.C3;
/** Significand bits that precision control asks for, by its two bits; the reserved value acts as 64. */
const PRECISION = [24, 64, 53, 64];

export class X87Stack {
  readonly fpu: FpuRegisters;

  constructor(fpu: FpuRegisters) {
    this.fpu = fpu;
  }

  /** What the control word asks for. */
  environment(): Environment {
    const { control } = this.fpu;
    return environment((control >>> 10) & 3, control & 0x3f);
  }
  /** Format that results of arithmetic are rounded to: precision control, with the exponent range of the registers. */
  precision(): Format {
    return { precision: PRECISION[(this.fpu.control >>> 8) & 3]!, emin: -16382, emax: 16383 };
  }

  /** ST(i), or null if it is empty. */
  read(i: number): Value | null {
    if (this.fpu.isEmpty(i)) return null;
    const n = this.fpu.physical(i);
    return fromExtended(this.fpu.significand(n), this.fpu.signExponent(n));
  }
  write(i: number, v: Value): void {
    const { sig, signExponent } = toExtended(v);
    this.writeRaw(i, sig, signExponent);
  }
  writeRaw(i: number, sig: bigint, signExponent: number): void {
    const n = this.fpu.physical(i);
    this.fpu.setPhysical(n, sig, signExponent);
    this.fpu.inUse |= 1 << n;
  }
  pop(count = 1): void {
    for (let n = 0; n < count; n++) {
      this.fpu.inUse &= ~(1 << this.fpu.physical(0));
      this.fpu.top++;
    }
  }

  /** Records flags; C1 becomes `c1`. */
  flag(flags: number, c1 = false): void {
    this.fpu.flags = (this.fpu.flags & ~Condition.C1) | flags | (c1 ? Condition.C1 : 0);
  }
  /** Records what an operation did. */
  conclude(env: Environment): void {
    this.flag(env.flags, env.roundedUp && (env.flags & Exception.Precision) !== 0);
  }
  setConditions(bits: number): void {
    this.fpu.flags = (this.fpu.flags & ~ANY_CONDITION) | bits;
  }

  /** An empty register was needed. True if the masked response is due. */
  underflow(): boolean {
    this.flag(Flag.Invalid | Flag.StackFault);
    return (this.fpu.control & Exception.Invalid) !== 0;
  }
  /** Makes room for a push; false if the instruction is over (a stack overflow; the masked response has been made). */
  canPush(): boolean {
    if (this.fpu.isEmpty(7)) return true;
    this.flag(Flag.Invalid | Flag.StackFault, true);
    if ((this.fpu.control & Exception.Invalid) !== 0) {
      this.fpu.top--;
      this.write(0, DEFAULT_NAN);
    }
    return false;
  }
  /** Stack overflow of an instruction that replaces ST(0) and pushes: both become NaNs if the exception is masked. */
  overflowReplacing(): void {
    this.canPush();
    if ((this.fpu.control & Exception.Invalid) !== 0) this.write(1, DEFAULT_NAN);
  }
  push(v: Value): void {
    this.fpu.top--;
    this.write(0, v);
  }

  /** True if one of the flags raised so far is unmasked, so that the operation must not have a result. */
  stops(env: Environment): boolean {
    const before = Exception.Invalid | Exception.Denormal | Exception.ZeroDivide;
    return (env.flags & before & ~env.masks) !== 0;
  }

  /**
   * The answer to operands of which one is a NaN or unsupported, else null: the NaN with the larger significand, made quiet
   * (SDM vol. 1, table 4-7).
   */
  settleNaN(env: Environment, a: Value, b: Value): Value | null {
    if (a.kind === Kind.Unsupported || b.kind === Kind.Unsupported) {
      env.flags |= Exception.Invalid;
      return DEFAULT_NAN;
    }
    if (a.kind !== Kind.NaN && b.kind !== Kind.NaN) return null;
    if (isSignaling(a) || isSignaling(b)) env.flags |= Exception.Invalid;
    if (a.kind !== Kind.NaN) return quiet(b);
    if (b.kind !== Kind.NaN) return quiet(a);
    if (isSignaling(a) !== isSignaling(b)) return isSignaling(a) ? b : a;
    if (a.sig !== b.sig) return quiet(a.sig > b.sig ? a : b);
    return quiet(a.sign === 0 ? a : b);
  }

  /**
   * Runs one operation on `a` and `b` under the rules for exceptions; null if an unmasked one forbids a result.
   * `compute` returns null for an invalid operation. Order of exceptions: SDM vol. 1, 4.9.2.
   */
  operate(env: Environment, a: Value, b: Value, compute: () => Value | null): Value | null {
    let result = this.settleNaN(env, a, b);
    if (!result) {
      result = compute();
      if (!result) {
        env.flags = Exception.Invalid;
        result = DEFAULT_NAN;
      } else if ((env.flags & Exception.ZeroDivide) === 0 && (a.denormal || b.denormal)) {
        env.flags |= Exception.Denormal;
        if (this.stops(env)) env.flags = Exception.Denormal;
      }
    }
    return this.stops(env) ? null : result;
  }
}
