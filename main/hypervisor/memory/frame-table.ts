// The frame table: for every machine frame its owner, how many references hold it, and its type with its own count.
//
// Invariants (those of Xen's page_info, arch/x86/mm.c):
//  - owner NONE <=> refs == 0 <=> the frame is free and zeroed on its next allocation;
//  - typeCount > 0 implies refs > 0; a type changes only while typeCount == 0;
//  - the types exclude one another, so a frame in use as page table or descriptor table has no writable mapping;
//  - PINNED holds one general and one type reference; ALLOCATED holds one general reference.

import { PAGE, PAGE_FLAGS, PageFlag } from '../../machine/cpu/layout.ts';
import type { HostMemory } from '../../machine/cpu/host-memory.ts';
import { DOMID_XEN } from '../abi/constants.ts';
import { invariant } from '../errors.ts';
import { clearFrame } from './frames.ts';

export const FrameType = {
  None: 0,
  L1: 1,
  L2: 2,
  L3: 3,
  L4: 4,
  SegDesc: 5,
  /** The L2 of a 32-bit guest's fourth gigabyte, which carries the hypervisor's slots. */
  L2Xen: 6,
  Writable: 7,
} as const;
export type FrameType = (typeof FrameType)[keyof typeof FrameType];

export const FrameFlag = {
  /** The owner's own reference (PGC_allocated). */
  Allocated: 1,
  /** Hypervisor memory that is shared with its owner: shared_info, grant frames. Never a page table. */
  XenHeap: 2,
  Pinned: 4,
  Validated: 8,
} as const;

export const OWNER_NONE = 0xffff;

export class FrameTable {
  readonly mem: HostMemory;
  readonly frames: number;
  readonly owner: Uint16Array;
  readonly refs: Uint32Array;
  readonly type: Uint8Array;
  readonly typeCount: Uint32Array;
  readonly flags: Uint8Array;
  /** Frames free now. */
  free = 0;
  /** 1 for frames that somebody had: the others still are as the machine's memory began, all zero, and cost the computer nothing. */
  private readonly used: Uint8Array;
  /** No free frame lies below this one. */
  private hint: number;
  /** Set when stale translations may exist (a writable or table reference went away); the CPU side flushes and clears. */
  flushNeeded = false;
  /** Domains whose writes are logged (log-dirty.ts). */
  readonly logged = new Set<number>();

  /** Frames [0, reserved) stay the hypervisor's for ever. */
  constructor(mem: HostMemory, reserved: number) {
    const frames = mem.ramBytes / PAGE;
    this.mem = mem;
    this.frames = frames;
    this.owner = new Uint16Array(frames).fill(OWNER_NONE);
    this.refs = new Uint32Array(frames);
    this.type = new Uint8Array(frames);
    this.typeCount = new Uint32Array(frames);
    this.flags = new Uint8Array(frames);
    this.used = new Uint8Array(frames);
    for (let mfn = 0; mfn < reserved; mfn++) {
      this.owner[mfn] = DOMID_XEN;
      this.refs[mfn] = 1;
    }
    this.hint = reserved;
    this.free = frames - reserved;
  }

  /** A zeroed frame for `domid`, with the ALLOCATED reference, or -1 when the host has none left. */
  allocate(domid: number): number {
    if (this.free === 0) return -1;
    let mfn = this.hint;
    while (this.owner[mfn] !== OWNER_NONE) mfn++;
    this.hint = mfn + 1;
    this.take(mfn, domid);
    return mfn;
  }

  /** 2^order contiguous, aligned frames; returns the first or -1. */
  allocateContiguous(domid: number, order: number): number {
    if (order === 0) return this.allocate(domid);
    const size = 2 ** order;
    search: for (let first = Math.ceil(this.hint / size) * size; first + size <= this.frames; first += size) {
      for (let i = 0; i < size; i++) if (this.owner[first + i] !== OWNER_NONE) continue search;
      for (let i = 0; i < size; i++) this.take(first + i, domid);
      return first;
    }
    return -1;
  }

  /** A zeroed hypervisor frame that `domid` may map writable but never type as anything else (share_xen_page_with_guest). */
  allocateShared(domid: number): number {
    const mfn = this.allocate(domid);
    if (mfn < 0) return -1;
    this.flags[mfn] |= FrameFlag.XenHeap | FrameFlag.Validated;
    this.type[mfn] = FrameType.Writable;
    this.typeCount[mfn] = 1;
    return mfn;
  }

  /** A zeroed frame that only the hypervisor uses, or -1. */
  allocateXen(): number {
    return this.allocate(DOMID_XEN);
  }

  private take(mfn: number, domid: number): void {
    this.owner[mfn] = domid;
    this.refs[mfn] = 1;
    this.type[mfn] = FrameType.None;
    this.typeCount[mfn] = 0;
    this.flags[mfn] = FrameFlag.Allocated;
    this.free--;
    this.mem.u8[PAGE_FLAGS + mfn] &= ~(PageFlag.LogDirty | PageFlag.Dirty);
    if (this.used[mfn]) clearFrame(this.mem, mfn);
    this.used[mfn] = 1;
    this.noteMoved(mfn);
  }

  /** The frame came to a domain, or stands for another of its pages now: for a log of writes that is one. */
  noteMoved(mfn: number): void {
    if (!this.logged.size || !this.logged.has(this.owner[mfn])) return;
    const at = PAGE_FLAGS + mfn;
    this.mem.u8[at] = (this.mem.u8[at] & ~PageFlag.LogDirty) | PageFlag.Dirty;
  }

  /** True when `mfn` names a frame of RAM. */
  valid(mfn: number): boolean {
    return mfn >= 0 && mfn < this.frames;
  }

  /** Takes a general reference if the frame belongs to `domid`. */
  getPage(mfn: number, domid: number): boolean {
    if (!this.valid(mfn) || this.owner[mfn] !== domid || this.refs[mfn] === 0) return false;
    this.refs[mfn]++;
    return true;
  }

  /** Drops a general reference; the last one frees the frame. */
  putPage(mfn: number): void {
    invariant(this.refs[mfn] > 0, `put of frame ${mfn.toString(16)}, which nobody holds`);
    if (--this.refs[mfn] === 0) {
      invariant(this.typeCount[mfn] === 0, `frame ${mfn.toString(16)} freed while its type is in use`);
      this.owner[mfn] = OWNER_NONE;
      this.flags[mfn] = 0;
      this.type[mfn] = FrameType.None;
      this.free++;
      this.flushNeeded = true;
      if (mfn < this.hint) this.hint = mfn;
    }
  }

  /** Drops the owner's reference (free_domheap_page / put_page_alloc_ref). */
  release(mfn: number): void {
    if (this.flags[mfn] & FrameFlag.XenHeap) {
      this.flags[mfn] &= ~FrameFlag.XenHeap;
      this.typeCount[mfn]--;
    }
    if (this.flags[mfn] & FrameFlag.Allocated) {
      this.flags[mfn] &= ~FrameFlag.Allocated;
      this.putPage(mfn);
    }
  }
}
