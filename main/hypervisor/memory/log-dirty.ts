// Log-dirty mode: which pages of a domain were written since the log was last read (the domctl shadow_op family: enable, peek, clean, off).
// It works through PAGE_FLAGS of the machine frames: a frame with LogDirty is in no TLB as writable, its first write passes the slow path,
// which turns LogDirty into Dirty. So does HostMemory.noteWrite, for what the hypervisor and the backends write.
// Invariant: while it is on, every frame the domain owns has exactly one of LogDirty and Dirty.

import { PAGE_FLAGS, PageFlag } from '../../machine/cpu/layout.ts';
import type { Domain } from '../domain.ts';
import { FrameFlag } from './frame-table.ts';
import { INVALID_M2P } from './m2p.ts';

const NO_FRAME = -1;

export class LogDirty {
  private readonly d: Domain;
  /** Machine frame of each page when the log was last read. */
  private frameOf = new Int32Array(0);
  private enabled = false;

  constructor(d: Domain) {
    this.d = d;
  }

  get on(): boolean {
    return this.enabled;
  }

  /** Calls back for every page of the domain's own RAM: guest frame number and machine frame; order is not defined. */
  forEachPage(visit: (pfn: number, mfn: number) => void): void {
    const { frames, m2p } = this.d.host;
    const { domid, hvm } = this.d;
    if (hvm) {
      hvm.p2m.forEach((gfn, mfn) => {
        if (frames.valid(mfn) && frames.owner[mfn] === domid && !(frames.flags[mfn] & FrameFlag.XenHeap))
          visit(gfn, mfn);
      });
      return;
    }
    for (let mfn = 0; mfn < frames.frames; mfn++) {
      if (frames.owner[mfn] !== domid || frames.flags[mfn] & FrameFlag.XenHeap) continue;
      const pfn = m2p.get(mfn);
      if (pfn !== INVALID_M2P) visit(pfn, mfn);
    }
  }

  /** Begins to log; every page counts as clean. @returns the highest page number plus one */
  start(): number {
    this.d.host.frames.logged.add(this.d.domid);
    this.enabled = true;
    return this.clean(null);
  }

  /** Ends it; nothing of it remains. */
  stop(): void {
    if (!this.enabled) return;
    this.enabled = false;
    const { frames, mem } = this.d.host;
    frames.logged.delete(this.d.domid);
    for (let mfn = 0; mfn < frames.frames; mfn++)
      if (frames.owner[mfn] === this.d.domid) mem.u8[PAGE_FLAGS + mfn] &= ~(PageFlag.LogDirty | PageFlag.Dirty);
    this.frameOf = new Int32Array(0);
  }

  /** True when the page was written since the log was last read. A page that moved to another frame meanwhile reads as clean. */
  peek(pfn: number): boolean {
    const mfn = pfn < this.frameOf.length ? this.frameOf[pfn] : NO_FRAME;
    return mfn !== NO_FRAME && (this.d.host.mem.u8[PAGE_FLAGS + mfn] & PageFlag.Dirty) !== 0;
  }

  /** Pages written since the log was last read. */
  countDirty(): number {
    let n = 0;
    const { u8 } = this.d.host.mem;
    for (const mfn of this.frameOf) if (mfn !== NO_FRAME && u8[PAGE_FLAGS + mfn] & PageFlag.Dirty) n++;
    return n;
  }

  /**
   * Reads the log and begins it anew.
   * @param found called with every page written since the last time
   * @returns the highest page number plus one
   */
  clean(found: ((pfn: number) => void) | null): number {
    const { mem, core } = this.d.host;
    const pages: number[] = [];
    let top = 0;
    this.forEachPage((pfn, mfn) => {
      pages.push(pfn, mfn);
      if (pfn >= top) top = pfn + 1;
    });
    this.frameOf = new Int32Array(top).fill(NO_FRAME);
    for (let i = 0; i < pages.length; i += 2) {
      const pfn = pages[i];
      const at = PAGE_FLAGS + pages[i + 1];
      const flags = mem.u8[at];
      this.frameOf[pfn] = pages[i + 1];
      if (flags & PageFlag.Dirty) found?.(pfn);
      mem.u8[at] = (flags & ~PageFlag.Dirty) | PageFlag.LogDirty;
    }
    core.tlb.dropAllWritable();
    return top;
  }
}
