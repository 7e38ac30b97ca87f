// Page types: how a frame becomes a page table of a given level, and stops being one.
//
// Taking the first type reference of a table type validates every entry: each present entry takes a reference of the
// right kind on the frame it names (L1 -> general, plus writable type if RW; L2 -> L1; L3 -> L2; L4 -> L3). Dropping the
// last one gives them all back. Page tables never point at their own level, so the references form a finite tree.
// Source: Xen arch/x86/mm.c (get_page_from_l1e .. put_page_type), behaviour only.

import { PAGE } from '../../machine/cpu/layout.ts';
import { Errno } from '../abi/errno.ts';
import { COMPAT_L2_FIRST_XEN_SLOT, L4_FIRST_XEN_SLOT, L4_LAST_XEN_SLOT } from '../abi/constants.ts';
import { invariant } from '../errors.ts';
import { FrameFlag, FrameType, type FrameTable } from './frame-table.ts';
import { PTE_BAD_HI, PTE_GUEST_KERNEL_HI, Pte, pteMfn } from './pte.ts';
import { frameAddress } from './frames.ts';

/** What page types need to know of a PV domain. */
export interface PagingDomain {
  readonly domid: number;
  readonly is32: boolean;
  /** Fills the hypervisor's slots of a new top-level table. */
  initL4?(mfn: number): void;
  /** Fills the hypervisor's slots of a 32-bit guest's fourth L2. */
  initL2Xen?(mfn: number): void;
}

const TABLE_TYPES = new Set<number>([FrameType.L1, FrameType.L2, FrameType.L3, FrameType.L4, FrameType.L2Xen]);

export class PageTypes {
  readonly table: FrameTable;
  /** The domain of a domid; entries are validated against the owner of the table that holds them. */
  private readonly domainOf: (domid: number) => PagingDomain | undefined;

  constructor(table: FrameTable, domainOf: (domid: number) => PagingDomain | undefined) {
    this.table = table;
    this.domainOf = domainOf;
  }

  /** Takes a type reference on a frame that the caller holds. Returns 0 or a negative errno. */
  getType(mfn: number, type: number): number {
    const t = this.table;
    if (t.typeCount[mfn] === 0) {
      if (t.type[mfn] !== type) {
        if (t.flags[mfn] & FrameFlag.XenHeap) return -Errno.EINVAL;
        // A stale writable translation of a frame that turns into a table would defeat the type.
        if (t.type[mfn] === FrameType.Writable || type === FrameType.Writable) t.flushNeeded = true;
        t.type[mfn] = type;
        t.flags[mfn] &= ~FrameFlag.Validated;
      }
    } else if (t.type[mfn] !== type) {
      return type === FrameType.Writable || t.type[mfn] === FrameType.Writable ? -Errno.EBUSY : -Errno.EINVAL;
    }
    t.typeCount[mfn]++;
    if ((t.flags[mfn] & FrameFlag.Validated) === 0) {
      const error = this.validate(mfn, type);
      if (error) {
        t.typeCount[mfn]--;
        t.type[mfn] = FrameType.None;
        return error;
      }
      t.flags[mfn] |= FrameFlag.Validated;
    }
    return 0;
  }

  /** Drops a type reference; the last one of a table gives back what its entries hold. */
  putType(mfn: number): void {
    const t = this.table;
    invariant(t.typeCount[mfn] > 0, `put of the type of frame ${mfn.toString(16)}, which has none`);
    if (--t.typeCount[mfn] === 0) {
      if (TABLE_TYPES.has(t.type[mfn])) {
        this.devalidate(mfn, t.type[mfn]);
        t.flags[mfn] &= ~FrameFlag.Validated;
      } else if (t.type[mfn] === FrameType.SegDesc) t.flags[mfn] &= ~FrameFlag.Validated;
      t.flushNeeded = true;
    }
  }

