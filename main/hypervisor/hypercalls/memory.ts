// memory_op: a domain's reservation, its physical map, and what it may know of the machine's.

import { Errno } from '../abi/errno.ts';
import { COMPAT_M2P_VIRT_END, COMPAT_M2P_VIRT_START, DOMID_SELF, PAGE_SIZE } from '../abi/constants.ts';
import { copyOut, copyOutView, NativeStruct, viewIn, writeU32, writeU64 } from '../guest-memory.ts';
import { MAX_GFN } from '../hvm/p2m.ts';
import { FrameFlag } from '../memory/frame-table.ts';
import { INVALID_M2P } from '../memory/m2p.ts';
import type { Domain } from '../domain.ts';
import { type Call, type Result, frameNumber, u32 } from './call.ts';

const MAX_EXTENTS = 1 << 20;
const MAX_ORDER = 9;

/** memory_op(command, argument). */
export function memoryOp(c: Call): Result {
  const pointer = c.args[1];
  switch (u32(c.args[0]) & 0x3f) {
    case 0:
      return reservation(c, pointer, increase);
    case 1:
      return reservation(c, pointer, decrease);
    case 2:
      return c.host.frames.frames;
    case 3:
    case 4:
    case 14: {
      const view = viewIn(c.v, pointer, 2);
      if (!view) return -Errno.EFAULT;
      const domid = view.getUint16(0, true);
      if (domid !== DOMID_SELF && domid !== c.d.domid) return -Errno.EPERM;
      const command = u32(c.args[0]) & 0x3f;
      if (command === 3) return c.d.totalPages;
      if (command === 4) return c.d.maxPages;
      return maximumGpfn(c.d);
    }
    case 5:
      return machphysList(c, pointer);
    case 6:
      return reservation(c, pointer, populate);
    case 7:
      return addToPhysmap(c, pointer);
    case 9:
      return memoryMap(c, pointer);
    case 10:
    case 13:
    case 24:
    case 27:
      return -Errno.EPERM;
    case 11:
      return exchange(c, pointer);
    case 12:
      return machphysMapping(c, pointer);
    case 15:
      return removeFromPhysmap(c, pointer);
    case 23:
      return addToPhysmapBatch(c, pointer);
    default:
      return -Errno.ENOSYS;
  }
}

function maximumGpfn(d: Domain): number {
  if (!d.hvm) {
    // The guest writes it to shared_info.arch.max_pfn.
    return Math.max(0, d.mem.view.getUint32(d.sharedInfo + (d.shinfo32 ? 2316 : 3088), true) - 1);
  }
  let last = 0;
  d.hvm.p2m.forEach((gfn, mfn) => {
    if (mfn < d.host.frames.frames) last = gfn;
  });
  return last;
}

interface Reservation {
  list: bigint;
  extents: number;
  order: number;
}

/** struct xen_memory_reservation: handle, nr_extents, order, flags, domid. Null = EFAULT, a number = an errno. */
function readReservation(c: Call, pointer: bigint): Reservation | number {
  const view = viewIn(c.v, pointer, c.wide ? 32 : 20);
  if (!view) return -Errno.EFAULT;
  const s = new NativeStruct(view, c.wide);
  const extents = s.long(c.wide ? 8 : 4);
  const order = view.getUint32(c.wide ? 16 : 8, true);
  const domid = view.getUint16(c.wide ? 24 : 16, true);
  if (domid !== DOMID_SELF && domid !== c.d.domid) return -Errno.EPERM;
  if (extents > BigInt(MAX_EXTENTS)) return -Errno.EINVAL;
  if (order > MAX_ORDER) return -Errno.EPERM;
  return { list: s.long(0), extents: Number(extents), order };
}

/** Runs one operation per extent; the result is how many were done. */
function reservation(c: Call, pointer: bigint, each: (c: Call, r: Reservation, index: number) => boolean): number {
  const r = readReservation(c, pointer);
  if (typeof r === 'number') return r;
  let done = 0;
  while (done < r.extents && each(c, r, done)) done++;
  c.host.flushIfNeeded();
  return done;
}

