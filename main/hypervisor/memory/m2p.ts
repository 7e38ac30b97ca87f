// The machine-to-phys table that every PV guest can read: one entry per machine frame, in the hypervisor's own frames.
// Two copies, as in Xen: 8-byte entries for 64-bit guests, 4-byte entries for 32-bit ones; each starts on 2 MiB so that
// the guests' tables map it with large pages.

import { MiB, PAGE } from '../../machine/cpu/layout.ts';
import type { FrameTable } from './frame-table.ts';
import { frameAddress } from './frames.ts';

const LARGE = 2 * MiB;
const roundUp = (bytes: number) => Math.ceil(bytes / LARGE) * LARGE;

export const INVALID_M2P = 0xffff_ffff;

export class M2p {
  private readonly table: FrameTable;
  /** Machine address and mapped bytes (multiples of 2 MiB). */
  readonly wideBase = LARGE;
  readonly wideBytes: number;
  readonly narrowBase: number;
  readonly narrowBytes: number;

  /** Frames at the bottom of machine memory that the hypervisor keeps: the first 2 MiB and both tables. */
  static framesNeeded(frames: number): number {
    return (LARGE + roundUp(frames * 8) + roundUp(frames * 4)) / PAGE;
  }

  constructor(table: FrameTable) {
    this.table = table;
    this.wideBytes = roundUp(table.frames * 8);
    this.narrowBytes = roundUp(table.frames * 4);
    this.narrowBase = this.wideBase + this.wideBytes;
    const mem = table.mem;
    const wide = frameAddress(0) + this.wideBase;
    mem.u8.fill(0xff, wide, wide + this.wideBytes + this.narrowBytes);
  }

  /** Guest frame of a machine frame, or INVALID_M2P. */
  get(mfn: number): number {
    return this.table.mem.u32[(frameAddress(0) + this.narrowBase + mfn * 4) >>> 2];
  }

  set(mfn: number, pfn: number): void {
    const mem = this.table.mem;
    const wide = (frameAddress(0) + this.wideBase + mfn * 8) >>> 2;
    mem.u32[wide] = pfn;
    mem.u32[wide + 1] = pfn === INVALID_M2P ? 0xffff_ffff : 0;
    mem.u32[(frameAddress(0) + this.narrowBase + mfn * 4) >>> 2] = pfn;
    this.table.noteMoved(mfn);
  }
}
