// The x87 instruction set, opcodes D8 to DF, as one system routine: which operation a code means, its operands, its availability.
// Encodings: SDM vol. 2, appendix A.5. Undefined codes never come here: the instruction table does not list them.

import { BINARY32, BINARY64, fromBits, fromInteger, zero, finite, type Value } from '../softfloat/format.ts';
import { F, Next, OP } from '../layout.ts';
import { Access } from '../system/paging.ts';
import type { Routine, SystemParts } from '../system/parts.ts';
import { ARITHMETIC_FLAGS, Cr0 } from '../system/state.ts';
import { Vector, raise } from '../system/fault.ts';
import {
  arithmetic,
  changeSign,
  compareToConditions,
  compareToFlags,
  examine,
  frndint,
  fscale,
  fsqrt,
  fxtract,
  remainder,
} from './arithmetic.ts';
import type { environmentRoutines } from './environment.ts';
import { Condition, type FpuRegisters } from './registers.ts';
import { X87Stack } from './stack.ts';
import {
  arctangent,
  cosine,
  logarithm,
  logarithmPlusOne,
  powerMinusOne,
  sine,
  sineCosine,
  tangent,
} from './transcendental.ts';
import {
  decimal,
  exchange,
  loadConstant,
  loadFloat,
  loadInteger,
  loadRaw,
  loadRegister,
  moveIf,
  storeDecimal,
  storeExtended,
  storeFloat,
  storeInteger,
  storeRegister,
} from './transfer.ts';

const TWO32 = 0x1_0000_0000;

