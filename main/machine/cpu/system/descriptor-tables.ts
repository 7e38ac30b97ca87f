// LGDT, LIDT, SGDT, SIDT, LLDT, LTR, SLDT, STR, and the instructions that ask about descriptors: LAR, LSL, VERR, VERW, ARPL.

import { F, Intercept, Next, OP, Seg } from '../layout.ts';
import { requireCpl0 } from './control-registers.ts';
import { SystemType, isNull, readDescriptor, readUpper, tryReadDescriptor, wrapSystem } from './descriptor.ts';
import type { Descriptor } from './descriptor.ts';
import { DescriptorExit, ExitCode } from './exit.ts';
import { Vector, leave, raiseError, raiseGp, raiseUd } from './fault.ts';
import { Access } from './paging.ts';
import type { Routine, SystemParts } from './parts.ts';
import type { RoutineName } from './routine-names.ts';
import { loadLdt } from './segments.ts';
import { Eflags, isCanonical } from './state.ts';

/** System types that LAR and LSL accept, outside long mode and in it (SDM vol. 2, LAR table 3-53, LSL table 3-56). */
const LAR_TYPES: readonly number[] = [1, 2, 3, 4, 5, 9, 11, 12];
const LAR_TYPES_LONG: readonly number[] = [2, 9, 11, 12];
const LSL_TYPES: readonly number[] = [1, 2, 3, 9, 11];
const LSL_TYPES_LONG: readonly number[] = [2, 9, 11];

