// Hardware task switching (SDM vol. 3, 7.3): 16- and 32-bit TSSs, by JMP, CALL, IRET, and task gates in the IDT.
// Faults up to step "load task register" happen in the old task; what fails later is raised in the context of the new one.

import { Careful, F, Intercept, Seg, SegAttr } from '../layout.ts';
import { Dr6, Dr7 } from './debug-registers.ts';
import { SystemType, isNull, readDescriptor, wrapSystem } from './descriptor.ts';
import type { Descriptor } from './descriptor.ts';
import { DescriptorExit, ExitCode } from './exit.ts';
import { Vector, leave, raiseError } from './fault.ts';
import { Access } from './paging.ts';
import { modeChanged } from './parts.ts';
import type { SystemParts } from './parts.ts';
import {
  VM86_ATTR,
  checkDataSegment,
  checkStackSegment,
  commitCode,
  commitNull,
  commitSegment,
  loadLdt,
} from './segments.ts';
import { ARITHMETIC_FLAGS, Cr0, Cr4, Eflags } from './state.ts';

export type TaskReason = 'jump' | 'call' | 'return' | 'gate';

/** Offsets in the TSS (SDM vol. 3, figures 7-2 and 7-10). */
const TSS32 = { cr3: 28, eip: 32, eflags: 36, registers: 40, segments: 72, ldt: 96, trap: 100, minLimit: 103 };
const TSS16 = { ip: 14, flags: 16, registers: 18, segments: 34, ldt: 42, minLimit: 43 };
const TSS_SEGMENTS = [Seg.ES, Seg.CS, Seg.SS, Seg.DS, Seg.FS, Seg.GS];

const ALL_FLAGS =
  ARITHMETIC_FLAGS |
  Eflags.TF |
  Eflags.IF |
  Eflags.DF |
  Eflags.IOPL |
  Eflags.NT |
  Eflags.RF |
  Eflags.VM |
  Eflags.AC |
  Eflags.VIF |
  Eflags.VIP |
  Eflags.ID;

/** Changes the busy bit of a TSS descriptor in its table. */
function setBusy(parts: SystemParts, selector: number, busy: boolean): void {
  const at = wrapSystem(parts, parts.state.getAddress(F.gdtBase) + (selector & 0xfff8) + 5);
  const type = parts.access.read8(at, false);
  parts.access.write8(at, busy ? type | 2 : type & ~2, false);
}

/**
 * Switches to the task of an available (for 'return': busy) TSS descriptor that the caller has checked.
 * `nextRip` is what the old task continues at. Leaves F.rip at the new task's first instruction.
 */
export function switchTask(parts: SystemParts, tss: Descriptor, reason: TaskReason, nextRip: number): void {
  const { state, access, ctx } = parts;
  if ((state.get32(F.intercepts) & Intercept.DescriptorTable) !== 0) {
    leave(state, ExitCode.DescriptorTable, DescriptorExit.TaskSwitch, tss.selector);
  }
  const wide = (tss.type & 8) !== 0;
  if (tss.limit < (wide ? TSS32.minLimit : TSS16.minLimit)) raiseError(state, Vector.TS, tss.errorCode);
  const oldSelector = state.selector(Seg.TR);
  const oldBase = state.base(Seg.TR);
  const oldWide = (state.attr(Seg.TR) & 8) !== 0;
  const newBase = tss.base;
  // Every page that is touched before the point of no return
  access.probe(oldBase >>> 0, oldWide ? 104 : 44, Access.Write, false);
  access.probe(newBase >>> 0, wide ? 104 : 44, reason === 'jump' ? Access.Read : Access.Write, false);

  const incoming = wide ? readTask32(parts, newBase) : readTask16(parts, newBase);

  if (reason === 'jump' || reason === 'return') setBusy(parts, oldSelector, false);
  let flags = ctx.readEflags();
  if (reason === 'return') flags &= ~Eflags.NT;
  if (oldWide) saveTask32(parts, oldBase, nextRip, flags);
  else saveTask16(parts, oldBase, nextRip, flags);
  if (reason === 'call' || reason === 'gate') {
    access.write16(newBase >>> 0, oldSelector, false);
    incoming.flags |= Eflags.NT;
  }
  if (reason !== 'return') setBusy(parts, tss.selector, true);

  state.setSegment(Seg.TR, tss.selector, newBase, tss.limit, tss.attr | 2);
  state.set32(F.cr0, state.get32(F.cr0) | Cr0.TS);
  if (wide && (state.get32(F.cr0) & Cr0.PG) !== 0) {
    state.set64(F.cr3, incoming.cr3, 0);
    ctx.flushTlb(false);
    const pae = (state.get32(F.cr4) & Cr4.PAE) !== 0;
    if (pae && !parts.walker.latchPdptes(incoming.cr3)) raiseError(state, Vector.TS, tss.errorCode);
  }
  state.set64(F.dr + 7 * 8, state.get32(F.dr + 7 * 8) & ~(Dr7.LocalEnables | Dr7.ExactLocal), 0);
  // The T flag traps before the new task's first instruction (SDM vol. 3, 18.3.1.5)
  if (incoming.trap) state.set32(F.pendingDebug, state.get32(F.pendingDebug) | Dr6.BT);
  state.rip = incoming.rip;
  ctx.writeEflags(incoming.flags, ALL_FLAGS);
  for (let i = 0; i < 8; i++) state.setReg32(i, incoming.registers[i]);
  try {
    loadTaskSegments(parts, incoming);
  } finally {
    modeChanged(parts);
    const resume = (incoming.flags & Eflags.RF) !== 0 && (state.get32(F.careful) & Careful.Code) !== 0;
    if (incoming.trap || resume) ctx.boundary?.();
  }
}

