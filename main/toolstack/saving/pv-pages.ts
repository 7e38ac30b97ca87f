// Page tables of a PV guest on their way: machine frames become guest frames and back (normalise_pagetable and localise_page of
// libxenguest). Invariant: the hypervisor's own slots never leave the host, and nothing but frames of the domain itself is named.

import { PAGE } from '../../machine/cpu/layout.ts';
import type { Domain } from '../../hypervisor/domain.ts';
import { FrameFlag, FrameType } from '../../hypervisor/memory/frame-table.ts';
import { frameAddress } from '../../hypervisor/memory/frames.ts';
import { INVALID_M2P } from '../../hypervisor/memory/m2p.ts';
import { Pte, pteMfn } from '../../hypervisor/memory/pte.ts';
import { PageType } from '../stream/records.ts';

/** Guest frames end here: 4 GiB of guest-physical space. */
export const MAX_PFN = 1 << 20;

/** A frame of the domain's own memory, not one that the hypervisor shares with it. */
export function isOwn(d: Domain, mfn: number): boolean {
  const { frames } = d.host;
  return (
    mfn >= 0 &&
    mfn < frames.frames &&
    frames.owner[mfn] === d.domid &&
    (frames.flags[mfn]! & (FrameFlag.Allocated | FrameFlag.XenHeap)) === FrameFlag.Allocated
  );
}

/** Guest frame of one of a PV domain's machine frames by the M2P, or -1. */
export function pvPfnOf(d: Domain, mfn: number): number {
  if (!isOwn(d, mfn)) return -1;
  const pfn = d.host.m2p.get(mfn);
  return pfn === INVALID_M2P || pfn >= MAX_PFN ? -1 : pfn;
}

/** Level (1-4) of the page table that a frame is in use as, or 0. */
export function tableLevel(d: Domain, mfn: number): number {
  const { frames } = d.host;
  if (frames.typeCount[mfn] === 0 || (frames.flags[mfn]! & FrameFlag.Validated) === 0) return 0;
  const type = frames.type[mfn]!;
  if (type >= FrameType.L1 && type <= FrameType.L4) return type;
  return type === FrameType.L2Xen ? 2 : 0;
}

/** PageType of a PV domain's frame now. */
export function pvPageType(d: Domain, mfn: number): number {
  const level = tableLevel(d, mfn);
  if (level === 0) return PageType.Normal;
  return d.host.frames.flags[mfn]! & FrameFlag.Pinned ? level | PageType.Pin : level;
}

/**
 * Copies a page table with guest frames in place of machine frames. Entries that name no frame of the domain's own become absent.
 * @param out 512 entries as 1024 words
 */
export function canonicalise(
  d: Domain,
  mfn: number,
  toPfn: (mfn: number) => number,
  out: Uint32Array,
  at: number,
): void {
  const { types, frames, mem } = d.host;
  const from = frameAddress(mfn) >>> 2;
  const type = frames.type[mfn]!;
  for (let i = 0; i < 512; i++) {
    let lo = mem.u32[from + 2 * i]!;
    let hi = mem.u32[from + 2 * i + 1]!;
    if (!types.guestSlots(type, d, i)) lo = hi = 0;
    else if (lo & Pte.P) {
      const pfn = toPfn(pteMfn(lo, hi));
      if (pfn < 0) lo = hi = 0;
      else lo = ((pfn << 12) | (lo & 0xfff)) >>> 0;
    }
    out[at + 2 * i] = lo;
    out[at + 2 * i + 1] = hi;
  }
}

/**
 * Translates a page table in place.
 * @returns the guest frame that an entry names and that does not exist, or -1
 */
export function localise(d: Domain, mfn: number, toMfn: (pfn: number) => number): number {
  const { mem } = d;
  const base = frameAddress(mfn) >>> 2;
  for (let i = 0; i < 512; i++) {
    const lo = mem.u32[base + 2 * i]!;
    if ((lo & Pte.P) === 0) continue;
    const pfn = pteMfn(lo, mem.u32[base + 2 * i + 1]!);
    const target = pfn < 0 ? -1 : toMfn(pfn);
    if (target < 0) return pfn < 0 ? 0xffff_ffff : pfn;
    mem.u32[base + 2 * i] = ((target << 12) | (lo & 0xfff)) >>> 0;
  }
  mem.noteWrite(mfn * PAGE, PAGE);
  return -1;
}
