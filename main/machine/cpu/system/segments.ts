// Loading segment registers (SDM vol. 3, 5.4 to 5.8, and MOV, POP, LDS in vol. 2).
// Invariant: a function here either raises and changes nothing, or loads the register wholly.

import { F, OP, Seg, SegAttr, Shadow } from '../layout.ts';
import { Next } from '../layout.ts';
import { isNull, markAccessed, readDescriptor, readUpper, SystemType } from './descriptor.ts';
import type { Descriptor } from './descriptor.ts';
import { Vector, raiseError, raiseGp, raiseUd } from './fault.ts';
import { modeChanged } from './parts.ts';
import type { Routine, SystemParts } from './parts.ts';
import type { RoutineName } from './routine-names.ts';
import { Reg } from './state.ts';

/** Attributes of a segment in virtual-8086 mode: present, DPL 3, writable data, accessed. */
export const VM86_ATTR = 0xf3;
const REAL_DATA_ATTR = 0x93;

/** Loads any segment register in real or virtual-8086 mode. Real mode keeps limit and attributes ("unreal" mode relies on it). */
export function loadParagraph(parts: SystemParts, segment: number, selector: number): void {
  const state = parts.state;
  if (state.vm86) {
    state.setSegment(segment, selector, selector * 16, 0xffff, VM86_ATTR);
    return;
  }
  const attr = state.attr(segment);
  const usable = (attr & SegAttr.Unusable) === 0;
  state.setSegment(
    segment,
    selector,
    selector * 16,
    usable ? state.limit(segment) : 0xffff,
    usable ? attr : REAL_DATA_ATTR,
  );
}

/** Checks a descriptor for SS at privilege level `cpl`. `vector` is #GP or #TS; not present is #SS. */
export function checkStackSegment(parts: SystemParts, descriptor: Descriptor, cpl: number, vector: number): void {
  const error = descriptor.errorCode;
  if (descriptor.rpl !== cpl || !descriptor.writableData || descriptor.dpl !== cpl) {
    raiseError(parts.state, vector, error);
  }
  if (!descriptor.present) raiseError(parts.state, Vector.SS, error);
}

/** Checks a descriptor for DS, ES, FS or GS at the current privilege. `vector` is #GP or #TS; not present is #NP. */
export function checkDataSegment(parts: SystemParts, descriptor: Descriptor, cpl: number, vector: number): void {
  const error = descriptor.errorCode;
  if (!descriptor.readable) raiseError(parts.state, vector, error);
  if (!descriptor.conforming && (descriptor.rpl > descriptor.dpl || cpl > descriptor.dpl)) {
    raiseError(parts.state, vector, error);
  }
  if (!descriptor.present) raiseError(parts.state, Vector.NP, error);
}

/** Puts a checked descriptor into a segment register. */
export function commitSegment(parts: SystemParts, segment: number, descriptor: Descriptor, selector: number): void {
  const attr = markAccessed(parts, descriptor);
  parts.state.setSegment(segment, selector, descriptor.base, descriptor.limit, attr);
}

/** Makes a segment register null: its base and limit read as 0, as on Intel's processors. */
export function commitNull(parts: SystemParts, segment: number, selector: number): void {
  // DPL of a null SS in 64-bit mode follows its RPL
  parts.state.setSegment(segment, selector, 0, 0, SegAttr.Unusable | ((selector & 3) << SegAttr.DplShift));
}

/** MOV or POP to DS, ES, FS, GS or SS in the current mode. Does not bring the mode key up to date. */
export function loadSegment(parts: SystemParts, segment: number, selector: number): void {
  const state = parts.state;
  if (state.paragraphMode) return loadParagraph(parts, segment, selector);
  if (segment === Seg.SS) {
    if (isNull(selector)) {
      if (state.in64 && state.cpl < 3 && (selector & 3) === state.cpl) return commitNull(parts, segment, selector);
      raiseGp(state, 0);
    }
    const descriptor = readDescriptor(parts, selector, Vector.GP);
    checkStackSegment(parts, descriptor, state.cpl, Vector.GP);
    return commitSegment(parts, segment, descriptor, selector);
  }
  if (isNull(selector)) return commitNull(parts, segment, selector);
  const descriptor = readDescriptor(parts, selector, Vector.GP);
  checkDataSegment(parts, descriptor, state.cpl, Vector.GP);
  commitSegment(parts, segment, descriptor, selector);
}

/** Puts a checked code descriptor into CS and sets CPL. In 64-bit mode CS has base 0 (SDM vol. 1, 3.4.2.1). */
export function commitCode(parts: SystemParts, descriptor: Descriptor, cpl: number): void {
  const state = parts.state;
  const attr = markAccessed(parts, descriptor);
  const base = state.longModeActive && descriptor.long ? 0 : descriptor.base;
  state.setSegment(Seg.CS, (descriptor.selector & 0xfffc) | cpl, base, descriptor.limit, attr);
  state.set32(F.cpl, cpl);
}

