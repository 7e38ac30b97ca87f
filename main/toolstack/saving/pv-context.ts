// A PV vCPU's state in the stream: struct vcpu_guest_context (X86_PV_VCPU_BASIC) and the rest of its callbacks
// (X86_PV_VCPU_EXTENDED: struct xen_domctl_ext_vcpucontext). Frame numbers in it are guest frames on the way and machine frames on a host.
// Source: public/arch-x86/xen.h, public/domctl.h; which fields are translated: libxenguest, sr_save_x86_pv.c and sr_restore_x86_pv.c.

import { F, Seg } from '../../machine/cpu/layout.ts';
import { Cr0 } from '../../hypervisor/abi/constants.ts';
import { Reg } from '../../hypervisor/cpu-view.ts';
import { NativeStruct } from '../../hypervisor/guest-memory.ts';
import {
  CONTEXT_NARROW,
  CONTEXT_WIDE,
  loadGuestContext,
  REGS32,
  REGS64,
  Vgcf,
} from '../../hypervisor/pv/guest-context.ts';
import { readDebug, setTaskSwitched, writeDebug } from '../../hypervisor/pv/privileged-op.ts';
import type { GuestVcpu } from '../../hypervisor/vcpu.ts';
import { readFxsave, writeFxsave } from './fxsave.ts';

const EXTENDED_BYTES = 64;

const layoutOf = (is32: boolean) => (is32 ? CONTEXT_NARROW : CONTEXT_WIDE);
/** Where the saved frame of the interrupted code begins in user_regs: RIP, CS, RFLAGS, RSP, SS, ES, DS, FS, GS. */
const frameAt = (is32: boolean) => layoutOf(is32).regs + (is32 ? 32 : 128);

/** CR3 as a PV guest writes it: 32-bit guests fold frame numbers above 20 bits into the low ones. */
function cr3Of(is32: boolean, frame: number): bigint {
  return is32 ? BigInt(((frame << 12) | (frame >>> 20)) >>> 0) : BigInt(frame) << 12n;
}
function cr3Frame(is32: boolean, cr3: bigint): number {
  if (is32) {
    const low = Number(cr3 & 0xffff_ffffn);
    return ((low >>> 12) | (low << 20)) >>> 0;
  }
  return cr3 >> 12n > 0xffff_ffffn ? -1 : Number(cr3 >> 12n);
}

/**
 * The context with guest frames in it.
 * @param toPfn guest frame of a machine frame, or -1
 * @param startInfo this vCPU suspended its domain: its EDX names start_info's machine frame
 */