function longSize(c: Call): number {
  return c.wide ? 8 : 4;
}
function readFrame(c: Call, list: bigint, index: number): number {
  const view = viewIn(c.v, list + BigInt(index * longSize(c)), longSize(c));
  return view ? frameNumber(new NativeStruct(view, c.wide).long(0)) : -1;
}
function writeFrame(c: Call, list: bigint, index: number, value: number): boolean {
  const at = list + BigInt(index * longSize(c));
  return c.wide ? writeU64(c.v, at, BigInt(value)) : writeU32(c.v, at, value);
}

function increase(c: Call, r: Reservation, index: number): boolean {
  const mfn = c.d.allocatePages(r.order);
  if (mfn < 0) return false;
  if (c.d.hvm) {
    // Without a place in its physical map an HVM guest could never reach it.
    for (let i = 0; i < 2 ** r.order; i++) c.d.releasePage(mfn + i);
    return false;
  }
  return r.list === 0n || writeFrame(c, r.list, index, mfn);
}

function populate(c: Call, r: Reservation, index: number): boolean {
  const gfn = readFrame(c, r.list, index);
  const size = 2 ** r.order;
  if (gfn < 0 || (c.d.hvm && gfn + size > MAX_GFN)) return false;
  if (c.d.hvm) {
    for (let i = 0; i < size; i++) {
      if (c.d.hvm.p2m.get(gfn + i) >= 0) continue;
      const mfn = c.d.allocatePage();
      if (mfn < 0) return false;
      c.d.hvm.p2m.set(gfn + i, mfn);
    }
    return true;
  }
  const mfn = c.d.allocatePages(r.order);
  if (mfn < 0) return false;
  for (let i = 0; i < size; i++) c.host.m2p.set(mfn + i, gfn + i);
  return writeFrame(c, r.list, index, mfn);
}

function decrease(c: Call, r: Reservation, index: number): boolean {
  const gfn = readFrame(c, r.list, index);
  for (let i = 0; i < 2 ** r.order; i++) if (!giveBack(c, gfn + i)) return false;
  return true;
}

/** Takes one page from the guest; what still maps it keeps it alive until unmapped. */
function giveBack(c: Call, gfn: number): boolean {
  const { frames } = c.host;
  const mfn = gfn < 0 ? -1 : c.d.gfnToMfn(gfn);
  if (mfn < 0 || !frames.valid(mfn) || frames.owner[mfn] !== c.d.domid) return false;
  if ((frames.flags[mfn] & FrameFlag.Allocated) === 0 || frames.flags[mfn] & FrameFlag.XenHeap) return false;
  // A page that goes loses its pin (guest_remove_page); what else refers to it as a table keeps it one.
  if (frames.flags[mfn] & FrameFlag.Pinned) {
    frames.flags[mfn] &= ~FrameFlag.Pinned;
    c.host.types.putPageAndType(mfn);
  }
  if (c.d.hvm) c.d.hvm.p2m.set(gfn, -1);
  else c.host.m2p.set(mfn, INVALID_M2P);
  c.d.releasePage(mfn);
  frames.flushNeeded = true;
  return true;
}

/** XENMEM_exchange: frames for others, possibly contiguous ones. All of `in` goes, then `out` comes. */
function exchange(c: Call, pointer: bigint): number {
  if (c.d.hvm) return -Errno.EOPNOTSUPP;
  const size = c.wide ? 32 : 20;
  const input = readReservation(c, pointer);
  const output = readReservation(c, pointer + BigInt(size));
  if (typeof input === 'number') return input;
  if (typeof output === 'number') return output;
  const pages = input.extents * 2 ** input.order;
  if (pages !== output.extents * 2 ** output.order || pages > 32768) return -Errno.EINVAL;
  const { frames } = c.host;
  // The new ones first: nothing is lost when the host has none.
  const fresh: number[] = [];
  for (let i = 0; i < output.extents; i++) {
    const mfn = frames.allocateContiguous(c.d.domid, output.order);
    if (mfn < 0) {
      for (const f of fresh) for (let k = 0; k < 2 ** output.order; k++) frames.release(f + k);
      return -Errno.ENOMEM;
    }
    fresh.push(mfn);
  }
  c.d.totalPages += pages;
  for (let i = 0; i < input.extents; i++) {
    const mfn = readFrame(c, input.list, i);
    for (let k = 0; k < 2 ** input.order; k++)
      if (!giveBack(c, mfn < 0 ? -1 : mfn + k)) {
        for (const f of fresh) for (let j = 0; j < 2 ** output.order; j++) c.d.releasePage(f + j);
        return -Errno.EINVAL;
      }
  }
  for (let i = 0; i < output.extents; i++) {
    const gpfn = readFrame(c, output.list, i);
    for (let k = 0; k < 2 ** output.order; k++) if (gpfn >= 0) c.host.m2p.set(fresh[i] + k, gpfn + k);
    if (!writeFrame(c, output.list, i, fresh[i])) return -Errno.EFAULT;
  }
  const done = pointer + BigInt(2 * size);
  c.host.flushIfNeeded();
  return (c.wide ? writeU64(c.v, done, BigInt(input.extents)) : writeU32(c.v, done, input.extents)) ? 0 : -Errno.EFAULT;
}

