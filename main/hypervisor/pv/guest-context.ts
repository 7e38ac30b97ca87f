// A PV vCPU's whole context as struct vcpu_guest_context describes it: VCPUOP_initialise by a guest's kernel, and a restored domain.

import { F, Seg } from '../../machine/cpu/layout.ts';
import { Errno } from '../abi/errno.ts';
import { Eflags, FIRST_RESERVED_GDT_ENTRY } from '../abi/constants.ts';
import { Reg } from '../cpu-view.ts';
import { NativeStruct, viewIn } from '../guest-memory.ts';
import { FrameType } from '../memory/frame-table.ts';
import { frameNumber, u32, type Call } from '../hypercalls/call.ts';
import { fixCodeSelector, installGdt, setTrap } from '../hypercalls/traps.ts';
import type { GuestVcpu } from '../vcpu.ts';
import { loadSegment } from './descriptors.ts';

export const Vgcf = {
  I387_VALID: 1,
  IN_KERNEL: 4,
  FAILSAFE_DISABLES_EVENTS: 8,
  SYSCALL_DISABLES_EVENTS: 16,
  ONLINE: 32,
} as const;

/** Offsets of the structure's parts, by width. */
export const CONTEXT_WIDE = {
  size: 5168,
  flags: 512,
  regs: 520,
  traps: 720,
  ldt: 4816,
  gdt: 4832,
  gdtEntries: 4960,
  kernelSs: 4968,
  ctrl: 4984,
  debug: 5048,
  callbacks: 5112,
};
export const CONTEXT_NARROW = {
  size: 2800,
  flags: 512,
  regs: 516,
  traps: 584,
  ldt: 2632,
  gdt: 2640,
  gdtEntries: 2704,
  kernelSs: 2708,
  ctrl: 2716,
  debug: 2748,
  callbacks: 2780,
};

/** Order of general registers in struct cpu_user_regs. */
export const REGS64 = [
  Reg.R15,
  Reg.R14,
  Reg.R13,
  Reg.R12,
  Reg.RBP,
  Reg.RBX,
  Reg.R11,
  Reg.R10,
  Reg.R9,
  Reg.R8,
  Reg.RAX,
  Reg.RCX,
  Reg.RDX,
  Reg.RSI,
  Reg.RDI,
];
export const REGS32 = [Reg.RBX, Reg.RCX, Reg.RDX, Reg.RSI, Reg.RDI, Reg.RBP, Reg.RAX];

/** VCPUOP_initialise: the context lies at `pointer` in the caller's memory. */
export function initialisePv(c: Call, v: GuestVcpu, pointer: bigint): number {
  const view = viewIn(c.v, pointer, (c.wide ? CONTEXT_WIDE : CONTEXT_NARROW).size);
  if (!view) return -Errno.EFAULT;
  const error = loadGuestContext(v, view);
  if (error) return error;
  v.setUpcallMask(1);
  v.initialised = true;
  return 0;
}

/**
 * Loads a context whose frame numbers are machine frames into a vCPU that has none.
 * @param view struct vcpu_guest_context in the layout of the domain's kind
 * @returns 0 or a negative errno; on error the vCPU holds no references
 */
