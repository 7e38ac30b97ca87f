// What a PV kernel registers: trap table, descriptor tables, stacks, callbacks, segment bases, debug registers.

import { Seg } from '../../machine/cpu/layout.ts';
import { Errno } from '../abi/errno.ts';
import { FIRST_RESERVED_GDT_ENTRY, VmAssist } from '../abi/constants.ts';
import { copyIn, NativeStruct, viewIn } from '../guest-memory.ts';
import { FrameType } from '../memory/frame-table.ts';
import { checkDescriptor } from '../memory/page-types.ts';
import { readDebug, setTaskSwitched, writeDebug } from '../pv/privileged-op.ts';
import { loadSegment } from '../pv/descriptors.ts';
import { iret32, iret64 } from '../pv/iret.ts';
import type { GuestVcpu } from '../vcpu.ts';
import { type Call, NO_RESULT, type Result, frameNumber, u32 } from './call.ts';
import { frameAddress } from '../memory/frames.ts';

/** A guest's code selector gets the kernel's ring (fixup_guest_code_selector). */
export function fixCodeSelector(is32: boolean, cs: number): number {
  return is32 ? (cs & 3 ? cs : cs | 1) : cs | 3;
}

export function setTrapTable(c: Call): Result {
  const pv = c.v.pv!;
  const table = c.args[0];
  if (table === 0n) {
    pv.trapAddress.fill(0n);
    pv.trapCs.fill(0);
    pv.trapFlags.fill(0);
    return 0;
  }
  const size = c.wide ? 16 : 8;
  for (let i = 0; i < 257; i++) {
    const bytes = copyIn(c.v, table + BigInt(i * size), size);
    if (!bytes) return -Errno.EFAULT;
    const entry = new NativeStruct(new DataView(bytes.buffer), c.wide);
    const address = entry.long(c.wide ? 8 : 4);
    if (address === 0n) break;
    setTrap(c.v, bytes[0], bytes[1], entry.view.getUint16(2, true), address);
  }
  return 0;
}

export function setTrap(v: GuestVcpu, vector: number, flags: number, cs: number, address: bigint): void {
  const pv = v.pv!;
  pv.trapFlags[vector] = flags;
  pv.trapCs[vector] = fixCodeSelector(v.domain.is32, cs);
  pv.trapAddress[vector] = address;
}

/** set_gdt(frame list, entries). */
export function setGdt(c: Call): Result {
  const entries = u32(c.args[1]);
  const pages = Math.ceil(entries / 512);
  if (entries > FIRST_RESERVED_GDT_ENTRY) return -Errno.EINVAL;
  const list = viewIn(c.v, c.args[0], pages * (c.wide ? 8 : 4));
  if (!list) return -Errno.EFAULT;
  const native = new NativeStruct(list, c.wide);
  const frames: number[] = [];
  for (let i = 0; i < pages; i++) frames.push(frameNumber(native.long(i * (c.wide ? 8 : 4))));
  return installGdt(c.v, frames, entries);
}

export function installGdt(v: GuestVcpu, frames: number[], entries: number): number {
  const { types } = v.domain.host;
  for (let i = 0; i < frames.length; i++) {
    const error = types.getPageAndType(frames[i], v.domain.domid, FrameType.SegDesc);
    if (error) {
      while (i-- > 0) types.putPageAndType(frames[i]);
      return error;
    }
  }
  const pv = v.pv!;
  pv.dropGdt();
  pv.gdtEntries = entries;
  frames.forEach((mfn, page) => {
    pv.gdtFrames.push(mfn);
    v.domain.pv!.mapPerDomain(v.id, page, mfn);
  });
  v.domain.host.flushIfNeeded();
  return 0;
}

