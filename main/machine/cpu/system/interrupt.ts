// Delivery of one exception or interrupt through the IVT or IDT (SDM vol. 3, 6.12 and 6.14; vol. 2, INT n).
// Invariant: enterHandler() either ends in the handler with everything pushed, or raises with the state as it was
// (a task gate's later faults excepted, which belong to the new task).

import { Careful, F, Seg } from '../layout.ts';
import { Descriptor, SystemType, isNull, markAccessed, readDescriptor, wrapSystem } from './descriptor.ts';
import { Vector, raiseError, raiseGp } from './fault.ts';
import { modeChanged } from './parts.ts';
import type { SystemParts } from './parts.ts';
import { checkStackSegment, commitCode, commitNull, commitSegment, loadParagraph } from './segments.ts';
import { Stack, endWait, innerStack, innerStack64 } from './stack.ts';
import { Eflags, Reg } from './state.ts';
import { switchTask } from './task.ts';
import { checkCodeWidth, checkTarget, gatedTask } from './transfer.ts';

export interface Entry {
  vector: number;
  hasError: boolean;
  error: number;
  /** INT n, INT3 and INTO: the gate's DPL is checked. */
  software: boolean;
  /** Where the handler's IRET goes. */
  returnRip: number;
  /** Set RF in the pushed flags: the instruction will be restarted. */
  setResume: boolean;
}

/** Enters the handler of an event by the rules of the current mode. */
export function enterHandler(parts: SystemParts, entry: Entry): void {
  const { state } = parts;
  if (!state.protectedMode) enterReal(parts, entry);
  else if (state.longModeActive) enterLong(parts, entry);
  else enterProtected(parts, entry);
  endWait(parts);
  modeChanged(parts);
}

function pushedFlags(parts: SystemParts, entry: Entry): number {
  const flags = parts.ctx.readEflags();
  if (entry.setResume) return flags | Eflags.RF;
  // Where instructions are watched the run loop keeps RF true; elsewhere nothing has cleared it since the last IRET
  return (parts.state.get32(F.careful) & Careful.Code) !== 0 && !entry.software ? flags : flags & ~Eflags.RF;
}

function enterReal(parts: SystemParts, entry: Entry): void {
  const { state, access, ctx } = parts;
  const offset = entry.vector * 4;
  if (offset + 3 > state.get32(F.idtLimit)) raiseGp(state, 0);
  const base = state.getAddress(F.idtBase);
  const vector = access.read32((base + offset) >>> 0, false);
  const stack = Stack.current(parts);
  stack.push(2, ctx.readEflags());
  stack.push(2, state.selector(Seg.CS));
  stack.pushAddress(2, entry.returnRip);
  if ((vector & 0xffff) > state.limit(Seg.CS)) raiseGp(state, 0);
  stack.commit();
  ctx.writeEflags(0, Eflags.IF | Eflags.TF | Eflags.AC | Eflags.RF);
  loadParagraph(parts, Seg.CS, vector >>> 16);
  state.rip = vector & 0xffff;
}

/** Reads and checks the gate of a vector in an IDT with entries of `bytes` bytes. */
function readGate(parts: SystemParts, entry: Entry, bytes: number): Descriptor {
  const { state, access } = parts;
  const error = entry.vector * 8 + 2;
  const offset = entry.vector * bytes;
  if (offset + bytes - 1 > state.get32(F.idtLimit)) raiseGp(state, error);
  const address = wrapSystem(parts, state.getAddress(F.idtBase) + offset);
  const lo = access.read32(address, false);
  const hi = access.read32(wrapSystem(parts, address + 4), false);
  const gate = new Descriptor(0, lo, hi, address);
  const type = gate.type;
  const wide = type === SystemType.InterruptGate32 || type === SystemType.TrapGate32;
  const narrow = type === SystemType.TaskGate || type === SystemType.InterruptGate16 || type === SystemType.TrapGate16;
  if (!gate.system || !(wide || (narrow && bytes === 8))) raiseGp(state, error);
  if (entry.software && gate.dpl < state.cpl) raiseGp(state, error);
  if (!gate.present) raiseError(state, Vector.NP, error);
  if (bytes === 16) gate.upper = access.read32(address + 8, false);
  return gate;
}

/** The code segment of a gate, checked; returns it and the handler's privilege level. */
function handlerCode(parts: SystemParts, gate: Descriptor): { code: Descriptor; level: number } {
  const { state } = parts;
  if (isNull(gate.gateSelector)) raiseGp(state, 0);
  const code = readDescriptor(parts, gate.gateSelector, Vector.GP);
  if (!code.code || code.dpl > state.cpl) raiseGp(state, code.errorCode);
  if (state.longModeActive && !code.long) raiseGp(state, code.errorCode);
  checkCodeWidth(parts, code);
  if (!code.present) raiseError(state, Vector.NP, code.errorCode);
  return { code, level: code.conforming ? state.cpl : code.dpl };
}