export function descriptorTableRoutines(parts: SystemParts): Partial<Record<RoutineName, Routine>> {
  const { state, access, ctx } = parts;

  const intercept = (op: number, which: number): void => {
    if ((state.get32(F.intercepts) & Intercept.DescriptorTable) !== 0) {
      leave(state, ExitCode.DescriptorTable, which, 0, 0, state.u8[op + OP.length]);
    }
  };

  const loadTable = (op: number, base: number, limit: number, which: number): number => {
    if (state.modrmIsRegister(op)) raiseUd(state);
    requireCpl0(parts);
    intercept(op, which);
    const wide = state.in64;
    const newLimit = access.read16(access.operand(op, 2, false), access.user);
    const linear = access.operand(op, wide ? 8 : 4, false, 2);
    if (wide) {
      const address = access.readAddress(linear, access.user);
      if (!isCanonical(address)) raiseGp(state, 0);
      state.setAddress(base, address);
    } else {
      const address = access.read32(linear, access.user);
      state.set64(base, state.operandSize(op) === 2 ? address & 0xff_ffff : address, 0);
    }
    state.set32(limit, newLimit);
    return Next.Sequential;
  };

  const storeTable = (op: number, base: number, limit: number, which: number): number => {
    if (state.modrmIsRegister(op)) raiseUd(state);
    intercept(op, which);
    const size = state.in64 ? 8 : 4;
    const at = access.operand(op, 2, true);
    const baseAt = access.operand(op, size, true, 2);
    access.probe(at, 2, Access.Write, access.user);
    access.probe(baseAt, size, Access.Write, access.user);
    access.write16(at, state.get32(limit), access.user);
    access.writeSized(baseAt, size, state.get32(base), state.getHigh(base), access.user);
    return Next.Sequential;
  };

  const requireProtected = (): void => {
    if (state.paragraphMode) raiseUd(state);
  };

  const operand16 = (op: number): number =>
    state.modrmIsRegister(op)
      ? state.regLo(state.rmField(op)) & 0xffff
      : access.read16(access.operand(op, 2, false), access.user);

  const storeSelector = (op: number, segment: number, which: number): number => {
    requireProtected();
    intercept(op, which);
    const value = state.selector(segment);
    if (state.modrmIsRegister(op)) state.setRegSized(state.rmField(op), state.operandSize(op), value, 0);
    else access.write16(access.operand(op, 2, true), value, access.user);
    return Next.Sequential;
  };

  const setZero = (set: boolean): number => {
    ctx.writeEflags(set ? Eflags.ZF : 0, Eflags.ZF);
    return Next.Sequential;
  };

  /** The descriptor if the running code may look at it, else null. */
  const visible = (selector: number): Descriptor | null => {
    if (isNull(selector)) return null;
    const descriptor = tryReadDescriptor(parts, selector);
    if (descriptor === null) return null;
    if (descriptor.conforming) return descriptor;
    return descriptor.dpl >= state.cpl && descriptor.dpl >= descriptor.rpl ? descriptor : null;
  };

  const ask = (
    op: number,
    types: readonly number[],
    typesLong: readonly number[],
    answer: (d: Descriptor) => number,
  ) => {
    requireProtected();
    const descriptor = visible(operand16(op));
    const known = state.longModeActive ? typesLong : types;
    if (descriptor === null || (descriptor.system && !known.includes(descriptor.type))) return setZero(false);
    state.setRegSized(state.regField(op), state.operandSize(op), answer(descriptor), 0);
    return setZero(true);
  };

  return {
    lgdt: (op) => loadTable(op, F.gdtBase, F.gdtLimit, DescriptorExit.Lgdt),
    lidt: (op) => loadTable(op, F.idtBase, F.idtLimit, DescriptorExit.Lidt),
    sgdt: (op) => storeTable(op, F.gdtBase, F.gdtLimit, DescriptorExit.Sgdt),
    sidt: (op) => storeTable(op, F.idtBase, F.idtLimit, DescriptorExit.Sidt),
    sldt: (op) => storeSelector(op, Seg.LDTR, DescriptorExit.Sldt),
    str: (op) => storeSelector(op, Seg.TR, DescriptorExit.Str),

    lldt(op) {
      requireProtected();
      requireCpl0(parts);
      intercept(op, DescriptorExit.Lldt);
      loadLdt(parts, operand16(op), Vector.GP);
      return Next.Sequential;
    },

    ltr(op) {
      requireProtected();
      requireCpl0(parts);
      intercept(op, DescriptorExit.Ltr);
      const selector = operand16(op);
      if (isNull(selector)) raiseGp(state, 0);
      if ((selector & 4) !== 0) raiseGp(state, selector & 0xfffc);
      const tss = readDescriptor(parts, selector, Vector.GP);
      const available = tss.type === SystemType.Tss32 || (tss.type === SystemType.Tss16 && !state.longModeActive);
      if (!tss.system || !available) raiseGp(state, tss.errorCode);
      if (!tss.present) raiseError(state, Vector.NP, tss.errorCode);
      if (state.longModeActive && !readUpper(parts, tss)) raiseGp(state, tss.errorCode);
      access.write8(wrapSystem(parts, tss.address + 5), ((tss.hi >>> 8) & 0xff) | 2, false);
      state.setSegment(Seg.TR, selector, tss.base, tss.limit, tss.attr | 2);
      return Next.Sequential;
    },

    lar: (op) => ask(op, LAR_TYPES, LAR_TYPES_LONG, (descriptor) => descriptor.hi & 0x00f0_ff00),
    lsl: (op) => ask(op, LSL_TYPES, LSL_TYPES_LONG, (descriptor) => descriptor.limit),

    verr(op) {
      requireProtected();
      const descriptor = visible(operand16(op));
      return setZero(descriptor !== null && descriptor.readable);
    },
    verw(op) {
      requireProtected();
      const descriptor = visible(operand16(op));
      return setZero(descriptor !== null && descriptor.writableData);
    },

    arpl(op) {
      requireProtected();
      const source = state.regLo(state.regField(op)) & 3;
      const register = state.modrmIsRegister(op);
      const linear = register ? 0 : access.operand(op, 2, true);
      if (!register) access.probe(linear, 2, Access.Write, access.user);
      const old = register ? state.regLo(state.rmField(op)) & 0xffff : access.read16(linear, access.user);
      if ((old & 3) >= source) return setZero(false);
      const value = (old & 0xfffc) | source;
      if (register) state.setReg16(state.rmField(op), value);
      else access.write16(linear, value, access.user);
      return setZero(true);
    },
  };
}
