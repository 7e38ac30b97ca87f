// A PV guest's own list of machine frames by guest frame (its P2M): where it lies, and rewriting it for another host.
// The guest says in shared_info.arch where: a virtual address with the page table it is mapped by (p2m_cr3, p2m_vaddr), or a list of
// lists of frames (pfn_to_mfn_frame_list_list). Source: public/arch-x86/xen.h; libxenguest, sr_save_x86_pv.c.

import { PAGE } from '../../machine/cpu/layout.ts';
import type { Domain } from '../../hypervisor/domain.ts';
import { frameAddress } from '../../hypervisor/memory/frames.ts';
import { Pte, pteMfn } from '../../hypervisor/memory/pte.ts';
import { MAX_PFN } from './pv-pages.ts';

const WIDE = { maxPfn: 3088, listList: 3096, cr3: 3112, vaddr: 3120 } as const;
const NARROW = { maxPfn: 2316, listList: 2320, cr3: 2328, vaddr: 2332 } as const;
export const listListOffset = (is32: boolean): number => (is32 ? NARROW : WIDE).listList;

export interface GuestP2m {
  /** Guest frames that it describes: 0 to maxPfn. */
  maxPfn: number;
  /** Guest frames in which it lies, in order. */
  frames: number[];
}

/** Finds the list. A string is the rest of a sentence about why it cannot be found. */
export function findP2m(d: Domain, toPfn: (mfn: number) => number): GuestP2m | string {
  const at = d.is32 ? NARROW : WIDE;
  const { view } = d.mem;
  const long = (offset: number) =>
    d.is32 ? BigInt(view.getUint32(d.sharedInfo + offset, true)) : view.getBigUint64(d.sharedInfo + offset, true);
  const count = long(at.maxPfn);
  if (count === 0n || count > BigInt(MAX_PFN)) return 'its kernel has not said where its list of frames is';
  const perPage = PAGE / (d.is32 ? 4 : 8);
  const pages = Math.ceil(Number(count) / perPage);
  const cr3 = long(at.cr3);
  const mfns = cr3 !== 0n ? walkAll(d, cr3, long(at.vaddr), pages) : listed(d, long(at.listList), pages, perPage);
  if (typeof mfns === 'string') return mfns;
  const frames: number[] = [];
  for (const mfn of mfns) {
    const pfn = toPfn(mfn);
    if (pfn < 0) return 'its list of frames names memory that is not its own';
    frames.push(pfn);
  }
  return { maxPfn: Number(count) - 1, frames };
}

function walkAll(d: Domain, cr3: bigint, vaddr: bigint, pages: number): number[] | string {
  const low = Number(cr3 & 0xffff_ffffn);
  const root = d.is32 ? ((low >>> 12) | (low << 20)) >>> 0 : Number((cr3 >> 12n) & 0xffff_ffffn);
  const out: number[] = [];
  for (let i = 0; i < pages; i++) {
    const mfn = walk(d, root, vaddr + BigInt(i * PAGE));
    if (mfn < 0) return 'its list of frames is not mapped where it says';
    out.push(mfn);
  }
  return out;
}

/** Machine frame behind a virtual address of a page table, or -1. */
function walk(d: Domain, root: number, address: bigint): number {
  const shifts = d.is32 ? [30n, 21n, 12n] : [39n, 30n, 21n, 12n];
  let mfn = root;
  for (const shift of shifts) {
    if (!d.host.frames.valid(mfn) || d.host.frames.owner[mfn] !== d.domid) return -1;
    const entry = (frameAddress(mfn) >>> 2) + Number((address >> shift) & 511n) * 2;
    const lo = d.mem.u32[entry]!;
    if ((lo & Pte.P) === 0) return -1;
    mfn = pteMfn(lo, d.mem.u32[entry + 1]!);
  }
  return mfn;
}

function listed(d: Domain, listList: bigint, pages: number, perPage: number): number[] | string {
  const unpublished = 'its kernel has not said where its list of frames is';
  const read = (mfn: number, index: number): number => {
    if (!d.host.frames.valid(mfn) || d.host.frames.owner[mfn] !== d.domid) return -1;
    const at = frameAddress(mfn) + index * (d.is32 ? 4 : 8);
    const value = d.is32 ? BigInt(d.mem.view.getUint32(at, true)) : d.mem.view.getBigUint64(at, true);
    return value > 0xffff_ffffn ? -1 : Number(value);
  };
  if (listList === 0n || listList > 0xffff_ffffn) return unpublished;
  const out: number[] = [];
  for (let i = 0; i < pages; i++) {
    const list = read(Number(listList), Math.floor(i / perPage));
    const mfn = list < 0 ? -1 : read(list, i % perPage);
    if (mfn < 0) return unpublished;
    out.push(mfn);
  }
  return out;
}

/** Writes this host's machine frames into the list. False: a frame of the list does not exist. */
export function rewriteP2m(d: Domain, p2m: GuestP2m, toMfn: (pfn: number) => number): boolean {
  const perPage = PAGE / (d.is32 ? 4 : 8);
  for (let page = 0; page < p2m.frames.length; page++) {
    const mfn = toMfn(p2m.frames[page]!);
    if (mfn < 0) return false;
    const at = frameAddress(mfn);
    for (let i = 0; i < perPage; i++) {
      const pfn = page * perPage + i;
      const value = pfn <= p2m.maxPfn ? toMfn(pfn) : -1;
      if (d.is32) d.mem.u32[(at >>> 2) + i] = value >>> 0;
      else d.mem.u64[(at >>> 3) + i] = value < 0 ? 0xffff_ffff_ffff_ffffn : BigInt(value);
    }
    d.mem.noteWrite(mfn * PAGE, PAGE);
  }
  return true;
}
