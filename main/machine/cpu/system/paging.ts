// The page walk: from a linear address to a machine frame, as SDM vol. 3, chapter 4 says, with accessed and dirty bits.
// Invariant: a failed walk changes nothing; a successful one has set A on every level it used and D where it allows writing.
// In PAE mode walks start from the PDPTEs that the last load of CR3 latched (SDM vol. 3, 4.4.1); a CR3 that somebody else put into the
// state has none, and they are read from memory.

import { F, PAGE_FLAGS, PageFlag, RAM_BASE } from '../layout.ts';
import type { SystemContext, SystemMemory } from './context.ts';
import { Cr0, Cr4, Efer } from './state.ts';
import type { CpuState } from './state.ts';

/** Kinds of access. */
export const Access = { Read: 0, Write: 1, Exec: 2 } as const;

/** Bits of the page-fault error code (SDM vol. 3, 4.7). */
export const PageError = { Present: 1, Write: 2, User: 4, Reserved: 8, Fetch: 16 } as const;

/** Physical address bits of this CPU (CPUID 0x80000008). */
export const PHYSICAL_BITS = 36;

const PTE_P = 1;
const PTE_W = 2;
const PTE_U = 4;
const PTE_A = 0x20;
const PTE_D = 0x40;
const PTE_PS = 0x80;
const PTE_G = 0x100;
/** Bits 51:36, seen in the high half. */
const RESERVED_HIGH = 0x000f_fff0;
/** Bits 62:36: what PAE paging outside long mode reserves. */
const RESERVED_HIGH_PAE = 0x7fff_fff0;
const NX_HIGH = 0x8000_0000;
/** PDPTE outside long mode: bits 2:1 and 8:5. */
const RESERVED_PDPTE = 0x1e6;

export class PageWalker {
  /** Outcome of the last walk. */
  ok = false;
  /** Machine frame number (may lie outside RAM). */
  frame = 0;
  /** U/S and R/W of all levels together, and not NX. */
  user = false;
  writable = false;
  executable = false;
  /** The leaf entry has G and CR4.PGE is on. */
  global = false;
  /** The leaf entry's dirty bit after this walk. */
  dirty = false;
  /** A write with the asked privilege may be cached in a TLB: allowed, and nothing is left to record. */
  writeOk = false;
  /** 12, 21, 22 or 30. */
  pageSizeBits = 12;
  /** Page-fault error code if not ok. */
  errorCode = 0;
  /** Not ok because there is no second-level translation of nestedGpa, rather than because of a page fault. */
  nestedFault = false;
  nestedGpa = 0;
  /** The missing translation was for an access to a paging structure. */
  nestedTable = false;

  readonly #state: CpuState;
  readonly #mem: SystemMemory;
  readonly #ctx: SystemContext;
  readonly #u32: Uint32Array;
  readonly #u8: Uint8Array;
  /** Machine addresses of the entries used, and their low halves. */
  readonly #entryAddress = new Float64Array(4);
  readonly #entryLow = new Uint32Array(4);
  readonly #entryGpa = new Float64Array(4);
  #depth = 0;
  #nested = false;

  constructor(ctx: SystemContext, state: CpuState) {
    this.#ctx = ctx;
    this.#state = state;
    this.#mem = ctx.mem;
    this.#u32 = ctx.mem.u32;
    this.#u8 = ctx.mem.u8;
  }

  /**
   * Walks for the linear address hi:lo, which must be canonical. `access` is one of Access, `user` means CPL 3.
   * Returns true and fills frame and permissions, or false with errorCode (or nestedFault) set.
   */
  walk(lo: number, hi: number, access: number, user: boolean): boolean {
    this.ok = false;
    this.nestedFault = false;
    this.#depth = 0;
    const state = this.#state;
    this.#nested = state.get32(F.nested) !== 0;
    const cr0 = state.get32(F.cr0);
    if ((cr0 & Cr0.PG) === 0) {
      this.user = this.writable = this.executable = this.dirty = true;
      this.global = false;
      this.pageSizeBits = 12;
      return this.#finish(lo >>> 12, access, true);
    }
    const efer = state.get32(F.efer);
    const cr4 = state.get32(F.cr4);
    if ((cr4 & Cr4.PAE) === 0) return this.#walk32(lo, access, user, cr0, cr4);
    return this.#walk64(lo, hi, access, user, cr0, cr4, efer);
  }

