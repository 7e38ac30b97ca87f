// Port input and output: permission, intercepts, IN, OUT, INS and OUTS (SDM vol. 1, chapter 19).

import { Careful, F, Intercept, Next, OP, OpFlag, Seg, SegAttr } from '../layout.ts';
import { portBreakpoints } from './debug-registers.ts';
import { ExitCode, IoExit } from './exit.ts';
import { leave, raiseGp } from './fault.ts';
import { Access } from './paging.ts';
import type { Routine, SystemParts } from './parts.ts';
import type { RoutineName } from './routine-names.ts';
import { Eflags, Reg } from './state.ts';

/** Offset of the I/O map base in a 32- or 64-bit TSS. */
const IO_MAP_BASE = 102;

/** Raises #GP(0) unless the running code may use ports port .. port+size-1 (SDM vol. 1, 19.5.2). */
export function checkPort(parts: SystemParts, port: number, size: number): void {
  const { state, access } = parts;
  if (!state.protectedMode || (!state.vm86 && state.cpl <= state.iopl)) return;
  const attr = state.attr(Seg.TR);
  const limit = state.limit(Seg.TR);
  const tss32 = (attr & 8) !== 0 && (attr & SegAttr.Unusable) === 0;
  if (!tss32 || limit < IO_MAP_BASE + 1) raiseGp(state, 0);
  const wrap = (address: number) => (state.longModeActive ? address : address >>> 0);
  const map = access.read16(wrap(state.base(Seg.TR) + IO_MAP_BASE), false);
  const at = map + (port >>> 3);
  // The processor always reads two bytes of the map
  if (at + 1 > limit) raiseGp(state, 0);
  const bits = access.read16(wrap(state.base(Seg.TR) + at), false) >>> (port & 7);
  if ((bits & ((1 << size) - 1)) !== 0) raiseGp(state, 0);
}

export function portRoutines(parts: SystemParts): Partial<Record<RoutineName, Routine>> {
  const { state, access, ctx } = parts;

  const sizeOf = (op: number): number =>
    (state.u8[op + OP.bytes + 1] & 1) === 0 ? 1 : state.operandSize(op) === 2 ? 2 : 4;

  const check = (op: number, port: number, size: number, bits: number): void => {
    checkPort(parts, port, size);
    if ((state.get32(F.intercepts) & Intercept.Io) !== 0) {
      leave(state, ExitCode.Io, port, size, bits, state.u8[op + OP.length]);
    }
    if ((state.get32(F.careful) & Careful.Io) !== 0) access.debugTrap(portBreakpoints(state, port, size));
  };

  const input = (op: number, port: number): number => {
    const size = sizeOf(op);
    check(op, port, size, IoExit.In);
    const value = ctx.bus.ioRead(port, size);
    if (size === 4) state.setReg32(Reg.RAX, value);
    else if (size === 2) state.setReg16(Reg.RAX, value);
    else state.setReg8Low(Reg.RAX, value);
    return Next.Sequential;
  };

  const output = (op: number, port: number): number => {
    const size = sizeOf(op);
    check(op, port, size, 0);
    const value = state.regLo(Reg.RAX);
    ctx.bus.ioWrite(port, size, size === 4 ? value : size === 2 ? value & 0xffff : value & 0xff);
    return Next.Sequential;
  };

  const index = (register: number, width: number): number => {
    if (width === 8) return state.regAddress(register);
    const value = state.regLo(register);
    return width === 4 ? value : value & 0xffff;
  };

  const setIndex = (register: number, width: number, value: number): void => {
    if (width === 8) state.setAddress(register * 8, value);
    else state.setRegSized(register, width, value, 0);
  };

  /** INS and OUTS: as many elements as the page holds, then, with REP, the instruction again. */
  const string = (op: number, isInput: boolean): number => {
    const size = sizeOf(op);
    const width = state.addressSize(op);
    const rep = (state.u8[op + OP.flags] & (OpFlag.Rep | OpFlag.Repne)) !== 0;
    const count = rep ? index(Reg.RCX, width) : 1;
    if (count === 0) return Next.Sequential;
    const port = state.regLo(Reg.RDX) & 0xffff;
    check(op, port, size, IoExit.String | (isInput ? IoExit.In : 0) | (rep ? IoExit.Rep : 0));
    const register = isInput ? Reg.RDI : Reg.RSI;
    const segment = isInput ? Seg.ES : state.u8[op + OP.seg];
    const step = (state.eflags & Eflags.DF) !== 0 ? -size : size;
    const wrap = (value: number) => (width === 8 ? value : width === 4 ? value >>> 0 : value & 0xffff);
    let left = count;
    let offset = index(register, width);
    const page = Math.floor(access.linear(segment, offset, size, isInput) / 4096);
    let moved = 0;
    do {
      // Registers are written after every element: if the next one raises, they say where to go on
      const linear = access.linear(segment, offset, size, isInput);
      if (isInput) {
        access.probe(linear, size, Access.Write, access.user);
        access.writeSized(linear, size, ctx.bus.ioRead(port, size), 0, access.user);
      } else {
        ctx.bus.ioWrite(port, size, access.readSized(linear, size, access.user));
      }
      offset = wrap(offset + step);
      setIndex(register, width, offset);
      if (!rep) return Next.Sequential;
      left--;
      setIndex(Reg.RCX, width, left);
      moved++;
    } while (left !== 0 && moved < 4096 && samePage(segment, offset, page) && state.get32(F.pendingDebug) === 0);
    if (left === 0) return Next.Sequential;
    // F.rip is this instruction still: it runs again for the rest, and interrupts get their turn in between
    return Next.Jump;
  };

  /** Whether the next element is certain not to raise what the last did not. */
  const samePage = (segment: number, offset: number, page: number): boolean => {
    const base = state.in64 && segment < Seg.FS ? 0 : state.base(segment);
    const linear = state.in64 ? base + offset : (base + offset) >>> 0;
    return Math.floor(linear / 4096) === page;
  };

  return {
    in_imm: (op) => input(op, state.immLo(op) & 0xff),
    out_imm: (op) => output(op, state.immLo(op) & 0xff),
    in_dx: (op) => input(op, state.regLo(Reg.RDX) & 0xffff),
    out_dx: (op) => output(op, state.regLo(Reg.RDX) & 0xffff),
    ins: (op) => string(op, true),
    outs: (op) => string(op, false),
  };
}