/** XENMAPSPACE_*: what can be placed in a guest's physical map. */
function addToPhysmap(c: Call, pointer: bigint): number {
  const view = viewIn(c.v, pointer, c.wide ? 24 : 16);
  if (!view) return -Errno.EFAULT;
  const s = new NativeStruct(view, c.wide);
  const domid = view.getUint16(0, true);
  if (domid !== DOMID_SELF && domid !== c.d.domid) return -Errno.EPERM;
  return place(c, view.getUint32(4, true), s.long(8), s.long(c.wide ? 16 : 12));
}

function place(c: Call, space: number, idx: bigint, gpfn: bigint): number {
  if (!c.d.hvm) return -Errno.EOPNOTSUPP;
  const { p2m } = c.d.hvm;
  const gfn = frameNumber(gpfn);
  if (gfn < 0 || gfn >= MAX_GFN) return -Errno.EINVAL;
  let mfn: number;
  let from = -1;
  switch (space) {
    case 0:
      if (idx !== 0n) return -Errno.EINVAL;
      mfn = c.d.sharedInfoMfn;
      break;
    case 1: {
      const status = (idx & 0x8000_0000n) !== 0n;
      const index = Number(idx & 0x7fff_ffffn);
      const { grants } = c.d;
      if (status) {
        if (grants.version !== 2) return -Errno.EINVAL;
        mfn = grants.statusFrames[index] ?? -1;
      } else {
        if (index >= 64 || !grants.grow(index + 1)) return -Errno.EINVAL;
        mfn = grants.frames[index];
      }
      break;
    }
    case 2:
      from = frameNumber(idx);
      mfn = from < 0 ? -1 : p2m.get(from);
      if (mfn < 0 || c.host.frames.owner[mfn] !== c.d.domid || c.host.frames.flags[mfn] & FrameFlag.XenHeap)
        return -Errno.EINVAL;
      break;
    default:
      return -Errno.ENOSYS;
  }
  if (mfn < 0) return -Errno.EINVAL;
  const old = p2m.get(gfn);
  if (old === mfn) return 0;
  if (old >= 0) {
    // Nor goes a page that is mapped there through a grant: it is another domain's.
    if (old >= c.host.frames.frames || c.host.frames.owner[old] !== c.d.domid) return -Errno.EINVAL;
    // An ordinary page that was there is freed, as Xen does; one of the hypervisor's merely loses its place.
    if ((c.host.frames.flags[old] & FrameFlag.XenHeap) === 0) c.d.releasePage(old);
  }
  if (from >= 0) p2m.set(from, -1);
  // A hypervisor page has one place: an earlier one goes.
  else
    p2m.forEach((g, m) => {
      if (m === mfn) p2m.set(g, -1);
    });
  p2m.set(gfn, mfn);
  c.host.frames.flushNeeded = true;
  c.host.flushIfNeeded();
  return 0;
}

function addToPhysmapBatch(c: Call, pointer: bigint): number {
  const view = viewIn(c.v, pointer, c.wide ? 32 : 20);
  if (!view) return -Errno.EFAULT;
  const s = new NativeStruct(view, c.wide);
  const space = view.getUint16(2, true);
  const size = view.getUint16(4, true);
  const idxs = s.long(8);
  const gpfns = s.long(c.wide ? 16 : 12);
  const errs = s.long(c.wide ? 24 : 16);
  for (let i = 0; i < size; i++) {
    const idx = viewIn(c.v, idxs + BigInt(i * longSize(c)), longSize(c));
    const gpfn = viewIn(c.v, gpfns + BigInt(i * longSize(c)), longSize(c));
    if (!idx || !gpfn) return -Errno.EFAULT;
    const error = place(c, space, new NativeStruct(idx, c.wide).long(0), new NativeStruct(gpfn, c.wide).long(0));
    if (!writeU32(c.v, errs + BigInt(i * 4), error)) return -Errno.EFAULT;
  }
  return 0;
}