export function loadGuestContext(v: GuestVcpu, view: DataView): number {
  const d = v.domain;
  const wide = !d.is32;
  const at = wide ? CONTEXT_WIDE : CONTEXT_NARROW;
  const s = new NativeStruct(view, wide);
  const long = wide ? 8 : 4;
  const pv = v.pv!;
  const { types } = d.host;
  const entries = u32(s.long(at.gdtEntries));
  if (entries > FIRST_RESERVED_GDT_ENTRY) return -Errno.EINVAL;

  const cr3 = s.long(at.ctrl + 3 * long);
  const base = wide ? frameNumber(cr3 >> 12n) : ((u32(cr3) >>> 12) | (u32(cr3) << 20)) >>> 0;
  const user = wide && s.long(at.ctrl + long) !== 0n ? frameNumber(s.long(at.ctrl + long) >> 12n) : -1;
  const error = types.getPageAndType(base, d.domid, d.is32 ? FrameType.L3 : FrameType.L4);
  if (error) return error;
  if (user >= 0) {
    const userError = types.getPageAndType(user, d.domid, FrameType.L4);
    if (userError) {
      types.putPageAndType(base);
      return userError;
    }
  }
  const frames: number[] = [];
  for (let i = 0; i < Math.ceil(entries / 512); i++) frames.push(frameNumber(s.long(at.gdt + i * long)));
  pv.reset();
  const gdtError = installGdt(v, frames, entries);
  if (gdtError) {
    types.putPageAndType(base);
    if (user >= 0) types.putPageAndType(user);
    return gdtError;
  }
  pv.guestTable = base;
  pv.guestTableUser = user;
  pv.ldtBase = s.long(at.ldt);
  pv.ldtEntries = Math.min(8192, u32(s.long(at.ldt + long)));
  pv.kernelSs = u32(s.long(at.kernelSs)) & 0xffff;
  pv.kernelSp = s.long(at.kernelSs + long);
  for (let i = 0; i < 256; i++) {
    const t = at.traps + i * (wide ? 16 : 8);
    const address = s.long(t + (wide ? 8 : 4));
    if (address) setTrap(v, view.getUint8(t), view.getUint8(t + 1), view.getUint16(t + 2, true), address);
  }
  const flags = u32(s.long(at.flags));
  const failsafeMask = (flags & Vgcf.FAILSAFE_DISABLES_EVENTS) !== 0;
  const syscallMask = (flags & Vgcf.SYSCALL_DISABLES_EVENTS) !== 0;
  if (wide) {
    const callback = (i: number, maskEvents: boolean) => ({
      cs: 0xe033,
      address: s.long(at.callbacks + i * 8),
      maskEvents,
    });
    pv.event = callback(0, true);
    pv.failsafe = callback(1, failsafeMask);
    pv.syscall = callback(2, syscallMask);
  } else {
    const callback = (i: number, maskEvents: boolean) => ({
      cs: fixCodeSelector(true, u32(s.long(at.callbacks + i * 8)) & 0xffff),
      address: s.long(at.callbacks + i * 8 + 4),
      maskEvents,
    });
    pv.event = callback(0, true);
    pv.failsafe = callback(1, failsafeMask);
  }
  loadRegisters(v, s, at.regs, wide);
  if (wide) {
    const bases = at.callbacks + 32;
    v.cpu.setSegBase(Seg.FS, s.long(bases));
    pv.gsBaseKernel = s.long(bases + 8);
    pv.gsBaseUser = s.long(bases + 16);
    pv.kernelMode64 = (flags & Vgcf.IN_KERNEL) !== 0;
    v.cpu.setSegBase(Seg.GS, pv.kernelMode64 ? pv.gsBaseKernel : pv.gsBaseUser);
  }
  pv.loadCr3();
  return 0;
}

function loadRegisters(v: GuestVcpu, s: NativeStruct, at: number, wide: boolean): void {
  const { cpu } = v;
  const view = s.view;
  const step = wide ? 8 : 4;
  (wide ? REGS64 : REGS32).forEach((reg, i) => cpu.setReg(reg, s.long(at + i * step)));
  const frame = at + (wide ? 128 : 32);
  cpu.rip = s.long(frame);
  const cs = view.getUint16(frame + step, true);
  const flags = u32(s.long(frame + 2 * step));
  cpu.setReg(Reg.RSP, s.long(frame + 3 * step));
  const selector = (i: number) => view.getUint16(frame + (4 + i) * step, true);
  // The I/O privilege level is virtual: a PV kernel never runs in ring 0 (arch_set_info_guest).
  v.pv!.iopl = (flags & Eflags.IOPL) >>> 12;
  cpu.rflags = (flags & ~(Eflags.IOPL | Eflags.VM | Eflags.NT)) | Eflags.IF | 2;
  loadSegment(v, Seg.CS, fixCodeSelector(v.domain.is32, cs));
  loadSegment(v, Seg.SS, wide ? selector(0) | 3 : selector(0) & 3 ? selector(0) : selector(0) | 1);
  const order = [Seg.ES, Seg.DS, Seg.FS, Seg.GS];
  order.forEach((seg, i) => {
    if (!loadSegment(v, seg, selector(i + 1))) loadSegment(v, seg, 0);
  });
  cpu.setU32(F.cpl, cpu.selector(Seg.CS) & 3);
}
