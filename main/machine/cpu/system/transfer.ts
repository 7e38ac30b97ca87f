// Far jumps, calls and returns (SDM vol. 2, JMP, CALL and RET; vol. 3, 5.8).

import { Next, Seg } from '../layout.ts';
import { SystemType, isNull, markAccessed, readDescriptor, readUpper } from './descriptor.ts';
import type { Descriptor } from './descriptor.ts';
import { Vector, raiseError, raiseGp, raiseUd } from './fault.ts';
import { modeChanged } from './parts.ts';
import type { Routine, SystemParts } from './parts.ts';
import type { RoutineName } from './routine-names.ts';
import {
  checkStackSegment,
  commitCode,
  commitNull,
  commitSegment,
  dropPrivilegedSegments,
  loadParagraph,
} from './segments.ts';
import { Stack, innerStack, innerStack64 } from './stack.ts';
import { isCanonical } from './state.ts';
import { switchTask } from './task.ts';

/** Checks the privilege of a direct jump or call to a code segment. */
function checkDirect(parts: SystemParts, target: Descriptor): void {
  const cpl = parts.state.cpl;
  const allowed = target.conforming ? target.dpl <= cpl : target.rpl <= cpl && target.dpl === cpl;
  if (!allowed) raiseGp(parts.state, target.errorCode);
  checkCodeWidth(parts, target);
  if (!target.present) raiseError(parts.state, Vector.NP, target.errorCode);
}

/** In long mode a code segment cannot have both L and D. */
export function checkCodeWidth(parts: SystemParts, target: Descriptor): void {
  if (parts.state.longModeActive && target.long && target.big) raiseGp(parts.state, target.errorCode);
}

/**
 * The instruction pointer for `offset` in a code segment: in long mode a segment that is not 64-bit takes its low 32 bits.
 * Raises #GP(0) if it is beyond the limit or, for 64-bit code, not canonical.
 */
export function checkTarget(parts: SystemParts, target: Descriptor, offset: number): number {
  const { state } = parts;
  if (state.longModeActive && target.long) {
    if (!isCanonical(offset)) raiseGp(state, 0);
    return offset;
  }
  const eip = offset >>> 0;
  if (eip > target.limit) raiseGp(state, 0);
  return eip;
}

function arrive(parts: SystemParts, offset: number): number {
  parts.state.rip = offset;
  modeChanged(parts);
  return Next.Jump;
}

function jumpParagraph(parts: SystemParts, selector: number, offset: number): number {
  const { state } = parts;
  if (offset > state.limit(Seg.CS)) raiseGp(state, 0);
  loadParagraph(parts, Seg.CS, selector);
  return arrive(parts, offset);
}

/**
 * Checks a call gate against CPL and RPL and reads the code descriptor it points to.
 * A jump cannot change the level, so a non-conforming target must then be at CPL.
 */
function throughGate(parts: SystemParts, gate: Descriptor, jump: boolean): Descriptor {
  const { state } = parts;
  if (gate.dpl < state.cpl || gate.rpl > gate.dpl) raiseGp(state, gate.errorCode);
  if (!gate.present) raiseError(state, Vector.NP, gate.errorCode);
  if (state.longModeActive && !readUpper(parts, gate)) raiseGp(state, gate.errorCode);
  if (isNull(gate.gateSelector)) raiseGp(state, 0);
  const target = readDescriptor(parts, gate.gateSelector, Vector.GP);
  if (!target.code || target.dpl > state.cpl) raiseGp(state, target.errorCode);
  if (state.longModeActive && (!target.long || target.big)) raiseGp(state, target.errorCode);
  if (jump && !target.conforming && target.dpl !== state.cpl) raiseGp(state, target.errorCode);
  if (!target.present) raiseError(state, Vector.NP, target.errorCode);
  return target;
}

function isCallGate(parts: SystemParts, descriptor: Descriptor): boolean {
  return (
    descriptor.type === SystemType.CallGate32 ||
    (descriptor.type === SystemType.CallGate16 && !parts.state.longModeActive)
  );
}

/** Checks a jump or call to a TSS or through a task gate and returns the TSS's descriptor. */
function taskTarget(parts: SystemParts, descriptor: Descriptor): Descriptor {
  const { state } = parts;
  if (state.longModeActive) raiseGp(state, descriptor.errorCode);
  if (descriptor.dpl < state.cpl || descriptor.rpl > descriptor.dpl) raiseGp(state, descriptor.errorCode);
  if (descriptor.type !== SystemType.TaskGate) {
    if (descriptor.type !== SystemType.Tss16 && descriptor.type !== SystemType.Tss32) {
      raiseGp(state, descriptor.errorCode);
    }
    if (!descriptor.present) raiseError(state, Vector.NP, descriptor.errorCode);
    return descriptor;
  }
  if (!descriptor.present) raiseError(state, Vector.NP, descriptor.errorCode);
  return gatedTask(parts, descriptor, Vector.GP);
}