/** Flags on entry: IF off through an interrupt gate; TF, NT, RF and VM always off. */
function maskFlags(parts: SystemParts, gate: Descriptor): void {
  const interruptGate = (gate.type & 1) === 0;
  parts.ctx.writeEflags(0, Eflags.TF | Eflags.NT | Eflags.RF | Eflags.VM | (interruptGate ? Eflags.IF : 0));
}

function enterProtected(parts: SystemParts, entry: Entry): void {
  const { state } = parts;
  const gate = readGate(parts, entry, 8);
  if (gate.type === SystemType.TaskGate) return enterTask(parts, gate, entry);
  const { code, level } = handlerCode(parts, gate);
  const size = (gate.type & 8) !== 0 ? 4 : 2;
  const offset = size === 4 ? gate.gateOffset : gate.lo & 0xffff;
  const flags = pushedFlags(parts, entry);
  const vm86 = state.vm86;
  if (vm86 && level !== 0) raiseGp(state, code.errorCode);
  let stack: Stack;
  let ss: Descriptor | null = null;
  if (level < state.cpl) {
    const inner = innerStack(parts, level);
    if (isNull(inner.selector)) raiseError(state, Vector.TS, 0);
    ss = readDescriptor(parts, inner.selector, Vector.TS);
    checkStackSegment(parts, ss, level, Vector.TS);
    checkTarget(parts, code, offset);
    stack = Stack.switchedTo(parts, ss, inner.sp, level);
    if (vm86) {
      for (const segment of [Seg.GS, Seg.FS, Seg.DS, Seg.ES]) stack.push(size, state.selector(segment));
    }
    stack.push(size, state.selector(Seg.SS));
    stack.push(size, state.regLo(Reg.RSP));
  } else {
    checkTarget(parts, code, offset);
    stack = Stack.current(parts);
  }
  stack.push(size, flags);
  stack.push(size, state.selector(Seg.CS));
  stack.pushAddress(size, entry.returnRip);
  if (entry.hasError) stack.push(size, entry.error);
  markAccessed(parts, code);
  if (ss !== null) commitSegment(parts, Seg.SS, ss, ss.selector);
  maskFlags(parts, gate);
  commitCode(parts, code, level);
  stack.commit();
  if (vm86) {
    for (const segment of [Seg.GS, Seg.FS, Seg.DS, Seg.ES]) commitNull(parts, segment, 0);
  }
  state.rip = offset;
}

function enterTask(parts: SystemParts, gate: Descriptor, entry: Entry): void {
  const { state } = parts;
  const tss = gatedTask(parts, gate, Vector.GP);
  switchTask(parts, tss, 'gate', entry.returnRip);
  if (entry.hasError) {
    const stack = Stack.current(parts);
    stack.push((state.attr(Seg.TR) & 8) !== 0 ? 4 : 2, entry.error);
    stack.commit();
  }
}

function enterLong(parts: SystemParts, entry: Entry): void {
  const { state } = parts;
  const gate = readGate(parts, entry, 16);
  const { code, level } = handlerCode(parts, gate);
  const offset = gate.gateOffset;
  // IST index: bits 2:0 of byte 4
  const ist = gate.hi & 7;
  const outer = level < state.cpl;
  let sp: number;
  if (ist !== 0) sp = innerStack64(parts, ist + 3);
  else if (outer) sp = innerStack64(parts, level);
  else sp = state.in64 ? state.regAddress(Reg.RSP) : state.regLo(Reg.RSP);
  checkTarget(parts, code, offset);
  // The frame starts at a multiple of 16 (SDM vol. 3, 6.14.2)
  const aligned = sp - (((sp % 16) + 16) % 16);
  const stack = Stack.flat64(parts, aligned, level);
  stack.push(8, state.selector(Seg.SS));
  stack.push(8, state.regLo(Reg.RSP), state.regHi(Reg.RSP));
  stack.push(8, pushedFlags(parts, entry));
  stack.push(8, state.selector(Seg.CS));
  stack.pushAddress(8, entry.returnRip);
  if (entry.hasError) stack.push(8, entry.error);
  markAccessed(parts, code);
  maskFlags(parts, gate);
  if (outer) commitNull(parts, Seg.SS, level);
  commitCode(parts, code, level);
  state.setAddress(Reg.RSP * 8, stack.sp);
  state.rip = offset;
}