export function saveContext(v: GuestVcpu, toPfn: (mfn: number) => number, startInfo: boolean): Uint8Array {
  const { is32 } = v.domain;
  const at = layoutOf(is32);
  const long = is32 ? 4 : 8;
  const pv = v.pv!;
  const { cpu } = v;
  const view = new DataView(new ArrayBuffer(at.size));
  const s = new NativeStruct(view, !is32);
  writeFxsave(cpu, view, 0);
  let flags = Vgcf.I387_VALID;
  if (v.online) flags |= Vgcf.ONLINE;
  if (pv.kernelMode) flags |= Vgcf.IN_KERNEL;
  if (pv.failsafe.maskEvents) flags |= Vgcf.FAILSAFE_DISABLES_EVENTS;
  if (pv.syscall.maskEvents) flags |= Vgcf.SYSCALL_DISABLES_EVENTS;
  s.setLong(at.flags, BigInt(flags));
  (is32 ? REGS32 : REGS64).forEach((reg, i) => s.setLong(at.regs + i * long, cpu.reg(reg)));
  if (startInfo) {
    const pfn = toPfn(cpu.regLo(Reg.RDX));
    setStartInfoFrame(view, is32, pfn);
  }
  const frame = frameAt(is32);
  s.setLong(frame, cpu.rip);
  view.setUint16(frame + long, cpu.selector(Seg.CS), true);
  view.setUint8(frame + long + (is32 ? 2 : 4), v.upcallMasked ? 1 : 0);
  s.setLong(frame + 2 * long, BigInt(cpu.rflags | (pv.iopl << 12)));
  s.setLong(frame + 3 * long, cpu.rsp);
  [Seg.SS, Seg.ES, Seg.DS, Seg.FS, Seg.GS].forEach((seg, i) =>
    view.setUint16(frame + (4 + i) * long, cpu.selector(seg), true),
  );
  for (let i = 0; i < 256; i++) {
    const trap = at.traps + i * (is32 ? 8 : 16);
    view.setUint8(trap, i);
    view.setUint8(trap + 1, pv.trapFlags[i]!);
    view.setUint16(trap + 2, pv.trapCs[i]!, true);
    s.setLong(trap + (is32 ? 4 : 8), pv.trapAddress[i]!);
  }
  s.setLong(at.ldt, pv.ldtBase);
  s.setLong(at.ldt + long, BigInt(pv.ldtEntries));
  pv.gdtFrames.forEach((mfn, i) => s.setLong(at.gdt + i * long, BigInt(toPfn(mfn))));
  s.setLong(at.gdtEntries, BigInt(pv.gdtEntries));
  s.setLong(at.kernelSs, BigInt(pv.kernelSs));
  s.setLong(at.kernelSs + long, pv.kernelSp);
  s.setLong(at.ctrl, BigInt((pv.cr0 | (cpu.u32(F.cr0) & Cr0.TS)) >>> 0));
  // A user page table is marked with bit 0, so that guest frame 0 differs from none.
  if (!is32 && pv.guestTableUser >= 0) s.setLong(at.ctrl + long, 1n | cr3Of(false, toPfn(pv.guestTableUser)));
  if (pv.guestTable >= 0) s.setLong(at.ctrl + 3 * long, cr3Of(is32, toPfn(pv.guestTable)));
  s.setLong(at.ctrl + 4 * long, BigInt(pv.cr4));
  for (let i = 0; i < 8; i++) s.setLong(at.debug + i * long, i === 4 || i === 5 ? 0n : readDebug(v, i));
  if (is32) {
    [pv.event, pv.failsafe].forEach((c, i) => {
      s.setLong(at.callbacks + i * 8, BigInt(c.cs));
      s.setLong(at.callbacks + i * 8 + 4, c.address);
    });
    s.setLong(at.callbacks + 16, v.domain.vmAssist);
  } else {
    [pv.event, pv.failsafe, pv.syscall].forEach((c, i) => s.setLong(at.callbacks + i * 8, c.address));
    s.setLong(at.callbacks + 24, v.domain.vmAssist);
    s.setLong(at.callbacks + 32, cpu.segBase(Seg.FS));
    const gs = cpu.segBase(Seg.GS);
    s.setLong(at.callbacks + 40, pv.kernelMode64 ? gs : pv.gsBaseKernel);
    s.setLong(at.callbacks + 48, pv.kernelMode64 ? pv.gsBaseUser : gs);
  }
  return new Uint8Array(view.buffer);
}

/** Bytes a context of this kind must have. */
export const contextBytes = (is32: boolean): number => layoutOf(is32).size;

/** What EDX of the vCPU that suspended names: start_info's frame, if it is a frame number at all. */
export function startInfoFrame(view: DataView, is32: boolean): number {
  const at = layoutOf(is32).regs + (is32 ? REGS32.indexOf(Reg.RDX) * 4 : REGS64.indexOf(Reg.RDX) * 8);
  return view.getUint32(at, true);
}
export function setStartInfoFrame(view: DataView, is32: boolean, frame: number): void {
  const at = layoutOf(is32).regs + (is32 ? REGS32.indexOf(Reg.RDX) * 4 : REGS64.indexOf(Reg.RDX) * 8);
  view.setUint32(at, frame >>> 0, true);
  if (!is32) view.setUint32(at + 4, 0, true);
}

/**
 * Loads a context from the stream into a fresh vCPU.
 * @param toMfn machine frame of a guest frame, or -1
 * @returns a sentence's rest about what is wrong with it, or null
 */