interface IncomingTask {
  cr3: number;
  rip: number;
  flags: number;
  trap: boolean;
  registers: number[];
  selectors: number[];
  ldt: number;
}

function readTask32(parts: SystemParts, base: number): IncomingTask {
  const at = (offset: number) => parts.access.read32((base + offset) >>> 0, false);
  return {
    cr3: at(TSS32.cr3),
    rip: at(TSS32.eip),
    flags: at(TSS32.eflags),
    trap: (at(TSS32.trap) & 1) !== 0,
    registers: Array.from({ length: 8 }, (_, i) => at(TSS32.registers + 4 * i)),
    selectors: Array.from({ length: 6 }, (_, i) => at(TSS32.segments + 4 * i) & 0xffff),
    ldt: at(TSS32.ldt) & 0xffff,
  };
}

function readTask16(parts: SystemParts, base: number): IncomingTask {
  const at = (offset: number) => parts.access.read16((base + offset) >>> 0, false);
  return {
    cr3: 0,
    rip: at(TSS16.ip),
    flags: at(TSS16.flags),
    trap: false,
    registers: Array.from({ length: 8 }, (_, i) => (0xffff_0000 | at(TSS16.registers + 2 * i)) >>> 0),
    selectors: [...Array.from({ length: 4 }, (_, i) => at(TSS16.segments + 2 * i)), 0, 0],
    ldt: at(TSS16.ldt),
  };
}

function saveTask32(parts: SystemParts, base: number, rip: number, flags: number): void {
  const { state, access } = parts;
  const put = (offset: number, value: number) => access.write32((base + offset) >>> 0, value, false);
  put(TSS32.eip, rip >>> 0);
  put(TSS32.eflags, flags);
  for (let i = 0; i < 8; i++) put(TSS32.registers + 4 * i, state.regLo(i));
  for (let i = 0; i < 6; i++) access.write16((base + TSS32.segments + 4 * i) >>> 0, state.selector(i), false);
}

function saveTask16(parts: SystemParts, base: number, rip: number, flags: number): void {
  const { state, access } = parts;
  const put = (offset: number, value: number) => access.write16((base + offset) >>> 0, value, false);
  put(TSS16.ip, rip & 0xffff);
  put(TSS16.flags, flags & 0xffff);
  for (let i = 0; i < 8; i++) put(TSS16.registers + 2 * i, state.regLo(i) & 0xffff);
  for (let i = 0; i < 4; i++) put(TSS16.segments + 2 * i, state.selector(i));
}

/** Loads LDTR and the six segments in the new task; every fault is #TS, #NP or #SS there. */
function loadTaskSegments(parts: SystemParts, task: IncomingTask): void {
  const { state } = parts;
  // Selectors first: a fault must show the new task's
  TSS_SEGMENTS.forEach((segment, i) => {
    state.setSegment(segment, task.selectors[i], 0, 0, SegAttr.Unusable);
  });
  loadLdt(parts, task.ldt, Vector.TS);
  if ((task.flags & Eflags.VM) !== 0) {
    for (const segment of TSS_SEGMENTS) {
      const selector = task.selectors[segment];
      state.setSegment(segment, selector, selector * 16, 0xffff, VM86_ATTR);
    }
    state.set32(F.cpl, 3);
    return;
  }
  const csSelector = task.selectors[Seg.CS];
  const cpl = csSelector & 3;
  state.set32(F.cpl, cpl);
  if (isNull(csSelector)) raiseError(state, Vector.TS, 0);
  const cs = readDescriptor(parts, csSelector, Vector.TS);
  if (!cs.code || (cs.conforming ? cs.dpl > cpl : cs.dpl !== cpl)) raiseError(state, Vector.TS, cs.errorCode);
  if (!cs.present) raiseError(state, Vector.NP, cs.errorCode);
  const ssSelector = task.selectors[Seg.SS];
  if (isNull(ssSelector)) raiseError(state, Vector.TS, 0);
  const ss = readDescriptor(parts, ssSelector, Vector.TS);
  checkStackSegment(parts, ss, cpl, Vector.TS);
  commitSegment(parts, Seg.SS, ss, ssSelector);
  commitCode(parts, cs, cpl);
  for (const segment of [Seg.ES, Seg.DS, Seg.FS, Seg.GS]) {
    const selector = task.selectors[segment];
    if (isNull(selector)) {
      commitNull(parts, segment, selector);
      continue;
    }
    const descriptor = readDescriptor(parts, selector, Vector.TS);
    checkDataSegment(parts, descriptor, cpl, Vector.TS);
    commitSegment(parts, segment, descriptor, selector);
  }
  if (task.rip > state.limit(Seg.CS)) raiseError(state, Vector.GP, 0);
}

/** IRET with NT set: back to the task in the current TSS's link field. */
export function returnFromTask(parts: SystemParts, nextRip: number): void {
  const { state, access } = parts;
  const selector = access.read16(state.base(Seg.TR) >>> 0, false);
  if ((selector & 4) !== 0 || isNull(selector)) raiseError(state, Vector.TS, selector & 0xfffc);
  const tss = readDescriptor(parts, selector, Vector.TS);
  if (!tss.system || (tss.type !== SystemType.Tss16Busy && tss.type !== SystemType.Tss32Busy)) {
    raiseError(state, Vector.TS, tss.errorCode);
  }
  if (!tss.present) raiseError(state, Vector.NP, tss.errorCode);
  switchTask(parts, tss, 'return', nextRip);
}