/** After a return to an outer level: segments the new level may not use become null (SDM vol. 2, RET and IRET). */
export function dropPrivilegedSegments(parts: SystemParts, cpl: number): void {
  const state = parts.state;
  for (const segment of [Seg.ES, Seg.FS, Seg.GS, Seg.DS]) {
    const attr = state.attr(segment);
    if ((attr & SegAttr.Unusable) !== 0) {
      // A null selector with a base set by WRMSR keeps it; only its DPL is compared, and hardware drops it at DPL < CPL
      continue;
    }
    const conforming = (attr & (SegAttr.Code | SegAttr.DC)) === (SegAttr.Code | SegAttr.DC);
    if (!conforming && ((attr >>> SegAttr.DplShift) & 3) < cpl) commitNull(parts, segment, 0);
  }
}

/** Loads LDTR from a selector. `vector` is #GP for LLDT, #TS for a task switch. */
export function loadLdt(parts: SystemParts, selector: number, vector: number): void {
  const state = parts.state;
  if (isNull(selector)) {
    state.setSegment(Seg.LDTR, selector, 0, 0, SegAttr.Unusable);
    return;
  }
  if ((selector & 4) !== 0) raiseError(state, vector, selector & 0xfffc);
  const descriptor = readDescriptor(parts, selector, vector);
  if (!descriptor.system || descriptor.type !== SystemType.Ldt) raiseError(state, vector, descriptor.errorCode);
  if (!descriptor.present) raiseError(state, vector === Vector.TS ? vector : Vector.NP, descriptor.errorCode);
  if (state.longModeActive && !readUpper(parts, descriptor)) raiseError(state, vector, descriptor.errorCode);
  state.setSegment(Seg.LDTR, selector, descriptor.base, descriptor.limit, descriptor.attr);
}

export function segmentRoutines(parts: SystemParts): Partial<Record<RoutineName, Routine>> {
  const { state, access } = parts;

  /** Ends an instruction that loaded `segment`. */
  const loaded = (op: number, segment: number): number => {
    if (segment === Seg.FS || segment === Seg.GS) return Next.Sequential;
    if (!modeChanged(parts)) return Next.Sequential;
    state.rip = state.nextRip(op);
    return Next.Jump;
  };

  const farPointer = (segment: number) => (op: number) => {
    if (state.modrmIsRegister(op) || (state.in64 && (segment === Seg.ES || segment === Seg.DS))) raiseUd(state);
    const size = state.operandSize(op);
    const offset = access.readSized(access.operand(op, size, false), size, access.user);
    const offsetHigh = access.hi;
    const selector = access.read16(access.operand(op, 2, false, size), access.user);
    loadSegment(parts, segment, selector);
    state.setRegSized(state.regField(op), size, offset, offsetHigh);
    return loaded(op, segment);
  };

  return {
    mov_to_sreg(op) {
      const segment = (state.modrm(op) >> 3) & 7;
      if (segment === Seg.CS || segment > Seg.GS) raiseUd(state);
      const selector = state.modrmIsRegister(op)
        ? state.regLo(state.rmField(op)) & 0xffff
        : access.read16(access.operand(op, 2, false), access.user);
      loadSegment(parts, segment, selector);
      if (segment === Seg.SS) state.set32(F.shadow, Shadow.MovSs);
      return loaded(op, segment);
    },

    pop_sreg(op) {
      // 07 17 1F and 0F A1 A9: the opcode's bits 3-5 are the segment's number
      const segment = (state.u8[op + OP.bytes + 1] >> 3) & 7;
      if (state.in64 && segment < Seg.FS) raiseUd(state);
      const size = state.stackOperandSize(op);
      const width = state.stackWidth;
      const sp = state.regAddress(Reg.RSP);
      const offset = width === 8 ? sp : width === 4 ? sp >>> 0 : sp & 0xffff;
      // Only two bytes are used; the pointer moves by the operand size
      const selector = access.read16(access.linear(Seg.SS, offset, size, false), access.user);
      loadSegment(parts, segment, selector);
      const next = offset + size;
      if (width === 2) state.setReg16(Reg.RSP, next);
      else if (width === 4) state.setReg32(Reg.RSP, next);
      else state.setAddress(Reg.RSP * 8, next);
      if (segment === Seg.SS) state.set32(F.shadow, Shadow.MovSs);
      return loaded(op, segment);
    },

    les: farPointer(Seg.ES),
    lds: farPointer(Seg.DS),
    lss: farPointer(Seg.SS),
    lfs: farPointer(Seg.FS),
    lgs: farPointer(Seg.GS),
  };
}