function removeFromPhysmap(c: Call, pointer: bigint): number {
  if (!c.d.hvm) return -Errno.EOPNOTSUPP;
  const view = viewIn(c.v, pointer, c.wide ? 16 : 8);
  if (!view) return -Errno.EFAULT;
  const gfn = frameNumber(new NativeStruct(view, c.wide).long(c.wide ? 8 : 4));
  const mfn = gfn < 0 ? -1 : c.d.hvm.p2m.get(gfn);
  if (mfn < 0 || mfn >= c.host.frames.frames) return -Errno.ENOENT;
  if (c.host.frames.owner[mfn] !== c.d.domid) return -Errno.EPERM; // a grant's: GNTTABOP_unmap_grant_ref takes it away
  c.d.hvm.p2m.set(gfn, -1);
  if ((c.host.frames.flags[mfn] & FrameFlag.XenHeap) === 0) c.d.releasePage(mfn);
  c.host.frames.flushNeeded = true;
  c.host.flushIfNeeded();
  return 0;
}

/** XENMEM_memory_map: the e820 map the toolstack gave the domain (20-byte entries). */
function memoryMap(c: Call, pointer: bigint): number {
  const view = viewIn(c.v, pointer, c.wide ? 16 : 8);
  if (!view) return -Errno.EFAULT;
  const map = c.d.memoryMap;
  if (map.length === 0) return -Errno.ENOSYS;
  const buffer = new NativeStruct(view, c.wide).long(c.wide ? 8 : 4);
  const count = Math.min(view.getUint32(0, true), map.length);
  const out = new DataView(new ArrayBuffer(count * 20));
  for (let i = 0; i < count; i++) {
    out.setBigUint64(i * 20, BigInt(map[i].address), true);
    out.setBigUint64(i * 20 + 8, BigInt(map[i].size), true);
    out.setUint32(i * 20 + 16, map[i].type, true);
  }
  view.setUint32(0, count, true);
  return copyOutView(c.v, buffer, out) && copyOutView(c.v, pointer, view) ? 0 : -Errno.EFAULT;
}

function machphysMapping(c: Call, pointer: bigint): number {
  if (!c.d.isPv) return -Errno.ENOSYS;
  const s = new NativeStruct(new DataView(new ArrayBuffer(c.wide ? 24 : 12)), c.wide);
  if (c.wide) {
    s.setLong(0, 0xffff_8000_0000_0000n);
    s.setLong(8, 0xffff_8040_0000_0000n);
    s.setLong(16, 0x40_0000_0000n / 8n - 1n);
  } else {
    s.setLong(0, BigInt(COMPAT_M2P_VIRT_START));
    s.setLong(4, BigInt(COMPAT_M2P_VIRT_END));
    s.setLong(8, BigInt((COMPAT_M2P_VIRT_END - COMPAT_M2P_VIRT_START) / 4 - 1));
  }
  return copyOutView(c.v, pointer, s.view) ? 0 : -Errno.EFAULT;
}

/** XENMEM_machphys_mfn_list: the frames of the table, one per 2 MiB. */
function machphysList(c: Call, pointer: bigint): number {
  const view = viewIn(c.v, pointer, c.wide ? 24 : 12);
  if (!view) return -Errno.EFAULT;
  const max = view.getUint32(0, true);
  const list = new NativeStruct(view, c.wide).long(c.wide ? 8 : 4);
  const { m2p } = c.host;
  const base = c.wide ? m2p.wideBase : m2p.narrowBase;
  const count = Math.min(max, (c.wide ? m2p.wideBytes : m2p.narrowBytes) >>> 21);
  for (let i = 0; i < count; i++) if (!writeFrame(c, list, i, (base + i * 0x20_0000) / PAGE_SIZE)) return -Errno.EFAULT;
  view.setUint32(c.wide ? 16 : 8, count, true);
  return copyOut(c.v, pointer, new Uint8Array(view.buffer)) ? 0 : -Errno.EFAULT;
}