/** update_descriptor(machine address, descriptor); 32-bit guests pass each as two words. */
export function updateDescriptor(c: Call): Result {
  const { frames, types } = c.host;
  const ma = c.wide ? c.args[0] : c.args[0] | (c.args[1] << 32n);
  const descriptor = c.wide ? c.args[1] : c.args[2] | (c.args[3] << 32n);
  if (ma & 7n) return -Errno.EINVAL;
  const mfn = frameNumber(ma >> 12n);
  const lo = u32(descriptor);
  const hi = checkDescriptor(lo, u32(descriptor >> 32n), c.d.is32);
  if (hi === null || !frames.getPage(mfn, c.d.domid)) return -Errno.EINVAL;
  const type =
    frames.type[mfn] === FrameType.SegDesc && frames.typeCount[mfn] > 0 ? FrameType.SegDesc : FrameType.Writable;
  const error = types.getType(mfn, type);
  if (!error) {
    const maddr = Number(ma);
    c.d.mem.noteWrite(maddr, 8);
    const at = (frameAddress(0) + maddr) >>> 2;
    c.d.mem.u32[at] = lo;
    c.d.mem.u32[at + 1] = hi;
    types.putType(mfn);
  }
  frames.putPage(mfn);
  return error ? -Errno.EINVAL : 0;
}

export function stackSwitch(c: Call): Result {
  const pv = c.v.pv!;
  const ss = u32(c.args[0]) & 0xffff;
  // A 64-bit guest's kernel stack may have any selector; a 32-bit one's is a ring 1 segment.
  pv.kernelSs = c.d.is32 ? (ss & ~3) | 1 : ss | 3;
  pv.kernelSp = c.args[1];
  return 0;
}

/** The old form: 64-bit (event, failsafe, syscall); 32-bit (event cs, event eip, failsafe cs, failsafe eip). */
export function setCallbacks(c: Call): Result {
  const pv = c.v.pv!;
  if (c.wide) {
    pv.event = { cs: 0xe033, address: c.args[0], maskEvents: true };
    pv.failsafe = { cs: 0xe033, address: c.args[1], maskEvents: false };
    pv.syscall = { cs: 0xe033, address: c.args[2], maskEvents: false };
  } else {
    pv.event = { cs: fixCodeSelector(true, u32(c.args[0])), address: c.args[1], maskEvents: true };
    pv.failsafe = { cs: fixCodeSelector(true, u32(c.args[2])), address: c.args[3], maskEvents: false };
  }
  return 0;
}

const CallbackType = { event: 0, failsafe: 1, syscall: 2, sysenterOld: 3, nmi: 4, sysenter: 5, syscall32: 7 } as const;

export function callbackOp(c: Call): Result {
  const command = u32(c.args[0]);
  const pv = c.v.pv!;
  const size = command === 0 ? (c.wide ? 16 : 12) : 4;
  if (command > 1) return -Errno.ENOSYS;
  const view = viewIn(c.v, c.args[1], size);
  if (!view) return -Errno.EFAULT;
  const type = view.getUint16(0, true);
  const flags = view.getUint16(2, true);
  if (command === 1) {
    // Events, failsafe, syscall and sysenter cannot be unregistered; the NMI callback can.
    if (type !== CallbackType.nmi) return type <= 7 ? -Errno.EINVAL : -Errno.ENOSYS;
    pv.nmi = { cs: 0, address: 0n, maskEvents: false };
    return 0;
  }
  const native = new NativeStruct(view, c.wide);
  const callback = {
    cs: c.wide ? 0xe033 : fixCodeSelector(true, view.getUint32(4, true) & 0xffff),
    address: native.long(8),
    maskEvents: (flags & 1) !== 0,
  };
  switch (type) {
    case CallbackType.event:
      pv.event = { ...callback, maskEvents: true };
      return 0;
    case CallbackType.failsafe:
      pv.failsafe = callback;
      return 0;
    case CallbackType.syscall:
      if (!c.wide) return -Errno.EINVAL;
      pv.syscall = callback;
      return 0;
    case CallbackType.syscall32:
      pv.syscall32 = callback;
      return 0;
    case CallbackType.sysenter:
    case CallbackType.sysenterOld:
      pv.sysenter = callback;
      return 0;
    case CallbackType.nmi:
      pv.nmi = callback;
      return 0;
    default:
      return -Errno.ENOSYS;
  }
}