/** The TSS that a task gate names. Raises #GP or #TS for a wrong one, #NP if it is not present. */
export function gatedTask(parts: SystemParts, gate: Descriptor, vector: number): Descriptor {
  const { state } = parts;
  const selector = gate.gateSelector;
  if ((selector & 4) !== 0) raiseError(state, vector, selector & 0xfffc);
  const tss = readDescriptor(parts, selector, vector);
  if (!tss.system || (tss.type !== SystemType.Tss16 && tss.type !== SystemType.Tss32)) {
    raiseError(state, vector, tss.errorCode);
  }
  if (!tss.present) raiseError(state, Vector.NP, tss.errorCode);
  return tss;
}

/** JMP ptr16:16, ptr16:32, m16:16, m16:32, m16:64. */
export function jumpFar(parts: SystemParts, selector: number, offset: number, nextRip: number): number {
  const { state } = parts;
  if (state.paragraphMode) return jumpParagraph(parts, selector, offset);
  if (isNull(selector)) raiseGp(state, 0);
  const descriptor = readDescriptor(parts, selector, Vector.GP);
  if (!descriptor.system) {
    if (!descriptor.code) raiseGp(state, descriptor.errorCode);
    checkDirect(parts, descriptor);
    const rip = checkTarget(parts, descriptor, offset);
    commitCode(parts, descriptor, state.cpl);
    return arrive(parts, rip);
  }
  if (isCallGate(parts, descriptor)) {
    const target = throughGate(parts, descriptor, true);
    const entry = checkTarget(parts, target, gateEntry(descriptor));
    commitCode(parts, target, state.cpl);
    return arrive(parts, entry);
  }
  switchTask(parts, taskTarget(parts, descriptor), 'jump', nextRip);
  return Next.Jump;
}

function gateEntry(gate: Descriptor): number {
  return gate.type === SystemType.CallGate16 ? gate.lo & 0xffff : gate.gateOffset;
}

/** CALL far, in the same forms. `size` is the operand size in bytes. */
export function callFar(parts: SystemParts, selector: number, offset: number, size: number, nextRip: number): number {
  const { state } = parts;
  if (state.paragraphMode) {
    if (offset > state.limit(Seg.CS)) raiseGp(state, 0);
    const stack = Stack.current(parts);
    stack.push(size, state.selector(Seg.CS));
    stack.pushAddress(size, nextRip);
    stack.commit();
    return jumpParagraph(parts, selector, offset);
  }
  if (isNull(selector)) raiseGp(state, 0);
  const descriptor = readDescriptor(parts, selector, Vector.GP);
  if (!descriptor.system) {
    if (!descriptor.code) raiseGp(state, descriptor.errorCode);
    checkDirect(parts, descriptor);
    return callSameLevel(parts, descriptor, offset, size, nextRip);
  }
  if (!isCallGate(parts, descriptor)) {
    switchTask(parts, taskTarget(parts, descriptor), 'call', nextRip);
    return Next.Jump;
  }
  const target = throughGate(parts, descriptor, false);
  const entry = gateEntry(descriptor);
  const gateSize = state.longModeActive ? 8 : descriptor.type === SystemType.CallGate16 ? 2 : 4;
  if (target.conforming || target.dpl === state.cpl) return callSameLevel(parts, target, entry, gateSize, nextRip);
  return callInner(parts, descriptor, target, entry, gateSize, nextRip);
}

function callSameLevel(parts: SystemParts, target: Descriptor, offset: number, size: number, nextRip: number): number {
  const { state } = parts;
  const rip = checkTarget(parts, target, offset);
  const stack = Stack.current(parts);
  stack.push(size, state.selector(Seg.CS));
  stack.pushAddress(size, nextRip);
  commitCode(parts, target, state.cpl);
  stack.commit();
  return arrive(parts, rip);
}

/** A call gate to a more privileged level: switches stacks and copies the parameters. */
function callInner(
  parts: SystemParts,
  gate: Descriptor,
  target: Descriptor,
  entry: number,
  size: number,
  nextRip: number,
): number {
  const { state } = parts;
  const level = target.dpl;
  const oldSelector = state.selector(Seg.SS);
  const old = Stack.current(parts);
  const oldSp = old.sp;
  let ss: Descriptor | null = null;
  let stack: Stack;
  if (state.longModeActive) {
    stack = Stack.flat64(parts, innerStack64(parts, level), level);
    stack.push(8, oldSelector);
    stack.pushAddress(8, oldSp);
  } else {
    const inner = innerStack(parts, level);
    if (isNull(inner.selector)) raiseError(state, Vector.TS, 0);
    ss = readDescriptor(parts, inner.selector, Vector.TS);
    checkStackSegment(parts, ss, level, Vector.TS);
    checkTarget(parts, target, entry);
    stack = Stack.switchedTo(parts, ss, inner.sp, level);
    stack.push(size, oldSelector);
    stack.pushAddress(size, oldSp);
    const parameters: number[] = [];
    for (let i = 0; i < gate.gateCount; i++) parameters.push(old.pop(size));
    for (let i = parameters.length - 1; i >= 0; i--) stack.push(size, parameters[i]);
  }
  checkTarget(parts, target, entry);
  stack.push(size, state.selector(Seg.CS));
  stack.pushAddress(size, nextRip);
  markAccessed(parts, target);
  if (ss === null) commitNull(parts, Seg.SS, level);
  else commitSegment(parts, Seg.SS, ss, ss.selector);
  commitCode(parts, target, level);
  stack.commit();
  return arrive(parts, entry);
}