export function restoreContext(v: GuestVcpu, context: Uint8Array, toMfn: (pfn: number) => number): string | null {
  const { is32 } = v.domain;
  const at = layoutOf(is32);
  const long = is32 ? 4 : 8;
  if (context.length !== at.size) return `it has ${context.length} bytes where ${at.size} belong`;
  const view = new DataView(context.slice().buffer);
  const s = new NativeStruct(view, !is32);
  const flags = Number(s.long(at.flags) & 0xffff_ffffn);
  const entries = Number(s.long(at.gdtEntries));
  for (let i = 0; i < Math.min(16, Math.ceil(entries / 512)); i++) {
    const mfn = toMfn(Number(s.long(at.gdt + i * long)));
    if (mfn < 0) return `its descriptor table lies in frame ${s.long(at.gdt + i * long)}, which is not in the stream`;
    s.setLong(at.gdt + i * long, BigInt(mfn));
  }
  const root = toMfn(cr3Frame(is32, s.long(at.ctrl + 3 * long)));
  if (root < 0) return 'its page tables are not in the stream';
  s.setLong(at.ctrl + 3 * long, cr3Of(is32, root));
  const user = s.long(at.ctrl + long);
  if (!is32 && user & 1n) {
    const mfn = toMfn(cr3Frame(false, user));
    if (mfn < 0) return 'its user page tables are not in the stream';
    s.setLong(at.ctrl + long, cr3Of(false, mfn));
  }
  const error = loadGuestContext(v, view);
  if (error) return `the hypervisor refuses it with error ${-error}`;
  const pv = v.pv!;
  if (flags & Vgcf.I387_VALID) readFxsave(v.cpu, view, 0);
  pv.iopl = Number((s.long(frameAt(is32) + 2 * long) >> 12n) & 3n);
  setTaskSwitched(v, (s.long(at.ctrl) & BigInt(Cr0.TS)) !== 0n);
  if (pv.ldtEntries) v.cpu.setSegment(Seg.LDTR, 0xe040, pv.ldtArea, pv.ldtEntries * 8 - 1, 0x82);
  for (const i of [0, 1, 2, 3, 6, 7]) writeDebug(v, i, s.long(at.debug + i * long));
  if (v.id === 0) v.domain.vmAssist = s.long(at.callbacks + (is32 ? 16 : 24));
  v.initialised = true;
  return null;
}

/** Whether the context says that its vCPU was online. */
export function wasOnline(context: Uint8Array, is32: boolean): boolean {
  const view = new DataView(context.buffer, context.byteOffset);
  return (view.getUint32(layoutOf(is32).flags, true) & Vgcf.ONLINE) !== 0;
}

export function saveExtended(v: GuestVcpu): Uint8Array {
  const view = new DataView(new ArrayBuffer(EXTENDED_BYTES));
  const pv = v.pv!;
  view.setUint32(0, v.id, true);
  view.setUint32(4, EXTENDED_BYTES, true);
  view.setBigUint64(8, pv.syscall32.address, true);
  view.setBigUint64(16, pv.sysenter.address, true);
  view.setUint16(24, pv.syscall32.cs, true);
  view.setUint16(26, pv.sysenter.cs, true);
  view.setUint8(28, pv.syscall32.maskEvents ? 1 : 0);
  view.setUint8(29, pv.sysenter.maskEvents ? 1 : 0);
  return new Uint8Array(view.buffer);
}

export function restoreExtended(v: GuestVcpu, bytes: Uint8Array): string | null {
  if (bytes.length < 30) return 'it is too short';
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const pv = v.pv!;
  const callback = (cs: number, address: bigint, masks: number) => ({
    cs: cs ? cs | (v.domain.is32 ? 1 : 3) : cs,
    address,
    maskEvents: masks !== 0,
  });
  pv.syscall32 = callback(view.getUint16(24, true), view.getBigUint64(8, true), view.getUint8(28));
  pv.sysenter = callback(view.getUint16(26, true), view.getBigUint64(16, true), view.getUint8(29));
  return null;
}