  /** General and type reference at once, for a frame of `domid`. */
  getPageAndType(mfn: number, domid: number, type: number): number {
    if (!this.table.getPage(mfn, domid)) return -Errno.EINVAL;
    const error = this.getType(mfn, type);
    if (error) this.table.putPage(mfn);
    return error;
  }

  putPageAndType(mfn: number): void {
    this.putType(mfn);
    this.table.putPage(mfn);
  }

  // ---- entries: get checks one new entry and takes what it must hold; put gives it back

  /** The references of an entry of a table of `level` (1..4) of `d`. Returns 0 or a negative errno. */
  getEntry(level: number, lo: number, hi: number, d: PagingDomain, xenSlots = false): number {
    if ((lo & Pte.P) === 0) return 0;
    if (hi & PTE_BAD_HI) return -Errno.EINVAL;
    const mfn = pteMfn(lo, hi);
    if (level === 1) {
      if (lo & (Pte.PWT | Pte.PCD | Pte.PSE)) return -Errno.EINVAL;
      return lo & Pte.RW
        ? this.getPageAndType(mfn, d.domid, FrameType.Writable)
        : this.table.getPage(mfn, d.domid)
          ? 0
          : -Errno.EINVAL;
    }
    if (lo & (Pte.PWT | Pte.PCD | Pte.PSE | Pte.G)) return -Errno.EINVAL;
    return this.getPageAndType(mfn, d.domid, this.childType(level, xenSlots));
  }

  /** Gives back what a present entry holds. `foreign` frames are those mapped through a grant. */
  putEntry(level: number, lo: number, hi: number): void {
    if ((lo & Pte.P) === 0) return;
    const mfn = pteMfn(lo, hi);
    if (level === 1 && (lo & Pte.RW) === 0) this.table.putPage(mfn);
    else this.putPageAndType(mfn);
    this.table.flushNeeded = true;
  }

  private childType(level: number, xenSlots: boolean): number {
    return level === 2 ? FrameType.L1 : level === 3 ? (xenSlots ? FrameType.L2Xen : FrameType.L2) : FrameType.L3;
  }

  /**
   * The entry as it is stored: a 64-bit guest's kernel runs in ring 3, so all its entries become user entries; a page
   * that it meant for its kernel alone is marked so, the others global (adjust_guest_l1e).
   */
  adjust(level: number, lo: number, hi: number, d: PagingDomain, out: { lo: number; hi: number }): void {
    // A 32-bit guest's third level has no permissions of its own; in long mode the CPU would read some there.
    if (lo & Pte.P && d.is32 && level === 3) lo |= Pte.US | Pte.RW;
    if (lo & Pte.P && !d.is32) {
      if (level === 1) {
        if ((lo & Pte.US) === 0) {
          hi |= PTE_GUEST_KERNEL_HI;
          lo |= Pte.US;
        }
        if (hi & PTE_GUEST_KERNEL_HI) lo &= ~Pte.G;
        else lo |= Pte.G;
      } else lo |= Pte.US;
    }
    out.lo = lo >>> 0;
    out.hi = hi >>> 0;
  }

  /** Entries [first, last] that the guest owns in a table. */
  guestSlots(type: number, d: PagingDomain, index: number): boolean {
    if (type === FrameType.L4) return index < L4_FIRST_XEN_SLOT || index > L4_LAST_XEN_SLOT;
    if (type === FrameType.L3) return !d.is32 || index < 4;
    if (type === FrameType.L2Xen) return index < COMPAT_L2_FIRST_XEN_SLOT;
    return true;
  }

  private readonly adjusted = { lo: 0, hi: 0 };

