// HYPERVISOR_iret: a PV kernel's return from an exception (Xen arch/x86/pv/iret.c).

import { F, Seg } from '../../machine/cpu/layout.ts';
import { Eflags } from '../abi/constants.ts';
import { Reg } from '../cpu-view.ts';
import { viewIn } from '../guest-memory.ts';
import type { GuestVcpu } from '../vcpu.ts';
import { deliverCallback } from './bounce.ts';
import { loadSegment } from './descriptors.ts';

const VGCF_IN_SYSCALL = 1 << 8;

/** Restores the frame on the guest's stack. The registers, RAX included, are the frame's afterwards. */
export function iret64(v: GuestVcpu): void {
  const { cpu } = v;
  const frame = viewIn(v, cpu.rsp, 72);
  if (!frame)
    return v.domain.crash(`vCPU ${v.id}: HYPERVISOR_iret with an unreadable frame at 0x${cpu.rsp.toString(16)}`);
  const at = (i: number) => frame.getBigUint64(i * 8, true);
  const cs = Number(at(5) & 0xffffn);
  const ss = Number(at(8) & 0xffffn);
  const rflags = Number(at(6) & 0xffff_ffffn);
  if ((cs & 3) === 3 && !v.pv!.toggleMode())
    return v.domain.crash('HYPERVISOR_iret to user mode without a user page table');
  cpu.setReg(Reg.RAX, at(0));
  cpu.rip = at(4);
  cpu.rsp = at(7);
  cpu.rflags = (rflags & ~(Eflags.IOPL | Eflags.VM | Eflags.NT | Eflags.VIF | Eflags.VIP)) | Eflags.IF | 2;
  if (Number(at(3) & 0xffff_ffffn) & VGCF_IN_SYSCALL) {
    cpu.setReg(Reg.RCX, at(4));
    cpu.setReg(Reg.R11, BigInt(cpu.rflags));
  } else {
    cpu.setReg(Reg.R11, at(1));
    cpu.setReg(Reg.RCX, at(2));
  }
  v.setUpcallMask(rflags & Eflags.IF ? 0 : 1);
  // In 64-bit mode a return checks SS less strictly than a load: 0xe02b stands for what cannot be loaded.
  const csOk = loadSegment(v, Seg.CS, cs | 3);
  const ssOk = loadSegment(v, Seg.SS, ss | 3) || ((ss & ~3) === 0 && loadSegment(v, Seg.SS, 0xe02b));
  cpu.setU32(F.cpl, 3);
  if (!csOk || !ssOk) failsafe(v);
}

/** The 32-bit form: eax, eip, cs, eflags and, for an outer return, esp and ss. */
export function iret32(v: GuestVcpu): void {
  const { cpu } = v;
  const esp = cpu.regLo(Reg.RSP);
  const stack = (offset: number) => (cpu.segBase(Seg.SS) + BigInt(esp + offset)) & 0xffff_ffffn;
  const frame = viewIn(v, stack(0), 16);
  if (!frame) return v.domain.crash(`vCPU ${v.id}: HYPERVISOR_iret with an unreadable frame at 0x${esp.toString(16)}`);
  const cs = frame.getUint32(8, true) & 0xffff;
  const eflags = frame.getUint32(12, true);
  if (eflags & Eflags.VM)
    return v.domain.crash('HYPERVISOR_iret to virtual-8086 mode, which paravirtual guests do not have here');
  if ((cs & 3) < 1) return v.domain.crash(`HYPERVISOR_iret to ring 0 (code segment 0x${cs.toString(16)})`);
  let newEsp = (esp + 16) >>> 0;
  let ss = cpu.selector(Seg.SS);
  if ((cs & 3) === 3) {
    const outer = viewIn(v, stack(16), 8);
    if (!outer) return v.domain.crash('HYPERVISOR_iret with an unreadable outer stack pointer');
    newEsp = outer.getUint32(0, true);
    ss = outer.getUint32(4, true) & 0xffff;
  }
  cpu.setReg32(Reg.RAX, frame.getUint32(0, true));
  cpu.rip = BigInt(frame.getUint32(4, true));
  cpu.setReg32(Reg.RSP, newEsp);
  cpu.rflags = (eflags & ~(Eflags.IOPL | Eflags.NT | Eflags.VIF | Eflags.VIP)) | Eflags.IF | 2;
  v.setUpcallMask(eflags & Eflags.IF ? 0 : 1);
  const ok = loadSegment(v, Seg.CS, cs) && loadSegment(v, Seg.SS, ss);
  cpu.setU32(F.cpl, cs & 3);
  if (!ok) failsafe(v);
  // A return to an outer ring drops data segments that it may not use (SDM vol. 2, IRET).
  if ((cs & 3) === 3)
    for (const seg of [Seg.ES, Seg.DS, Seg.FS, Seg.GS])
      if (!loadSegment(v, seg, cpu.selector(seg))) loadSegment(v, seg, 0);
}

/** A return that cannot be completed goes to the failsafe callback (callback.h). */
function failsafe(v: GuestVcpu): void {
  const callback = v.pv!.failsafe;
  if (callback.address === 0n)
    return v.domain.crash('HYPERVISOR_iret with segments that cannot be loaded, and no failsafe callback');
  deliverCallback(v, callback, callback.maskEvents);
}