  #walk32(lo: number, access: number, user: boolean, cr0: number, cr4: number): boolean {
    const state = this.#state;
    const directory = (state.get32(F.cr3) & 0xffff_f000) >>> 0;
    if (!this.#fetch(directory + (lo >>> 22) * 4)) return false;
    const pde = this.#entryLow[0];
    if ((pde & PTE_P) === 0) return this.#fail(0, access, user, false);
    let combined = pde;
    let frame: number;
    if ((pde & PTE_PS) !== 0 && (cr4 & Cr4.PSE) !== 0) {
      // PSE-36: bits 16:13 are address bits 35:32, bits 21:17 are reserved (SDM vol. 3, table 4-4)
      if ((pde & 0x3e_0000) !== 0) return this.#fail(PageError.Present | PageError.Reserved, access, user, false);
      frame = ((pde >>> 13) & 0xf) * 0x10_0000 + (pde >>> 22) * 0x400 + ((lo >>> 12) & 0x3ff);
      this.pageSizeBits = 22;
    } else {
      if (!this.#fetch((pde & 0xffff_f000) + ((lo >>> 12) & 0x3ff) * 4)) return false;
      const pte = this.#entryLow[1];
      if ((pte & PTE_P) === 0) return this.#fail(0, access, user, false);
      combined = pde & pte;
      frame = pte >>> 12;
      this.pageSizeBits = 12;
    }
    return this.#allow(frame, combined, false, false, access, user, cr0, cr4);
  }

  #walk64(lo: number, hi: number, access: number, user: boolean, cr0: number, cr4: number, efer: number): boolean {
    const state = this.#state;
    const long = (efer & Efer.LMA) !== 0;
    const nxe = (efer & Efer.NXE) !== 0;
    const reservedHigh = ((long ? RESERVED_HIGH : RESERVED_HIGH_PAE) | (nxe ? 0 : NX_HIGH)) >>> 0;
    const cr3 = state.get32(F.cr3);
    let table: number;
    let combined = PTE_W | PTE_U;
    let nx = false;
    let level: number;
    if (long) {
      table = (state.getHigh(F.cr3) & 0xf) * 0x1_0000_0000 + ((cr3 & 0xffff_f000) >>> 0);
      level = 4;
    } else {
      // The PDPTE has no permissions and no accessed bit
      if (state.get32(F.pdptesFrom) === ((cr3 & 0xffff_ffe0) | 1) >>> 0) {
        this.#entryLow[0] = state.get32(F.pdpte0 + (lo >>> 30) * 8);
        this.#high = state.getHigh(F.pdpte0 + (lo >>> 30) * 8);
      } else if (!this.#fetch64(((cr3 & 0xffff_ffe0) >>> 0) + (lo >>> 30) * 8)) return false;
      const pdpte = this.#entryLow[0];
      if ((pdpte & PTE_P) === 0) return this.#fail(0, access, user, nxe);
      if ((pdpte & RESERVED_PDPTE) !== 0 || (this.#high & 0xffff_fff0) !== 0) {
        return this.#fail(PageError.Present | PageError.Reserved, access, user, nxe);
      }
      table = (this.#high & 0xf) * 0x1_0000_0000 + ((pdpte & 0xffff_f000) >>> 0);
      this.#depth = 0;
      level = 2;
    }
    for (;;) {
      const shift = 12 + 9 * (level - 1);
      const index = shift < 32 ? (lo >>> shift) | (shift === 30 ? (hi << 2) & 0x1ff : 0) : hi >>> (shift - 32);
      if (!this.#fetch64(table + (index & 0x1ff) * 8)) return false;
      const entry = this.#entryLow[this.#depth - 1];
      const high = this.#high;
      if ((entry & PTE_P) === 0) return this.#fail(0, access, user, nxe);
      combined &= entry;
      if ((high & NX_HIGH) !== 0) nx = true;
      let reserved = (high & reservedHigh) !== 0;
      const large = (entry & PTE_PS) !== 0 && level > 1;
      if (large) {
        if (level === 4) reserved = true;
        else if ((entry & 0x3fff_e000 & ((1 << shift) - 1)) !== 0) reserved = true;
      }
      if (reserved) return this.#fail(PageError.Present | PageError.Reserved, access, user, nxe);
      const frame = (high & 0xf) * 0x10_0000 + (entry >>> 12);
      if (level === 1) {
        this.pageSizeBits = 12;
        return this.#allow(frame, (combined & ~PTE_G) | (entry & PTE_G), nx, nxe, access, user, cr0, cr4);
      }
      if (large) {
        this.pageSizeBits = shift;
        const pages = 2 ** (shift - 12);
        const inside = (lo >>> 12) & (pages - 1);
        return this.#allow(
          frame - (frame % pages) + inside,
          (combined & ~PTE_G) | (entry & PTE_G),
          nx,
          nxe,
          access,
          user,
          cr0,
          cr4,
        );
      }
      table = frame * 4096;
      level--;
    }
  }

  /** Checks permissions (SDM vol. 3, 4.6), then records the access. */
  #allow(
    frame: number,
    combined: number,
    nx: boolean,
    nxe: boolean,
    access: number,
    user: boolean,
    cr0: number,
    cr4: number,
  ): boolean {
    const pageUser = (combined & PTE_U) !== 0;
    const pageWritable = (combined & PTE_W) !== 0;
    const mayWrite = pageWritable || (!user && (cr0 & Cr0.WP) === 0);
    if ((user && !pageUser) || (access === Access.Write && !mayWrite) || (access === Access.Exec && nx)) {
      return this.#fail(PageError.Present, access, user, nxe);
    }
    this.user = pageUser;
    this.writable = pageWritable;
    this.executable = !nx;
    const leaf = this.#depth - 1;
    const leafEntry = this.#entryLow[leaf];
    this.global = (leafEntry & PTE_G) !== 0 && (cr4 & Cr4.PGE) !== 0;
    this.dirty = (leafEntry & PTE_D) !== 0 || access === Access.Write;
    if (!this.#finish(frame, access, mayWrite && this.dirty)) return false;
    for (let i = 0; i <= leaf; i++) {
      const wanted = PTE_A | (i === leaf && access === Access.Write ? PTE_D : 0);
      if ((this.#entryLow[i] & wanted) !== wanted && !this.#mark(i, wanted)) return false;
    }
    return true;
  }

  #finish(frame: number, access: number, writeOk: boolean): boolean {
    this.writeOk = writeOk;
    if (this.#nested) {
      // Whether a read-translated frame may also be written is not known here: leave the first write to the slow path
      if (access !== Access.Write) this.writeOk = false;
      const machine = this.#ctx.nested?.(frame, access === Access.Write) ?? -1;
      if (machine < 0) return this.#nestedMiss(frame * 4096, false);
      this.frame = machine;
    } else {
      this.frame = frame;
    }
    this.ok = true;
    return true;
  }

  #fail(bits: number, access: number, user: boolean, nxe: boolean): boolean {
    this.ok = false;
    this.errorCode =
      bits |
      (access === Access.Write ? PageError.Write : 0) |
      (user ? PageError.User : 0) |
      (access === Access.Exec && nxe ? PageError.Fetch : 0);
    return false;
  }

  #nestedMiss(gpa: number, table: boolean): boolean {
    this.ok = false;
    this.nestedFault = true;
    this.nestedGpa = gpa;
    this.nestedTable = table;
    return false;
  }

  #high = 0;

  /** Machine address of a guest-physical table address, or -1. */
  #tableAddress(gpa: number, write: boolean): number {
    if (!this.#nested) return gpa;
    const page = Math.floor(gpa / 4096);
    const machine = this.#ctx.nested?.(page, write) ?? -1;
    if (machine < 0) {
      this.#nestedMiss(gpa, true);
      return -1;
    }
    return machine * 4096 + (gpa % 4096);
  }

  #isRam(maddr: number): boolean {
    return maddr < this.#mem.ramBytes && (this.#u8[PAGE_FLAGS + Math.floor(maddr / 4096)] & PageFlag.Device) === 0;
  }

  /** Reads a 4-byte entry. Outside RAM it reads as all ones. */
  #fetch(gpa: number): boolean {
    const maddr = this.#tableAddress(gpa >>> 0, false);
    if (maddr < 0) return false;
    const at = this.#depth++;
    this.#entryAddress[at] = maddr;
    this.#entryGpa[at] = gpa >>> 0;
    this.#entryLow[at] = this.#isRam(maddr) ? this.#u32[(RAM_BASE + maddr) >>> 2] : 0xffff_ffff;
    return true;
  }

