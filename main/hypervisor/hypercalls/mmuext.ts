// mmuext_op: pins, page-table bases, TLB flushes, LDTs, page clears and copies.

import { PAGE } from '../../machine/cpu/layout.ts';
import { Errno } from '../abi/errno.ts';
import { Seg } from '../../machine/cpu/layout.ts';
import { DOMID_SELF } from '../abi/constants.ts';
import { addressAllowed, copyIn, NativeStruct, writeU32 } from '../guest-memory.ts';
import { FrameFlag, FrameType } from '../memory/frame-table.ts';
import type { GuestVcpu } from '../vcpu.ts';
import { type Call, type Result, frameNumber, u32 } from './call.ts';
import { clearFrame } from '../memory/frames.ts';

const Op = {
  PIN_L1: 0,
  PIN_L4: 3,
  UNPIN: 4,
  NEW_BASEPTR: 5,
  TLB_FLUSH_LOCAL: 6,
  INVLPG_LOCAL: 7,
  TLB_FLUSH_MULTI: 8,
  INVLPG_MULTI: 9,
  TLB_FLUSH_ALL: 10,
  INVLPG_ALL: 11,
  FLUSH_CACHE: 12,
  SET_LDT: 13,
  NEW_USER_BASEPTR: 15,
  CLEAR_PAGE: 16,
  COPY_PAGE: 17,
  FLUSH_CACHE_GLOBAL: 18,
} as const;

/** mmuext_op(operations, count, done, foreign domain). */
export function mmuextOp(c: Call): Result {
  const [ops, countArg, done, foreign] = c.args;
  const count = u32(countArg) & 0x7fff_ffff;
  const domid = u32(foreign) & 0xffff;
  if (domid !== DOMID_SELF && domid !== c.d.domid) return -Errno.EPERM;
  if (count > 65536) return -Errno.EINVAL;
  const size = c.wide ? 24 : 12;
  const bytes = copyIn(c.v, ops, count * size);
  let completed = 0;
  let error = bytes ? 0 : -Errno.EFAULT;
  if (bytes)
    for (; completed < count; completed++) {
      const op = new NativeStruct(new DataView(bytes.buffer, completed * size, size), c.wide);
      error = one(c, op.view.getUint32(0, true), op.long(c.wide ? 8 : 4), op.long(c.wide ? 16 : 8));
      if (error) break;
    }
  c.host.flushIfNeeded();
  if (done && !writeU32(c.v, done, completed)) return -Errno.EFAULT;
  return error;
}

function one(c: Call, command: number, arg1: bigint, arg2: bigint): number {
  const { frames, types, core } = c.host;
  const mfn = frameNumber(arg1);
  switch (command) {
    case Op.PIN_L1:
    case 1:
    case 2:
    case Op.PIN_L4: {
      const type = command + 1;
      if (type === FrameType.L4 && c.d.is32) return -Errno.EINVAL;
      if (frames.valid(mfn) && frames.flags[mfn] & FrameFlag.Pinned) return -Errno.EINVAL;
      const error = types.getPageAndType(mfn, c.d.domid, type);
      if (error) return error;
      frames.flags[mfn] |= FrameFlag.Pinned;
      // the pin belongs to what a copy of the domain holds of the page: dirty, as in Xen
      c.d.mem.noteWrite(mfn * PAGE, PAGE);
      return 0;
    }
    case Op.UNPIN:
      if (!frames.valid(mfn) || frames.owner[mfn] !== c.d.domid || (frames.flags[mfn] & FrameFlag.Pinned) === 0)
        return -Errno.EINVAL;
      frames.flags[mfn] &= ~FrameFlag.Pinned;
      c.d.mem.noteWrite(mfn * PAGE, PAGE);
      types.putPageAndType(mfn);
      return 0;
    case Op.NEW_BASEPTR:
      return newBasePointer(c.v, mfn);
    case Op.NEW_USER_BASEPTR:
      return newUserBasePointer(c.v, mfn);
    case Op.TLB_FLUSH_LOCAL:
    case Op.TLB_FLUSH_MULTI:
    case Op.TLB_FLUSH_ALL:
      // Other vCPUs start from an empty TLB whenever they are loaded.
      core.tlb.flush(true);
      frames.flushNeeded = false;
      return 0;
    case Op.INVLPG_LOCAL:
    case Op.INVLPG_MULTI:
    case Op.INVLPG_ALL:
      if (addressAllowed(c.v, arg1, 1)) core.tlb.invlpg(u32(arg1), u32(arg1 >> 32n));
      return 0;
    case Op.FLUSH_CACHE:
    case Op.FLUSH_CACHE_GLOBAL:
      // Only domains with I/O memory have caches to flush; caches are coherent here, so that nothing is left to do.
      return 0;
    case Op.SET_LDT: {
      const entries = u32(arg2);
      if (arg1 & 0xfffn || entries > 8192 || !addressAllowed(c.v, arg1, entries * 8)) return -Errno.EINVAL;
      const pv = c.v.pv!;
      pv.unmapLdt();
      pv.ldtBase = arg1;
      pv.ldtEntries = entries;
      const { cpu } = c.v;
      if (entries) cpu.setSegment(Seg.LDTR, 0xe040, pv.ldtArea, entries * 8 - 1, 0x82);
      else cpu.setSegment(Seg.LDTR, 0, 0n, 0, 0x1_0000);
      return 0;
    }
    case Op.CLEAR_PAGE: {
      const error = types.getPageAndType(mfn, c.d.domid, FrameType.Writable);
      if (error) return error;
      clearFrame(c.d.mem, mfn);
      types.putPageAndType(mfn);
      return 0;
    }
    case Op.COPY_PAGE: {
      const source = frameNumber(arg2);
      if (!frames.getPage(source, c.d.domid)) return -Errno.EINVAL;
      const error = types.getPageAndType(mfn, c.d.domid, FrameType.Writable);
      if (!error) {
        c.d.mem.copyIn(mfn * PAGE, c.d.mem.copyOut(source * PAGE, PAGE));
        types.putPageAndType(mfn);
      }
      frames.putPage(source);
      return error;
    }
    default:
      return -Errno.ENOSYS;
  }
}

/** MMUEXT_NEW_BASEPTR and CR3 writes: 0 or a negative errno. */
export function newBasePointer(v: GuestVcpu, mfn: number): number {
  const { types, frames } = v.domain.host;
  const pv = v.pv!;
  if (mfn !== pv.guestTable) {
    const error = types.getPageAndType(mfn, v.domain.domid, v.domain.is32 ? FrameType.L3 : FrameType.L4);
    if (error) return error;
    const old = pv.guestTable;
    pv.guestTable = mfn;
    if (old >= 0) types.putPageAndType(old);
  }
  pv.loadCr3();
  // Another address space: global entries are its user pages, and go too (only kernel <-> user keeps them).
  frames.flushNeeded = true;
  return 0;
}

function newUserBasePointer(v: GuestVcpu, mfn: number): number {
  const { types } = v.domain.host;
  const pv = v.pv!;
  if (v.domain.is32) return -Errno.EOPNOTSUPP;
  if (mfn === pv.guestTableUser) return 0;
  if (mfn !== 0) {
    const error = types.getPageAndType(mfn, v.domain.domid, FrameType.L4);
    if (error) return error;
  }
  const old = pv.guestTableUser;
  pv.guestTableUser = mfn === 0 ? -1 : mfn;
  v.domain.host.frames.flushNeeded = true;
  if (old >= 0) types.putPageAndType(old);
  return 0;
}
