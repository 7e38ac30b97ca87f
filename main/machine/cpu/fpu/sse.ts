// SSE, SSE2 and SSE3 floating point, exact in every rounding mode, with flags, DAZ, FTZ and unmasked exceptions.
// Generated code does the common cases itself (isa/sse-float.ts) and comes here for the others. One routine for each mandatory prefix;
// the opcode says which operation. Rules for NaNs: SDM vol. 1, table 4-7, and vol. 2 for each instruction.
// Invariant: MXCSR gets its flags even if the instruction faults; nothing else changes then.

import { add, compare, divide, multiply, squareRoot } from '../softfloat/arithmetic.ts';
import {
  BINARY32,
  BINARY64,
  DEFAULT_NAN,
  Kind,
  fromBits,
  fromInteger,
  isSignaling,
  negate,
  quiet,
  toBits,
  zero,
  type Format,
  type Value,
} from '../softfloat/format.ts';
import { Exception, Rounding, environment, round, roundToInteger, type Environment } from '../softfloat/round.ts';
import { F, Next, OP, STATE } from '../layout.ts';
import { Vector, raise, raiseGp } from '../system/fault.ts';
import { Cr4, ARITHMETIC_FLAGS } from '../system/state.ts';
import type { Routine, SystemParts } from '../system/parts.ts';
import type { FpuRegisters } from './registers.ts';

/** Mandatory prefix: none, 66, F3, F2. */
export type Column = 'np' | '66' | 'f3' | 'f2';
const BEFORE = Exception.Invalid | Exception.Denormal | Exception.ZeroDivide;
const TWO32 = 0x1_0000_0000;
/** Format and whether only the lowest lane counts, by prefix, for arithmetic. */
const LANES: Record<Column, { format: Format; scalar: boolean }> = {
  np: { format: BINARY32, scalar: false },
  '66': { format: BINARY64, scalar: false },
  f3: { format: BINARY32, scalar: true },
  f2: { format: BINARY64, scalar: true },
};