  private validate(mfn: number, type: number): number {
    if (type === FrameType.Writable || type === FrameType.None) return 0;
    const t = this.table;
    const d = this.domainOf(t.owner[mfn]);
    if (!d) return -Errno.EINVAL;
    if (type === FrameType.SegDesc) return validateDescriptorPage(t, mfn, d);
    if (type === FrameType.L4 && d.is32) return -Errno.EINVAL;
    const level = levelOf(type);
    const words = t.mem.u32;
    const base = frameAddress(mfn) >>> 2;
    const out = this.adjusted;
    const compatL3 = type === FrameType.L3 && d.is32;
    for (let i = 0; i < 512; i++) {
      if (!this.guestSlots(type, d, i)) continue;
      const lo = words[base + 2 * i];
      const hi = words[base + 2 * i + 1];
      let error = 0;
      if (compatL3 && i === 3 && (lo & Pte.P) === 0) error = -Errno.EINVAL;
      if (!error && lo & Pte.P) {
        error = this.getEntry(level, lo, hi, d, compatL3 && i === 3);
        if (!error) {
          this.adjust(level, lo, hi, d, out);
          words[base + 2 * i] = out.lo;
          words[base + 2 * i + 1] = out.hi;
        }
      }
      if (error) {
        for (let k = 0; k < i; k++)
          if (this.guestSlots(type, d, k)) this.putEntry(level, words[base + 2 * k], words[base + 2 * k + 1]);
        return error;
      }
    }
    if (type === FrameType.L4) d.initL4?.(mfn);
    else if (type === FrameType.L2Xen) d.initL2Xen?.(mfn);
    t.mem.noteWrite(mfn * PAGE, PAGE);
    return 0;
  }

  private devalidate(mfn: number, type: number): void {
    const t = this.table;
    const d = this.domainOf(t.owner[mfn]);
    invariant(d !== undefined, `page table ${mfn.toString(16)} without an owner`);
    const level = levelOf(type);
    const words = t.mem.u32;
    const base = frameAddress(mfn) >>> 2;
    for (let i = 0; i < 512; i++) {
      if (this.guestSlots(type, d, i)) this.putEntry(level, words[base + 2 * i], words[base + 2 * i + 1]);
      // The hypervisor's own slots go, so that nothing of them stays readable in a frame the guest gets back.
      else if (type !== FrameType.L3) words[base + 2 * i] = words[base + 2 * i + 1] = 0;
    }
    // its kind belongs to what a copy of the domain holds of it (free_page_type marks it dirty too)
    t.mem.noteWrite(mfn * PAGE, PAGE);
  }
}

/** Level (1..4) of a table type. */
export function levelOf(type: number): number {
  return type === FrameType.L2Xen ? 2 : type;
}

function validateDescriptorPage(t: FrameTable, mfn: number, d: PagingDomain): number {
  const words = t.mem.u32;
  const base = frameAddress(mfn) >>> 2;
  for (let i = 0; i < 512; i++) {
    const fixed = checkDescriptor(words[base + 2 * i], words[base + 2 * i + 1], d.is32);
    if (fixed === null) return -Errno.EINVAL;
    words[base + 2 * i + 1] = fixed;
  }
  t.mem.noteWrite(mfn * PAGE, PAGE);
  return 0;
}

/**
 * Whether a guest may have this descriptor (check_descriptor, arch/x86/pv/descriptor-tables.c). Returns the high word to
 * store (privilege raised to the guest kernel's ring), or null when it must be refused.
 */
export function checkDescriptor(lo: number, hi: number, is32: boolean): number | null {
  const present = (hi & 0x8000) !== 0;
  if (!present) return hi >>> 0;
  let b = hi >>> 0;
  // A descriptor's DPL is at least the guest kernel's ring.
  const kernelDpl = is32 ? 1 : 3;
  if (((b >>> 13) & 3) < kernelDpl) b = ((b & ~0x6000) | (kernelDpl << 13)) >>> 0;
  const notSystem = (b & 0x1000) !== 0;
  if (!notSystem) {
    // Call gates into guest code are the only system descriptors Xen ever knew, for 32-bit guests; LDT, TSS and other
    // gates are refused. An all-zero entry is harmless.
    return (b & 0x1f00) === 0 && (lo | (b & 0xff)) === 0 ? b : null;
  }
  // A 32-bit guest may not get into 64-bit mode; L together with D is reserved.
  if (b & 0x800 && b & 0x20_0000 && (is32 || b & 0x40_0000)) return null;
  return b;
}