/** Checks the code segment that RET or IRET goes to. */
export function checkReturnCode(parts: SystemParts, selector: number): Descriptor {
  const { state } = parts;
  if (isNull(selector)) raiseGp(state, 0);
  const target = readDescriptor(parts, selector, Vector.GP);
  const rpl = selector & 3;
  if (!target.code || rpl < state.cpl) raiseGp(state, target.errorCode);
  if (target.conforming ? target.dpl > rpl : target.dpl !== rpl) raiseGp(state, target.errorCode);
  checkCodeWidth(parts, target);
  if (!target.present) raiseError(state, Vector.NP, target.errorCode);
  return target;
}

/** Checks the stack segment popped by a return to an outer level; null if it is a null selector that 64-bit code may have. */
export function checkReturnStack(parts: SystemParts, selector: number, code: Descriptor): Descriptor | null {
  const { state } = parts;
  const cpl = code.rpl;
  if (isNull(selector)) {
    if (!(state.longModeActive && code.long) || cpl === 3 || (selector & 3) !== cpl) raiseGp(state, 0);
    return null;
  }
  const ss = readDescriptor(parts, selector, Vector.GP);
  checkStackSegment(parts, ss, cpl, Vector.GP);
  return ss;
}

/** Finishes a return to an outer level: stack, code, and the segments the outer level may not keep. */
export function commitOuter(
  parts: SystemParts,
  code: Descriptor,
  ss: Descriptor | null,
  ssSelector: number,
  sp: number,
): void {
  const { state } = parts;
  markAccessed(parts, code);
  if (ss === null) commitNull(parts, Seg.SS, ssSelector);
  else commitSegment(parts, Seg.SS, ss, ssSelector);
  commitCode(parts, code, code.rpl);
  if (state.longModeActive && code.long) state.setAddress(4 * 8, sp);
  else if (ss?.big === true) state.setReg32(4, sp);
  else state.setReg16(4, sp);
  dropPrivilegedSegments(parts, code.rpl);
}

/** RET far, releasing `release` bytes of parameters. */
export function returnFar(parts: SystemParts, size: number, release: number): number {
  const { state } = parts;
  const stack = Stack.current(parts);
  const offset = stack.popAddress(size);
  const selector = stack.pop(size) & 0xffff;
  if (state.paragraphMode) {
    if (offset > state.limit(Seg.CS)) raiseGp(state, 0);
    stack.release(release);
    stack.commit();
    loadParagraph(parts, Seg.CS, selector);
    return arrive(parts, offset);
  }
  const code = checkReturnCode(parts, selector);
  stack.release(release);
  if ((selector & 3) === state.cpl) {
    const rip = checkTarget(parts, code, offset);
    commitCode(parts, code, state.cpl);
    stack.commit();
    return arrive(parts, rip);
  }
  const sp = stack.popAddress(size);
  const ssSelector = stack.pop(size) & 0xffff;
  const ss = checkReturnStack(parts, ssSelector, code);
  const rip = checkTarget(parts, code, offset);
  const wide = state.longModeActive && code.long;
  commitOuter(parts, code, ss, ssSelector, wide ? sp + release : (sp + release) >>> 0);
  return arrive(parts, rip);
}

export function transferRoutines(parts: SystemParts): Partial<Record<RoutineName, Routine>> {
  const { state, access } = parts;

  const farOperand = (op: number, then: (selector: number, offset: number, size: number) => number): number => {
    if (state.modrmIsRegister(op)) raiseUd(state);
    const size = state.operandSize(op);
    const lo = access.readSized(access.operand(op, size, false), size, access.user);
    const offset = size === 8 ? (access.hi | 0) * 0x1_0000_0000 + lo : lo;
    const selector = access.read16(access.operand(op, 2, false, size), access.user);
    return then(selector, offset, size);
  };

  const immediateOffset = (op: number): number =>
    state.operandSize(op) === 2 ? state.immLo(op) & 0xffff : state.immLo(op);

  return {
    jmp_far_imm(op) {
      if (state.in64) raiseUd(state);
      return jumpFar(parts, state.immHi(op) & 0xffff, immediateOffset(op), state.nextRip(op));
    },
    call_far_imm(op) {
      if (state.in64) raiseUd(state);
      const size = state.operandSize(op);
      return callFar(parts, state.immHi(op) & 0xffff, immediateOffset(op), size, state.nextRip(op));
    },
    jmp_far_mem: (op) => farOperand(op, (selector, offset) => jumpFar(parts, selector, offset, state.nextRip(op))),
    call_far_mem: (op) =>
      farOperand(op, (selector, offset, size) => callFar(parts, selector, offset, size, state.nextRip(op))),
    ret_far: (op) => returnFar(parts, state.operandSize(op), 0),
    ret_far_imm: (op) => returnFar(parts, state.operandSize(op), state.immLo(op) & 0xffff),
    ud: () => raiseUd(state),
  };
}