export function nmiOp(c: Call): Result {
  const command = u32(c.args[0]);
  const pv = c.v.pv!;
  if (command === 0) {
    const view = viewIn(c.v, c.args[1], c.wide ? 16 : 8);
    if (!view) return -Errno.EFAULT;
    pv.nmi = { cs: c.wide ? 0xe033 : 0xe019, address: new NativeStruct(view, c.wide).long(0), maskEvents: true };
    return 0;
  }
  if (command === 1) {
    pv.nmi = { cs: 0, address: 0n, maskEvents: false };
    return 0;
  }
  return -Errno.ENOSYS;
}

/** set_segment_base(which, base): FS 0, user GS 1, kernel GS 2, user GS selector 3. */
export function setSegmentBase(c: Call): Result {
  const base = c.args[1];
  const { cpu } = c.v;
  const canonical = BigInt.asUintN(64, BigInt.asIntN(48, base)) === base;
  switch (u32(c.args[0])) {
    case 0:
      if (!canonical) return -Errno.EINVAL;
      cpu.setSegBase(Seg.FS, base);
      return 0;
    case 1:
      if (!canonical) return -Errno.EINVAL;
      c.v.pv!.gsBaseUser = base;
      return 0;
    case 2:
      if (!canonical) return -Errno.EINVAL;
      cpu.setSegBase(Seg.GS, base);
      return 0;
    case 3: {
      const kernel = cpu.segBase(Seg.GS);
      if (!loadSegment(c.v, Seg.GS, Number(base & 0xffffn))) loadSegment(c.v, Seg.GS, 0);
      c.v.pv!.gsBaseUser = cpu.segBase(Seg.GS);
      cpu.setSegBase(Seg.GS, kernel);
      return 0;
    }
    default:
      return -Errno.EINVAL;
  }
}

export function fpuTaskswitch(c: Call): Result {
  setTaskSwitched(c.v, u32(c.args[0]) !== 0);
  return 0;
}

export function setDebugreg(c: Call): Result {
  return writeDebug(c.v, u32(c.args[0]), c.args[1]) ? 0 : -Errno.EINVAL;
}

/** Returns the register's value; values that look like errors do not occur in DR6 and DR7. */
export function getDebugreg(c: Call): Result {
  const n = u32(c.args[0]);
  if (n > 7) return -Errno.EINVAL;
  const value = readDebug(c.v, n);
  c.v.cpu.setReg(0, c.wide ? value : value & 0xffff_ffffn);
  return NO_RESULT;
}

export function iret(c: Call): Result {
  // the return from an NMI lets the next one in, as Xen's async_exception_cleanup does
  c.v.pv!.nmiMasked = false;
  if (c.d.is32) iret32(c.v);
  else iret64(c.v);
  return NO_RESULT;
}

/** vm_assist(command, type). */
export function vmAssist(c: Call): Result {
  const type = u32(c.args[1]);
  const known = c.d.isPv
    ? [
        VmAssist.FourGbSegments,
        VmAssist.FourGbSegmentsNotify,
        VmAssist.WritablePageTables,
        VmAssist.PaeExtendedCr3,
        VmAssist.ArchitecturalIopl,
        VmAssist.RunstateUpdateFlag,
        VmAssist.M2pStrict,
      ]
    : [VmAssist.RunstateUpdateFlag];
  if (!(known as number[]).includes(type)) return -Errno.EINVAL;
  const bit = 1n << BigInt(type);
  switch (u32(c.args[0])) {
    case 0:
      c.d.vmAssist |= bit;
      return 0;
    case 1:
      c.d.vmAssist &= ~bit;
      return 0;
    default:
      return -Errno.ENOSYS;
  }
}