  /** Reads an 8-byte entry: low half into the list, high half into #high. */
  #fetch64(gpa: number): boolean {
    const maddr = this.#tableAddress(gpa, false);
    if (maddr < 0) return false;
    const at = this.#depth++;
    this.#entryAddress[at] = maddr;
    this.#entryGpa[at] = gpa;
    if (this.#isRam(maddr)) {
      const word = (RAM_BASE + maddr) >>> 2;
      this.#entryLow[at] = this.#u32[word];
      this.#high = this.#u32[word + 1];
    } else {
      this.#entryLow[at] = 0xffff_ffff;
      this.#high = 0xffff_ffff;
    }
    return true;
  }

  /** Sets accessed and dirty bits of the entry at `index`. */
  #mark(index: number, bits: number): boolean {
    let maddr = this.#entryAddress[index];
    if (this.#nested) {
      maddr = this.#tableAddress(this.#entryGpa[index], true);
      if (maddr < 0) return false;
    }
    if (!this.#isRam(maddr)) return true;
    this.#u32[(RAM_BASE + maddr) >>> 2] |= bits;
    if ((this.#u8[PAGE_FLAGS + (maddr >>> 12)] & (PageFlag.Code | PageFlag.LogDirty)) !== 0) {
      this.#mem.noteWrite(maddr, 4);
    }
    return true;
  }

  /**
   * Latches the PDPTEs at this CR3 value, as a load of CR3 does in PAE mode outside long mode. False, and nothing has changed, if a
   * present one has a reserved bit set (SDM vol. 3, 4.4.1).
   */
  latchPdptes(cr3: number): boolean {
    const state = this.#state;
    this.#nested = state.get32(F.nested) !== 0;
    const table = (cr3 & 0xffff_ffe0) >>> 0;
    const entries: [number, number][] = [];
    for (let i = 0; i < 4; i++) {
      this.#depth = 0;
      if (!this.#fetch64(table + i * 8)) return false;
      const low = this.#entryLow[0];
      if ((low & PTE_P) !== 0 && ((low & RESERVED_PDPTE) !== 0 || (this.#high & 0xffff_fff0) !== 0)) return false;
      entries.push([low, this.#high]);
    }
    entries.forEach(([low, high], i) => state.set64(F.pdpte0 + i * 8, low, high));
    state.set64(F.pdptesFrom, table | 1, 0);
    return true;
  }
}
