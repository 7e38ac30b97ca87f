// Saving and restoring floating-point state: FLDENV, FNSTENV, FNSAVE, FRSTOR, FXSAVE, FXRSTOR, LDMXCSR, STMXCSR.
// Layouts: SDM vol. 1, figures 8-9 to 8-12 (environment) and 10.5.1 (FXSAVE area).
// Invariant: all bytes that are read or written have been probed before anything changes.

import { F, Next, OP, OpFlag, STATE } from '../layout.ts';
import { raiseGp } from '../system/fault.ts';
import { Access } from '../system/paging.ts';
import type { Routine, SystemParts } from '../system/parts.ts';
import { MXCSR_MASK, type FpuRegisters } from './registers.ts';

const TWO32 = 0x1_0000_0000;

export function environmentRoutines(parts: SystemParts, fpu: FpuRegisters) {
  const { state, access } = parts;

  /** Offsets within one memory operand, as linear addresses that wrap where the mode makes them. */
  const area = (op: number, size: number, write: boolean, alignment = 1): ((plus: number) => number) => {
    const start = access.operand(op, size, write);
    if (start % alignment !== 0) raiseGp(state, 0);
    const wide = state.in64;
    const at = (plus: number) => (wide ? start + plus : (start + plus) % TWO32);
    access.probe(start, size, write ? Access.Write : Access.Read, access.user);
    return at;
  };

  const is16 = (op: number): boolean => (state.u8[op + OP.flags]! & OpFlag.OpSize16) !== 0;
  /** Bytes of the environment. */
  const environmentSize = (op: number): number => (is16(op) ? 14 : 28);

  /** The environment as seven words of 16 or 32 bits. */
  const environmentWords = (op: number): number[] => {
    const small = is16(op);
    const ip = state.get32(F.fpIp);
    const dp = state.get32(F.fpDp);
    const high = small ? 0 : 0xffff_0000;
    const words = [(fpu.control | high) >>> 0, (fpu.status | high) >>> 0, (fpu.tagWord | high) >>> 0];
    if (state.paragraphMode) {
      const linearIp = (ip + state.get32(F.fpCs) * 16) >>> 0;
      const linearDp = (dp + state.get32(F.fpDs) * 16) >>> 0;
      const opcode = state.get32(F.fpOpcode);
      const upper = (v: number) => (small ? (v >>> 4) & 0xf000 : ((v >>> 16) << 12) >>> 0);
      words.push(linearIp & 0xffff, (upper(linearIp) | opcode) >>> 0, linearDp & 0xffff, upper(linearDp));
    } else if (small) words.push(ip & 0xffff, state.get32(F.fpCs), dp & 0xffff, state.get32(F.fpDs));
    else {
      const opcode = state.get32(F.fpOpcode);
      words.push(ip, ((opcode << 16) | state.get32(F.fpCs)) >>> 0, dp, (state.get32(F.fpDs) | 0xffff_0000) >>> 0);
    }
    return words;
  };

  const storeEnvironment = (op: number, at: (plus: number) => number): void => {
    const small = is16(op);
    environmentWords(op).forEach((w, n) => {
      if (small) access.write16(at(n * 2), w & 0xffff, access.user);
      else access.write32(at(n * 4), w, access.user);
    });
  };

  const loadEnvironment = (op: number, at: (plus: number) => number): void => {
    const small = is16(op);
    const words = Array.from({ length: 7 }, (_, n) =>
      small ? access.read16(at(n * 2), access.user) : access.read32(at(n * 4), access.user),
    );
    fpu.control = words[0]!;
    fpu.status = words[1]!;
    fpu.tagWord = words[2]! & 0xffff;
    if (state.paragraphMode) {
      const upper = (v: number) => (small ? (v & 0xf000) << 4 : (v & 0x0fff_f000) << 4);
      state.set64(F.fpIp, (words[3]! & 0xffff) | upper(words[4]!), 0);
      state.set64(F.fpDp, (words[5]! & 0xffff) | upper(words[6]!), 0);
      state.set32(F.fpOpcode, words[4]! & 0x7ff);
      state.set32(F.fpCs, 0);
      state.set32(F.fpDs, 0);
    } else {
      state.set64(F.fpIp, words[3]!, 0);
      state.set32(F.fpCs, words[4]! & 0xffff);
      state.set64(F.fpDp, words[5]!, 0);
      state.set32(F.fpDs, words[6]! & 0xffff);
      if (!small) state.set32(F.fpOpcode, (words[4]! >>> 16) & 0x7ff);
    }
  };

  const writeRegister = (linear: (plus: number) => number, plus: number, physical: number): void => {
    const significand = fpu.significand(physical);
    access.write32(linear(plus), Number(significand & 0xffff_ffffn), access.user);
    access.write32(linear(plus + 4), Number(significand >> 32n), access.user);
    access.write16(linear(plus + 8), fpu.signExponent(physical), access.user);
  };
  const readRegister = (
    linear: (plus: number) => number,
    plus: number,
  ): { significand: bigint; signExponent: number } => {
    const lo = access.read32(linear(plus), access.user);
    const hi = access.read32(linear(plus + 4), access.user);
    return {
      significand: (BigInt(hi) << 32n) | BigInt(lo),
      signExponent: access.read16(linear(plus + 8), access.user),
    };
  };

  // ---- x87 environment: entered from x87.ts, which has made the #NM check

  const fnstenv = (op: number): number => {
    const at = area(op, environmentSize(op), true);
    storeEnvironment(op, at);
    fpu.control |= 0x3f;
    return Next.Sequential;
  };
  const fldenv = (op: number): number => {
    fpu.requireNoPending();
    loadEnvironment(op, area(op, environmentSize(op), false));
    return Next.Sequential;
  };
  const fnsave = (op: number): number => {
    const size = environmentSize(op);
    const at = area(op, size + 80, true);
    storeEnvironment(op, at);
    for (let i = 0; i < 8; i++) writeRegister(at, size + i * 10, fpu.physical(i));
    fpu.initialize();
    return Next.Sequential;
  };
  const frstor = (op: number): number => {
    fpu.requireNoPending();
    const size = environmentSize(op);
    const at = area(op, size + 80, false);
    const registers = Array.from({ length: 8 }, (_, i) => readRegister(at, size + i * 10));
    loadEnvironment(op, at);
    registers.forEach((r, i) => fpu.setPhysical(fpu.physical(i), r.significand, r.signExponent));
    return Next.Sequential;
  };

  // ---- FXSAVE area

  const fxArea = (op: number, write: boolean): ((plus: number) => number) => {
    fpu.requireX87();
    return area(op, 512, write, 16);
  };
  const isWide = (op: number): boolean => (state.u8[op + OP.flags]! & OpFlag.OpSize64) !== 0;
  /** XMM registers that the mode can see. */
  const xmmCount = (): number => (state.in64 ? 16 : 8);
  const xmmIndex = (n: number): number => (STATE + F.xmm + n * 16) >>> 2;

  const fxsave: Routine = (op) => {
    const at = fxArea(op, true);
    const user = access.user;
    const put = (plus: number, v: number) => access.write32(at(plus), v >>> 0, user);
    put(0, fpu.control | (fpu.status << 16));
    put(4, fpu.inUse | (state.get32(F.fpOpcode) << 16));
    put(8, state.get32(F.fpIp));
    put(12, isWide(op) ? state.getHigh(F.fpIp) : state.get32(F.fpCs));
    put(16, state.get32(F.fpDp));
    put(20, isWide(op) ? state.getHigh(F.fpDp) : state.get32(F.fpDs));
    put(24, fpu.mxcsr);
    put(28, MXCSR_MASK);
    for (let i = 0; i < 8; i++) {
      writeRegister(at, 32 + i * 16, fpu.physical(i));
      access.write16(at(32 + i * 16 + 10), 0, user);
      put(32 + i * 16 + 12, 0);
    }
    for (let n = 0; n < xmmCount(); n++)
      for (let w = 0; w < 4; w++) put(160 + n * 16 + w * 4, state.u32[xmmIndex(n) + w]!);
    return Next.Sequential;
  };

  const fxrstor: Routine = (op) => {
    const at = fxArea(op, false);
    const user = access.user;
    const get = (plus: number) => access.read32(at(plus), user);
    const mxcsr = get(24);
    if ((mxcsr & ~MXCSR_MASK) !== 0) raiseGp(state, 0);
    const words = Array.from({ length: 6 }, (_, n) => get(n * 4));
    const registers = Array.from({ length: 8 }, (_, i) => readRegister(at, 32 + i * 16));
    const xmm = Array.from({ length: xmmCount() * 4 }, (_, n) => get(160 + n * 4));
    const wide = isWide(op);
    fpu.control = words[0]! & 0xffff;
    fpu.status = words[0]! >>> 16;
    fpu.inUse = words[1]! & 0xff;
    state.set32(F.fpOpcode, (words[1]! >>> 16) & 0x7ff);
    state.set64(F.fpIp, words[2]!, wide ? words[3]! : 0);
    state.set32(F.fpCs, wide ? 0 : words[3]! & 0xffff);
    state.set64(F.fpDp, words[4]!, wide ? words[5]! : 0);
    state.set32(F.fpDs, wide ? 0 : words[5]! & 0xffff);
    fpu.mxcsr = mxcsr;
    registers.forEach((r, i) => fpu.setPhysical(fpu.physical(i), r.significand, r.signExponent));
    xmm.forEach((v, n) => (state.u32[xmmIndex(0) + n] = v));
    return Next.Sequential;
  };

  const ldmxcsr: Routine = (op) => {
    fpu.requireSse();
    const value = access.read32(access.operand(op, 4, false), access.user);
    if ((value & ~MXCSR_MASK) !== 0) raiseGp(state, 0);
    fpu.mxcsr = value;
    return Next.Sequential;
  };
  const stmxcsr: Routine = (op) => {
    fpu.requireSse();
    access.write32(access.operand(op, 4, true), fpu.mxcsr, access.user);
    return Next.Sequential;
  };

  return { fnstenv, fldenv, fnsave, frstor, routines: { fxsave, fxrstor, ldmxcsr, stmxcsr } };
}
