// mmu_update and update_va_mapping: PV guests change their page tables and the machine-to-phys table.

import { Errno } from '../abi/errno.ts';
import { DOMID_SELF } from '../abi/constants.ts';
import { copyIn, writeU32 } from '../guest-memory.ts';
import { FrameType } from '../memory/frame-table.ts';
import { updateEntry } from '../memory/page-table-update.ts';
import { findL1Entry } from '../pv/walk.ts';
import { type Call, type Result, u32 } from './call.ts';
import { frameAddress } from '../memory/frames.ts';

const NORMAL = 0;
const MACHPHYS = 1;
const PRESERVE_AD = 2;

/** mmu_update(requests, count, done, foreign domain). Stops at the first error. */
export function mmuUpdate(c: Call): Result {
  const [requests, countArg, done, foreign] = c.args;
  const count = u32(countArg) & 0x7fff_ffff;
  const self = u32(foreign) & 0xffff;
  if (self !== DOMID_SELF && self !== c.d.domid) return -Errno.EPERM;
  if (u32(foreign) >>> 16) return -Errno.EPERM;
  if (count > 65536) return -Errno.EINVAL;
  const bytes = copyIn(c.v, requests, count * 16);
  let completed = 0;
  let error = bytes ? 0 : -Errno.EFAULT;
  if (bytes) {
    const view = new DataView(bytes.buffer);
    for (; completed < count; completed++) {
      const at = completed * 16;
      const ptrHi = view.getUint32(at + 4, true);
      error =
        ptrHi !== 0
          ? -Errno.EINVAL
          : one(c, view.getUint32(at, true), view.getUint32(at + 8, true), view.getUint32(at + 12, true));
      if (error) break;
    }
  }
  c.host.flushIfNeeded();
  if (done && !writeU32(c.v, done, completed)) return -Errno.EFAULT;
  return error;
}

function one(c: Call, ptr: number, lo: number, hi: number): number {
  const { frames, types } = c.host;
  const command = ptr & 3;
  const mfn = ptr >>> 12;
  if (command === MACHPHYS) {
    if (!frames.getPage(mfn, c.d.domid)) return -Errno.EINVAL;
    c.host.m2p.set(mfn, lo);
    frames.putPage(mfn);
    return 0;
  }
  if (command !== NORMAL && command !== PRESERVE_AD) return -Errno.ENOSYS;
  if (!frames.getPage(mfn, c.d.domid)) return -Errno.EINVAL;
  const maddr = (ptr & ~7) >>> 0;
  const type = frames.type[mfn];
  let error: number;
  if (frames.typeCount[mfn] > 0 && type >= FrameType.L1 && type <= FrameType.L2Xen && type !== FrameType.SegDesc) {
    // Hold the type, so that the table cannot stop being one because of this very update.
    error = types.getType(mfn, type);
    if (!error) {
      error = updateEntry(types, type, maddr, lo, hi, c.d, command === PRESERVE_AD);
      types.putType(mfn);
    }
  } else {
    // Not a table (yet): an ordinary write to a page that may be written.
    error = types.getType(mfn, FrameType.Writable);
    if (!error) {
      const at = (frameAddress(0) + maddr) >>> 2;
      c.d.mem.noteWrite(maddr, 8);
      c.d.mem.u32[at] = lo;
      c.d.mem.u32[at + 1] = hi;
      types.putType(mfn);
    }
  }
  frames.putPage(mfn);
  return error;
}

const UVMF_FLUSH_MASK = 3;
const UVMF_TLB_FLUSH = 1;
const UVMF_INVLPG = 2;

/** update_va_mapping: 64-bit (va, value, flags); 32-bit (va, value low, value high, flags). */
export function updateVaMapping(c: Call): Result {
  const va = c.args[0];
  const lo = u32(c.args[1]);
  const hi = c.wide ? u32(c.args[1] >> 32n) : u32(c.args[2]);
  const flags = u32(c.wide ? c.args[2] : c.args[3]);
  return updateVa(c, va, lo, hi, flags);
}

export function updateVaMappingOtherDomain(c: Call): Result {
  const domid = u32(c.wide ? c.args[3] : c.args[4]) & 0xffff;
  if (domid !== DOMID_SELF && domid !== c.d.domid) return -Errno.EPERM;
  return updateVaMapping(c);
}

function updateVa(c: Call, va: bigint, lo: number, hi: number, flags: number): number {
  const { frames, types, core } = c.host;
  const vaLo = u32(va);
  const vaHi = u32(va >> 32n);
  const entry = findL1Entry(c.v, vaLo, vaHi);
  if (entry < 0) return -Errno.EINVAL;
  const table = entry >>> 12;
  if (frames.owner[table] !== c.d.domid || frames.type[table] !== FrameType.L1 || frames.typeCount[table] === 0)
    return -Errno.EINVAL;
  const error = updateEntry(types, FrameType.L1, entry, lo, hi, c.d, false);
  switch (flags & UVMF_FLUSH_MASK) {
    case UVMF_TLB_FLUSH:
      frames.flushNeeded = true;
      break;
    case UVMF_INVLPG:
      core.tlb.invlpg(vaLo, vaHi);
      break;
  }
  c.host.flushIfNeeded();
  return error;
}