export function sseRoutines(parts: SystemParts, fpu: FpuRegisters) {
  const { state, access, ctx } = parts;
  const view = new DataView(state.u8.buffer);

  // ---- operands

  const xmm = (n: number): number => STATE + F.xmm + n * 16;
  const mmx = (n: number): number => STATE + F.fpr + (n & 7) * 16;
  /** The source as bytes: an XMM register, or memory of `size` bytes. */
  const source = (op: number, size: number, aligned = size === 16): DataView => {
    const out = new DataView(new ArrayBuffer(16));
    if (state.modrmIsRegister(op)) {
      const at = xmm(state.rmField(op));
      for (let k = 0; k < 16; k += 4) out.setUint32(k, view.getUint32(at + k, true), true);
      return out;
    }
    const linear = access.operand(op, size, false);
    if (aligned && linear % 16 !== 0) raiseGp(state, 0);
    access.requireAligned(linear, size, access.user);
    for (let k = 0; k < size; k += 4)
      out.setUint32(k, access.read32(state.in64 ? linear + k : (linear + k) % TWO32, access.user), true);
    return out;
  };
  const copyOf = (address: number): DataView => new DataView(state.u8.slice(address, address + 16).buffer);
  const bits = (v: DataView, format: Format, lane: number): bigint =>
    format === BINARY32 ? BigInt(v.getUint32(lane * 4, true)) : v.getBigUint64(lane * 8, true);
  const put = (v: DataView, format: Format, lane: number, b: bigint): void => {
    if (format === BINARY32) v.setUint32(lane * 4, Number(b), true);
    else v.setBigUint64(lane * 8, b, true);
  };
  const store = (n: number, v: DataView): void => {
    for (let k = 0; k < 16; k += 4) view.setUint32(xmm(n) + k, v.getUint32(k, true), true);
  };

  // ---- exceptions

  const newEnvironment = (): Environment => {
    const mxcsr = fpu.mxcsr;
    const env = environment((mxcsr >>> 13) & 3, (mxcsr >>> 7) & 0x3f);
    env.flushToZero = (mxcsr & 0x8000) !== 0;
    env.denormalsAreZero = (mxcsr & 0x40) !== 0;
    return env;
  };
  const operand = (env: Environment, b: bigint, format: Format): Value => {
    const v = fromBits(b, format);
    return v.denormal && env.denormalsAreZero ? zero(v.sign) : v;
  };
  /** Puts the lanes' flags into MXCSR; raises #XM (or #UD without CR4.OSXMMEXCPT) if one is unmasked. */
  const settle = (environments: readonly Environment[]): void => {
    const masks = environments[0]!.masks;
    const all = environments.reduce((sum, e) => sum | e.flags, 0);
    // an unmasked exception of operands keeps results from being computed in any lane
    const flags = (all & BEFORE & ~masks) !== 0 ? environments.reduce((sum, e) => sum | (e.flags & BEFORE), 0) : all;
    fpu.mxcsr |= flags;
    if ((flags & ~masks) !== 0) raise(state, (state.get32(F.cr4) & Cr4.OSXMMEXCPT) !== 0 ? Vector.XM : Vector.UD);
  };

  // ---- operations on one lane

  const settleNaN = (env: Environment, a: Value, b: Value): Value | null => {
    if (a.kind !== Kind.NaN && b.kind !== Kind.NaN) return null;
    if (isSignaling(a) || isSignaling(b)) env.flags |= Exception.Invalid;
    return quiet(a.kind === Kind.NaN ? a : b);
  };
  const operate = (env: Environment, a: Value, b: Value, compute: () => Value | null): Value => {
    const settled = settleNaN(env, a, b);
    if (settled) return settled;
    const result = compute();
    if (!result) {
      env.flags = Exception.Invalid;
      return DEFAULT_NAN;
    }
    if ((env.flags & Exception.ZeroDivide) === 0 && (a.denormal || b.denormal)) env.flags |= Exception.Denormal;
    return result;
  };
  const arithmetic = (env: Environment, format: Format, opcode: number, x: bigint, y: bigint): bigint => {
    const a = operand(env, x, format);
    const b = operand(env, y, format);
    switch (opcode) {
      case 0x51:
        return toBits(
          operate(env, b, b, () => squareRoot(env, format, b)),
          format,
        );
      case 0x58:
        return toBits(
          operate(env, a, b, () => add(env, format, a, b)),
          format,
        );
      case 0x59:
        return toBits(
          operate(env, a, b, () => multiply(env, format, a, b)),
          format,
        );
      case 0x5c:
        return toBits(
          operate(env, a, b, () => add(env, format, a, negate(b))),
          format,
        );
      case 0x5e:
        return toBits(
          operate(env, a, b, () => divide(env, format, a, b)),
          format,
        );
      default: {
        // MIN and MAX: the second operand when either is a NaN or both are zeros
        if (a.kind === Kind.NaN || b.kind === Kind.NaN) {
          env.flags |= Exception.Invalid;
          // a denormal that DAZ takes for zero becomes one
          return b.kind === Kind.NaN ? y : toBits(b, format);
        }
        if (a.denormal || b.denormal) env.flags |= Exception.Denormal;
        const order = compare(a, b);
        const first = opcode === 0x5d ? order < 0 : order > 0;
        return toBits(first ? a : b, format);
      }
    }
  };
  /** Comparison predicate 0..7 (SDM vol. 2, CMPPD). */
  const holds = (env: Environment, format: Format, predicate: number, x: bigint, y: bigint): boolean => {
    const a = operand(env, x, format);
    const b = operand(env, y, format);
    const base = predicate & 3;
    let result: boolean;
    if (a.kind === Kind.NaN || b.kind === Kind.NaN) {
      if (base === 1 || base === 2 || isSignaling(a) || isSignaling(b)) env.flags |= Exception.Invalid;
      result = base === 3;
    } else {
      if (a.denormal || b.denormal) env.flags |= Exception.Denormal;
      const order = compare(a, b);
      result = base === 0 ? order === 0 : base === 1 ? order < 0 : base === 2 ? order <= 0 : false;
    }
    return (predicate & 4) !== 0 ? !result : result;
  };
  const toInteger = (env: Environment, v: Value, size: number, truncate: boolean): bigint => {
    const limit = 1n << BigInt(size - 1);
    if (truncate) env.rounding = Rounding.Zero;
    if (v.kind === Kind.Zero) return 0n;
    if (v.kind === Kind.Finite && v.exp < 64) {
      const n = roundToInteger(env, v);
      if (n >= -limit && n < limit) return n;
    }
    env.flags = Exception.Invalid;
    return -limit;
  };
  const convert = (env: Environment, b: bigint, from: Format, to: Format): bigint => {
    const v = operand(env, b, from);
    if (v.kind === Kind.NaN) {
      if (isSignaling(v)) env.flags |= Exception.Invalid;
      return toBits(quiet(v), to);
    }
    if (v.kind !== Kind.Finite) return toBits(v, to);
    if (v.denormal) env.flags |= Exception.Denormal;
    return toBits(round(env, to, v.sign, v.sig, v.exp), to);
  };
  const fromInt = (env: Environment, v: bigint, to: Format): bigint => {
    const value = fromInteger(v);
    return toBits(value.kind === Kind.Zero ? value : round(env, to, value.sign, value.sig, value.exp), to);
  };

  // ---- whole instructions

  const lanewise = (
    op: number,
    column: Column,
    body: (env: Environment, format: Format, a: bigint, b: bigint, lane: number) => bigint,
  ): number => {
    const { format, scalar } = LANES[column];
    const bytes = format === BINARY32 ? 4 : 8;
    const b = source(op, scalar ? bytes : 16);
    const destination = state.regField(op);
    const result = copyOf(xmm(destination));
    const environments: Environment[] = [];
    for (let lane = 0; lane < (scalar ? 1 : 16 / bytes); lane++) {
      const env = newEnvironment();
      environments.push(env);
      put(result, format, lane, body(env, format, bits(result, format, lane), bits(b, format, lane), lane));
    }
    settle(environments);
    store(destination, result);
    return Next.Sequential;
  };

  const compareToFlags = (op: number, column: Column, signals: boolean): number => {
    const format = column === '66' ? BINARY64 : BINARY32;
    const y = source(op, format === BINARY32 ? 4 : 8);
    const env = newEnvironment();
    const a = operand(env, bits(copyOf(xmm(state.regField(op))), format, 0), format);
    const b = operand(env, bits(y, format, 0), format);
    let image: number;
    if (a.kind === Kind.NaN || b.kind === Kind.NaN) {
      if (signals || isSignaling(a) || isSignaling(b)) env.flags |= Exception.Invalid;
      image = 0x45;
    } else {
      if (a.denormal || b.denormal) env.flags |= Exception.Denormal;
      const order = compare(a, b);
      image = order < 0 ? 1 : order === 0 ? 0x40 : 0;
    }
    settle([env]);
    ctx.writeEflags(image, ARITHMETIC_FLAGS);
    return Next.Sequential;
  };

  /** HADD and HSUB: pairs of neighbouring lanes of the destination, then of the source. ADDSUB alternates. */
  const horizontal = (op: number, opcode: number, format: Format): number => {
    const b = source(op, 16);
    const destination = state.regField(op);
    const a = copyOf(xmm(destination));
    const result = new DataView(new ArrayBuffer(16));
    const n = format === BINARY32 ? 4 : 2;
    const environments: Environment[] = [];
    for (let lane = 0; lane < n; lane++) {
      const env = newEnvironment();
      environments.push(env);
      let x: bigint;
      let y: bigint;
      let operation = 0x58;
      if (opcode === 0xd0) {
        x = bits(a, format, lane);
        y = bits(b, format, lane);
        if (lane % 2 === 0) operation = 0x5c;
      } else {
        const from = lane < n / 2 ? a : b;
        const first = (lane % (n / 2)) * 2;
        x = bits(from, format, first);
        y = bits(from, format, first + 1);
        if (opcode === 0x7d) operation = 0x5c;
      }
      put(result, format, lane, arithmetic(env, format, operation, x, y));
    }
    settle(environments);
    store(destination, result);
    return Next.Sequential;
  };

  /** 5A: between the two formats. */
  const betweenFormats = (op: number, column: Column): number => {
    const { format: from, scalar } = LANES[column];
    const to = from === BINARY32 ? BINARY64 : BINARY32;
    const b = source(op, scalar ? (from === BINARY32 ? 4 : 8) : from === BINARY32 ? 8 : 16);
    const destination = state.regField(op);
    const result = scalar ? copyOf(xmm(destination)) : new DataView(new ArrayBuffer(16));
    const environments: Environment[] = [];
    for (let lane = 0; lane < (scalar ? 1 : 2); lane++) {
      const env = newEnvironment();
      environments.push(env);
      put(result, to, lane, convert(env, bits(b, from, lane), from, to));
    }
    settle(environments);
    store(destination, result);
    return Next.Sequential;
  };

  /** 5B and E6: between packed 32-bit integers and floats. */
  const packedIntegers = (op: number, opcode: number, column: Column): number => {
    const result = new DataView(new ArrayBuffer(16));
    const environments: Environment[] = [];
    const lanes = opcode === 0x5b ? 4 : 2;
    const format = opcode === 0x5b ? BINARY32 : BINARY64;
    const fromIntegers = opcode === 0x5b ? column === 'np' : column === 'f3';
    const truncate = opcode === 0x5b ? column === 'f3' : column === '66';
    const b = source(op, fromIntegers && lanes === 2 ? 8 : 16);
    for (let lane = 0; lane < lanes; lane++) {
      const env = newEnvironment();
      environments.push(env);
      if (fromIntegers) put(result, format, lane, fromInt(env, BigInt(b.getInt32(lane * 4, true)), format));
      else result.setInt32(lane * 4, Number(integerOf(env, b, format, lane, 32, truncate)), true);
    }
    settle(environments);
    store(state.regField(op), result);
    return Next.Sequential;
  };
  const integerOf = (
    env: Environment,
    b: DataView,
    format: Format,
    lane: number,
    size: number,
    truncate: boolean,
  ): bigint => toInteger(env, operand(env, bits(b, format, lane), format), size, truncate);

  /** 2A: from a general register, an MMX register or memory. */
  const fromGeneral = (op: number, column: Column): number => {
    const { format, scalar } = LANES[column];
    const destination = state.regField(op);
    const result = copyOf(xmm(destination));
    if (!scalar) {
      const register = state.modrmIsRegister(op);
      if (register) fpu.requireNoPending();
      const b = register ? copyOf(mmx(state.modrm(op))) : source(op, 8, false);
      const environments = [newEnvironment(), newEnvironment()];
      for (const lane of [0, 1])
        put(result, format, lane, fromInt(environments[lane]!, BigInt(b.getInt32(lane * 4, true)), format));
      if (register) enterMmx();
      settle(environments);
      store(destination, result);
      return Next.Sequential;
    }
    const wide = state.operandSize(op) === 8;
    let v: bigint;
    if (state.modrmIsRegister(op)) {
      const at = STATE + state.rmField(op) * 8;
      v = wide ? view.getBigInt64(at, true) : BigInt(view.getInt32(at, true));
    } else {
      const b = source(op, wide ? 8 : 4);
      v = wide ? b.getBigInt64(0, true) : BigInt(b.getInt32(0, true));
    }
    const env = newEnvironment();
    put(result, format, 0, fromInt(env, v, format));
    settle([env]);
    store(destination, result);
    return Next.Sequential;
  };
  const enterMmx = (): void => {
    fpu.top = 0;
    fpu.inUse = 0xff;
  };

  /** 2C (truncating) and 2D: to a general or MMX register. */
  const toGeneral = (op: number, column: Column, truncate: boolean): number => {
    const { format, scalar } = LANES[column];
    if (!scalar) {
      fpu.requireNoPending();
      const b = source(op, format === BINARY32 ? 8 : 16);
      const environments = [newEnvironment(), newEnvironment()];
      const v = environments.map((env, lane) => integerOf(env, b, format, lane, 32, truncate));
      enterMmx();
      settle(environments);
      const at = mmx((state.modrm(op) >> 3) & 7);
      v.forEach((n, lane) => view.setInt32(at + lane * 4, Number(n), true));
      view.setUint32(at + 8, 0xffff, true);
      return Next.Sequential;
    }
    const size = state.operandSize(op) === 8 ? 64 : 32;
    const env = newEnvironment();
    const v = BigInt.asUintN(size, integerOf(env, source(op, format === BINARY32 ? 4 : 8), format, 0, size, truncate));
    settle([env]);
    state.setReg64(state.regField(op), Number(v & 0xffff_ffffn), Number(v >> 32n));
    return Next.Sequential;
  };

  /** RCP and RSQRT: correctly rounded, which is well within the 1.5 * 2^-12 that the manual promises. No exceptions. */
  const approximation = (op: number, column: Column, rootOf: boolean): number => {
    const { scalar } = LANES[column];
    const b = source(op, scalar ? 4 : 16);
    const result = copyOf(xmm(state.regField(op)));
    for (let lane = 0; lane < (scalar ? 1 : 4); lane++) {
      const pattern = b.getUint32(lane * 4, true);
      const x = (pattern & 0x7f80_0000) === 0 ? (pattern & 0x8000_0000 ? -0 : 0) : b.getFloat32(lane * 4, true);
      if (Number.isNaN(x)) result.setUint32(lane * 4, pattern | 0x40_0000, true);
      else if (rootOf && x < 0) result.setUint32(lane * 4, 0xffc0_0000, true);
      else {
        result.setFloat32(lane * 4, rootOf ? (x === 0 ? 1 / x : 1 / Math.sqrt(x)) : 1 / x, true);
        // tiny results become zero
        const r = result.getUint32(lane * 4, true);
        if ((r & 0x7f80_0000) === 0) result.setUint32(lane * 4, r & 0x8000_0000, true);
      }
    }
    store(state.regField(op), result);
    return Next.Sequential;
  };

  const routine =
    (column: Column): Routine =>
    (op) => {
      fpu.requireSse();
      const opcode = state.u8[op + OP.bytes + 1]!;
      switch (opcode) {
        case 0x2a:
          return fromGeneral(op, column);
        case 0x2c:
        case 0x2d:
          return toGeneral(op, column, opcode === 0x2c);
        case 0x2e:
        case 0x2f:
          return compareToFlags(op, column, opcode === 0x2f);
        case 0x52:
        case 0x53:
          return approximation(op, column, opcode === 0x52);
        case 0x5a:
          return betweenFormats(op, column);
        case 0x5b:
        case 0xe6:
          return packedIntegers(op, opcode, column);
        case 0x7c:
        case 0x7d:
        case 0xd0:
          return horizontal(op, opcode, column === '66' ? BINARY64 : BINARY32);
        case 0xc2: {
          const predicate = state.immLo(op) & 7;
          return lanewise(op, column, (env, format, a, b) =>
            holds(env, format, predicate, a, b) ? (format === BINARY32 ? 0xffff_ffffn : 0xffff_ffff_ffff_ffffn) : 0n,
          );
        }
        default:
          return lanewise(op, column, (env, format, a, b) => arithmetic(env, format, opcode, a, b));
      }
    };
  return { sse_np: routine('np'), sse_66: routine('66'), sse_f3: routine('f3'), sse_f2: routine('f2') };
}
