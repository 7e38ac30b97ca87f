// Bounce frames: how the hypervisor enters a PV guest's kernel for an exception, an event or a system call.
// Source: Xen arch/x86/x86_64/entry.S and compat/entry.S (create_bounce_frame), behaviour and frame layout.

import { F, Seg } from '../../machine/cpu/layout.ts';
import { Eflags, Vector } from '../abi/constants.ts';
import { Reg } from '../cpu-view.ts';
import { copyOut } from '../guest-memory.ts';
import type { GuestVcpu } from '../vcpu.ts';
import type { Callback } from './pv-vcpu.ts';
import { loadSegment } from './descriptors.ts';

const TI_IF = 4;
const CLEARED_ON_ENTRY = Eflags.TF | Eflags.NT | Eflags.RF | Eflags.VM | Eflags.AC;

/** Delivers an exception through the guest's trap table. */
export function deliverTrap(v: GuestVcpu, vector: number, errorCode: number | null): void {
  const pv = v.pv!;
  v.domain.counters.injected++;
  if (pv.trapAddress[vector] === 0n && (!v.domain.is32 || pv.trapCs[vector] === 0)) {
    v.domain.crash(
      `vCPU ${v.id} took exception ${vector}${errorCode === null ? '' : ` (error code 0x${errorCode.toString(16)})`} at 0x${v.cpu.rip.toString(16)}, for which its kernel has registered no handler` +
        (vector === Vector.PF ? `; the address was 0x${v.cpu.u64(F.cr2).toString(16)}` : ''),
    );
    return;
  }
  enter(v, pv.trapCs[vector], pv.trapAddress[vector], errorCode, (pv.trapFlags[vector] & TI_IF) !== 0);
}

/** A page fault: the address goes to vcpu_info.arch.cr2, the error code's user bit tells kernel from user. */
export function deliverPageFault(v: GuestVcpu, lo: number, hi: number, errorCode: number): void {
  const view = v.domain.mem.view;
  v.noteInfoWrite();
  if (v.domain.shinfo32) view.setUint32(v.info + 8, lo, true);
  else {
    view.setUint32(v.info + 16, lo, true);
    view.setUint32(v.info + 20, hi, true);
  }
  const code = v.pv!.kernelMode ? errorCode & ~4 : errorCode | 4;
  deliverTrap(v, Vector.PF, code);
}

/** Enters the guest at one of its registered callbacks. */
export function deliverCallback(v: GuestVcpu, callback: Callback, maskEvents: boolean): void {
  enter(v, callback.cs, callback.address, null, maskEvents);
}

function enter(v: GuestVcpu, cs: number, address: bigint, errorCode: number | null, maskEvents: boolean): void {
  if (v.domain.is32) enter32(v, cs, Number(address & 0xffff_ffffn), errorCode, maskEvents);
  else enter64(v, address, errorCode, maskEvents);
}

function enter64(v: GuestVcpu, address: bigint, errorCode: number | null, maskEvents: boolean): void {
  const { cpu } = v;
  const pv = v.pv!;
  let cs = cpu.selector(Seg.CS);
  const ss = cpu.selector(Seg.SS);
  const oldRsp = cpu.rsp;
  let stack: bigint;
  if (pv.kernelMode64) {
    stack = oldRsp;
    cs &= ~3; // tells the guest that it was in its kernel
  } else {
    if (!pv.toggleMode()) return v.domain.crash('the guest has no kernel page table to return to');
    stack = pv.kernelSp;
  }
  stack &= ~0xfn;
  const words = errorCode === null ? 7 : 8;
  const frame = new BigUint64Array(words);
  const masked = v.upcallMasked;
  let flags = cpu.rflags & ~(Eflags.IF | Eflags.IOPL);
  if (!masked) flags |= Eflags.IF;
  let i = 0;
  frame[i++] = cpu.reg(Reg.RCX);
  frame[i++] = cpu.reg(Reg.R11);
  if (errorCode !== null) frame[i++] = BigInt(errorCode);
  frame[i++] = cpu.rip;
  frame[i++] = BigInt(cs) | (masked ? 1n << 32n : 0n);
  frame[i++] = BigInt(flags);
  frame[i++] = oldRsp;
  frame[i] = BigInt(ss);
  stack -= BigInt(words * 8);
  if (!copyOut(v, stack, new Uint8Array(frame.buffer)))
    return v.domain.crash(
      `vCPU ${v.id}: the kernel stack at 0x${stack.toString(16)} cannot be written while an exception is delivered`,
    );
  if (maskEvents) v.setUpcallMask(1);
  cpu.rflags = cpu.rflags & ~CLEARED_ON_ENTRY;
  cpu.rsp = stack;
  cpu.rip = address;
  if (cpu.selector(Seg.CS) !== 0xe033) loadSegment(v, Seg.CS, 0xe033);
  if (cpu.selector(Seg.SS) !== 0xe02b) loadSegment(v, Seg.SS, 0xe02b);
  cpu.setU32(F.cpl, 3);
}

function enter32(v: GuestVcpu, cs: number, address: number, errorCode: number | null, maskEvents: boolean): void {
  const { cpu } = v;
  const pv = v.pv!;
  const oldCs = cpu.selector(Seg.CS);
  const oldSs = cpu.selector(Seg.SS);
  const oldEsp = cpu.regLo(Reg.RSP);
  const fromKernel = (oldCs & 3) === 1;
  const masked = v.upcallMasked;
  let flags = cpu.rflags & ~(Eflags.IF | Eflags.IOPL);
  if (!masked) flags |= Eflags.IF;
  const words: number[] = [];
  if (errorCode !== null) words.push(errorCode);
  words.push(cpu.regLoRip, oldCs | (masked ? 1 << 16 : 0), flags);
  if (!fromKernel) words.push(oldEsp, oldSs);
  let esp = fromKernel ? oldEsp : Number(pv.kernelSp & 0xffff_ffffn);
  esp = (esp - words.length * 4) >>> 0;
  if (!fromKernel && !loadSegment(v, Seg.SS, pv.kernelSs))
    return v.domain.crash(`the guest's kernel stack segment 0x${pv.kernelSs.toString(16)} cannot be loaded`);
  // Flat stacks are the rule; a base other than 0 is honoured.
  const linear = (BigInt(esp) + cpu.segBase(Seg.SS)) & 0xffff_ffffn;
  if (!copyOut(v, linear, new Uint8Array(new Uint32Array(words).buffer)))
    return v.domain.crash(
      `vCPU ${v.id}: the kernel stack at 0x${esp.toString(16)} cannot be written while an exception is delivered`,
    );
  if (maskEvents) v.setUpcallMask(1);
  cpu.rflags = cpu.rflags & ~CLEARED_ON_ENTRY;
  if (!loadSegment(v, Seg.CS, (cs & ~3) | 1))
    return v.domain.crash(`the handler's code segment 0x${cs.toString(16)} cannot be loaded`);
  cpu.setReg32(Reg.RSP, esp);
  cpu.rip = BigInt(address);
  cpu.setU32(F.cpl, 1);
}