export function x87Routines(
  parts: SystemParts,
  fpu: FpuRegisters,
  environment: ReturnType<typeof environmentRoutines>,
) {
  const { state, access, ctx } = parts;
  const stack = new X87Stack(fpu);

  // ---- memory operands

  const plus = (linear: number, n: number): number => (state.in64 ? linear + n : (linear + n) % TWO32);
  const read = (op: number, bytes: number): bigint => {
    const at = access.operand(op, bytes, false);
    access.requireAligned(at, bytes, access.user);
    if (bytes === 2) return BigInt(access.read16(at, access.user));
    const lo = BigInt(access.read32(at, access.user));
    return bytes === 4 ? lo : (BigInt(access.read32(plus(at, 4), access.user)) << 32n) | lo;
  };
  const signed = (op: number, bytes: number): Value => fromInteger(BigInt.asIntN(bytes * 8, read(op, bytes)));
  const readTen = (op: number): { sig: bigint; signExponent: number } => {
    const at = access.operand(op, 10, false);
    access.requireAligned(at, 10, access.user);
    const lo = access.read32(at, access.user);
    const hi = access.read32(plus(at, 4), access.user);
    return { sig: (BigInt(hi) << 32n) | BigInt(lo), signExponent: access.read16(plus(at, 8), access.user) };
  };
  /** Where a result will be stored: checked before the operation, which may then decide not to store. */
  const write = (op: number, bytes: number): ((v: bigint) => void) => {
    const at = access.operand(op, bytes, true);
    access.probe(at, bytes, Access.Write, access.user);
    return (v) => put(at, bytes, v);
  };
  const put = (at: number, bytes: number, v: bigint): void => {
    const u = BigInt.asUintN(64, v);
    access.writeSized(at, bytes, Number(u & 0xffff_ffffn) & (bytes === 2 ? 0xffff : -1), Number(u >> 32n), access.user);
  };
  const writeTen = (op: number): ((sig: bigint, signExponent: number) => void) => {
    const at = access.operand(op, 10, true);
    access.probe(at, 10, Access.Write, access.user);
    return (sig, signExponent) => {
      access.writeSized(at, 8, Number(sig & 0xffff_ffffn), Number(sig >> 32n), access.user);
      access.write16(plus(at, 8), signExponent, access.user);
    };
  };

  // ---- memory forms, by opcode - D8 and ModRM.reg

  const memoryForm = (op: number, code: number, reg: number): void => {
    switch (code) {
      case 0:
        return withOperand(reg, fromBits(read(op, 4), BINARY32));
      case 4:
        return withOperand(reg, fromBits(read(op, 8), BINARY64));
      case 2:
        return withOperand(reg, signed(op, 4));
      case 6:
        return withOperand(reg, signed(op, 2));
      case 1:
        if (reg === 0) return loadFloat(stack, read(op, 4), BINARY32);
        return storeFloat(stack, BINARY32, reg === 3, write(op, 4));
      case 5:
        if (reg === 0) return loadFloat(stack, read(op, 8), BINARY64);
        if (reg === 1) return storeInteger(stack, 64, true, true, write(op, 8));
        return storeFloat(stack, BINARY64, reg === 3, write(op, 8));
      case 3:
        if (reg === 0) return loadInteger(stack, signed(op, 4));
        if (reg === 5) {
          const { sig, signExponent } = readTen(op);
          return loadRaw(stack, sig, signExponent);
        }
        if (reg === 7) return storeExtended(stack, writeTen(op));
        return storeInteger(stack, 32, reg === 1, reg !== 2, write(op, 4));
      default:
        if (reg === 0) return loadInteger(stack, signed(op, 2));
        if (reg === 4) return loadDecimal(op);
        if (reg === 5) return loadInteger(stack, signed(op, 8));
        if (reg === 6) {
          const store = writeTen(op);
          return storeDecimal(stack, (b) => {
            const sig = b.slice(0, 8).reduceRight((sum, x) => (sum << 8n) | BigInt(x), 0n);
            store(sig, b[8]! | (b[9]! << 8));
          });
        }
        if (reg === 7) return storeInteger(stack, 64, false, true, write(op, 8));
        return storeInteger(stack, 16, reg === 1, reg !== 2, write(op, 2));
    }
  };
  const loadDecimal = (op: number): void => {
    const { sig, signExponent } = readTen(op);
    const bytes = Array.from({ length: 8 }, (_, n) => Number((sig >> BigInt(8 * n)) & 0xffn));
    const { magnitude, sign } = decimal([...bytes, signExponent & 0xff, signExponent >>> 8]);
    loadInteger(stack, magnitude === 0n ? zero(sign) : finite(sign, magnitude, 0));
  };
  const withOperand = (reg: number, b: Value | null): void => {
    if (reg === 2 || reg === 3) compareToConditions(stack, b, false, reg - 2);
    else arithmetic(stack, reg, 0, b, false);
  };

  // ---- register forms

  const conditionHolds = (n: number): boolean => {
    const flags = ctx.readEflags();
    return [(flags & 1) !== 0, (flags & 0x40) !== 0, (flags & 0x41) !== 0, (flags & 4) !== 0][n]!;
  };
  const toFlags = (image: number): void => ctx.writeEflags(image, ARITHMETIC_FLAGS);
  const free = (i: number): void => {
    fpu.inUse &= ~(1 << fpu.physical(i));
    fpu.flags &= ~Condition.C1;
  };
  const step = (by: number): void => {
    fpu.top += by;
    fpu.flags &= ~Condition.C1;
  };

  /** D9 D0 and D9 E0 to FF. */
  const SINGLE: Record<number, () => void> = {
    0xd0: () => {},
    0xe0: () => changeSign(stack, true),
    0xe1: () => changeSign(stack, false),
    0xe4: () => compareToConditions(stack, zero(0), false, 0),
    0xe5: () => examine(stack),
    0xf0: () => powerMinusOne(stack),
    0xf1: () => logarithm(stack),
    0xf2: () => tangent(stack),
    0xf3: () => arctangent(stack),
    0xf4: () => fxtract(stack),
    0xf5: () => remainder(stack, true),
    0xf6: () => step(-1),
    0xf7: () => step(1),
    0xf8: () => remainder(stack, false),
    0xf9: () => logarithmPlusOne(stack),
    0xfa: () => fsqrt(stack),
    0xfb: () => sineCosine(stack),
    0xfc: () => frndint(stack),
    0xfd: () => fscale(stack),
    0xfe: () => sine(stack),
    0xff: () => cosine(stack),
  };

  const registerForm = (code: number, modrm: number): void => {
    const reg = (modrm >> 3) & 7;
    const i = modrm & 7;
    switch (code) {
      case 0:
        return withOperand(reg, stack.read(i));
      case 4:
        if (reg === 2 || reg === 3) return compareToConditions(stack, stack.read(i), false, reg - 2);
        return arithmetic(stack, reg, i, stack.read(i), false);
      case 6:
        if (reg === 2) return compareToConditions(stack, stack.read(i), false, 1);
        if (reg === 3) return compareToConditions(stack, stack.read(1), false, 2);
        return arithmetic(stack, reg, i, stack.read(i), true);
      case 1:
        if (reg === 0) return loadRegister(stack, i);
        if (reg === 1) return exchange(stack, i);
        if (reg === 3) return storeRegister(stack, i, true, false);
        if (modrm >= 0xe8 && modrm <= 0xee) return loadConstant(stack, modrm - 0xe8);
        return SINGLE[modrm]!();
      case 2:
        if (modrm === 0xe9) return compareToConditions(stack, stack.read(1), true, 2);
        return moveIf(stack, conditionHolds(reg), i);
      case 3:
        if (reg === 5) return toFlags(compareToFlags(stack, stack.read(i), true, 0));
        if (reg === 6) return toFlags(compareToFlags(stack, stack.read(i), false, 0));
        return moveIf(stack, !conditionHolds(reg), i);
      case 5:
        if (reg === 0) return free(i);
        if (reg === 1) return exchange(stack, i);
        if (reg === 4 || reg === 5) return compareToConditions(stack, stack.read(i), true, reg - 4);
        return storeRegister(stack, i, reg === 3);
      default:
        if (reg === 0) {
          free(i);
          return stack.pop();
        }
        if (reg === 1) return exchange(stack, i);
        if (reg === 5) return toFlags(compareToFlags(stack, stack.read(i), true, 1));
        if (reg === 6) return toFlags(compareToFlags(stack, stack.read(i), false, 1));
        return storeRegister(stack, i, true);
    }
  };

  /** Every x87 instruction that is not a control instruction. */
  const x87: Routine = (op) => {
    fpu.requireX87();
    fpu.requireNoPending();
    const code = state.u8[op + OP.bytes + 1]! - 0xd8;
    const modrm = state.modrm(op);
    if (modrm < 0xc0) {
      const offset = access.effectiveAddress(op);
      memoryForm(op, code, (modrm >> 3) & 7);
      fpu.notePointers(op, offset);
    } else {
      registerForm(code, modrm);
      fpu.notePointers(op, null);
    }
    return Next.Sequential;
  };

  const control =
    (body: (op: number) => number): Routine =>
    (op) => {
      fpu.requireX87();
      return body(op);
    };
  const routines = {
    x87,
    fninit: control(() => (fpu.initialize(), Next.Sequential)),
    fnclex: control(() => ((fpu.flags &= ~0x7f), Next.Sequential)),
    fnop_control: control(() => Next.Sequential),
    fldcw: control((op) => {
      fpu.requireNoPending();
      fpu.control = access.read16(access.operand(op, 2, false), access.user);
      return Next.Sequential;
    }),
    fnstcw: control((op) => (access.write16(access.operand(op, 2, true), fpu.control, access.user), Next.Sequential)),
    fnstsw: control((op) => (access.write16(access.operand(op, 2, true), fpu.status, access.user), Next.Sequential)),
    fnstsw_ax: control(() => (state.setReg16(0, fpu.status), Next.Sequential)),
    fldenv: control(environment.fldenv),
    fnstenv: control(environment.fnstenv),
    fnsave: control(environment.fnsave),
    frstor: control(environment.frstor),
    fwait: (() => {
      if ((state.get32(F.cr0) & (Cr0.MP | Cr0.TS)) === (Cr0.MP | Cr0.TS)) raise(state, Vector.NM);
      fpu.requireNoPending();
      return Next.Sequential;
    }) as Routine,
    emms: (() => {
      if ((state.get32(F.cr0) & Cr0.EM) !== 0) raise(state, Vector.UD);
      fpu.requireX87();
      fpu.requireNoPending();
      fpu.inUse = 0;
      fpu.top = 0;
      return Next.Sequential;
    }) as Routine,
  };
  return routines;
}
