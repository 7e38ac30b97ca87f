// Guest memory as TypeScript reaches it: effective addresses, segment checks, paging, privilege, device memory.
// Invariant: an access either happens wholly or raises the exact fault before any byte is written.

import {
  Careful,
  F,
  OP,
  PAGE_FLAGS,
  PAGE_WRITE_SLOW,
  PageFlag,
  RAM_BASE,
  STATE,
  Seg,
  SegAttr,
  TLB_ADDEND,
  TLB_ENTRIES,
  TLB_ENTRY_BYTES,
  TLB_SUPERVISOR,
  TLB_TAG_EXEC,
  TLB_TAG_READ,
  TLB_TAG_WRITE,
  TLB_USER,
} from '../layout.ts';
import type { SystemContext } from './context.ts';
import { dataBreakpoints } from './debug-registers.ts';
import { ExitCode } from './exit.ts';
import { Vector, leave, raiseError } from './fault.ts';
import { Access } from './paging.ts';
import type { PageWalker } from './paging.ts';
import { highHalf, isCanonical } from './state.ts';
import type { CpuState } from './state.ts';

const CAREFUL = (STATE + F.careful) >>> 2;
const TAG_OFFSET = [TLB_TAG_READ, TLB_TAG_WRITE, TLB_TAG_EXEC];

/** True if bytes offset .. offset+size-1 lie in a segment (SDM vol. 3, 5.3). Wrapping past 4 GiB is let through for a 4 GiB limit. */
export function withinLimit(attr: number, limit: number, offset: number, size: number): boolean {
  const last = offset + size - 1;
  if ((attr & (SegAttr.Code | SegAttr.DC | SegAttr.NotSystem)) === (SegAttr.DC | SegAttr.NotSystem)) {
    const top = (attr & SegAttr.DB) !== 0 ? 0xffff_ffff : 0xffff;
    return offset > limit && last <= top;
  }
  return last <= limit || limit === 0xffff_ffff;
}

export class GuestAccess {
  /** High half of the last 8-byte read. */
  hi = 0;
  readonly #ctx: SystemContext;
  readonly #state: CpuState;
  readonly #walker: PageWalker;
  readonly #u8: Uint8Array;
  readonly #u16: Uint16Array;
  readonly #u32: Uint32Array;
  readonly #i32: Int32Array;
  #slow = 0;

  constructor(ctx: SystemContext, state: CpuState, walker: PageWalker) {
    this.#ctx = ctx;
    this.#state = state;
    this.#walker = walker;
    this.#u8 = ctx.mem.u8;
    this.#u16 = ctx.mem.u16;
    this.#u32 = ctx.mem.u32;
    this.#i32 = ctx.mem.i32;
  }

  // ---- addresses

  /** Offset of an operation's memory operand: base + (index << scale) + displacement, in the operation's address size. */
  effectiveAddress(op: number): number {
    const u32 = this.#u32;
    const width = this.#state.addressSize(op);
    const base = (STATE + this.#u8[op + OP.base]) >>> 2;
    const index = (STATE + this.#u8[op + OP.index]) >>> 2;
    const scale = this.#u8[op + OP.scale];
    const disp = this.#i32[(op + OP.disp) >>> 2];
    if (width !== 8) {
      const sum = u32[base] + ((u32[index] << scale) >>> 0) + disp;
      return width === 4 ? sum >>> 0 : sum & 0xffff;
    }
    const indexLo = u32[index];
    const lo = u32[base] + ((indexLo << scale) >>> 0) + (disp >>> 0);
    const indexHi = scale === 0 ? u32[index + 1] : (u32[index + 1] << scale) | (indexLo >>> (32 - scale));
    const carry = lo >= 0x2_0000_0000 ? 2 : lo >= 0x1_0000_0000 ? 1 : 0;
    const hi = (u32[base + 1] + indexHi + (disp >> 31) + carry) | 0;
    return hi * 0x1_0000_0000 + (lo >>> 0);
  }

  /**
   * Checks segment type, limit and canonical form of an access and returns its linear address.
   * Raises #SS(0) for SS, #GP(0) for the others (SDM vol. 3, 5.3 to 5.5; vol. 1, 3.3.7.1).
   */
  linear(segment: number, offset: number, size: number, write: boolean): number {
    const state = this.#state;
    if (state.in64) {
      const base = segment === Seg.FS || segment === Seg.GS ? state.base(segment) : 0;
      const address = base + offset;
      if (!isCanonical(address) || !isCanonical(address + size - 1)) this.#segmentFault(segment);
      return address;
    }
    const attr = state.attr(segment);
    if ((attr & SegAttr.Unusable) !== 0) this.#segmentFault(segment);
    if (!state.paragraphMode) {
      const readable = (attr & SegAttr.Code) === 0 || (attr & SegAttr.RW) !== 0;
      const writable = (attr & (SegAttr.Code | SegAttr.RW)) === SegAttr.RW;
      if (write ? !writable : !readable) this.#segmentFault(segment);
    }
    if (!withinLimit(attr, state.limit(segment), offset, size)) this.#segmentFault(segment);
    return (state.base(segment) + offset) >>> 0;
  }

  #segmentFault(segment: number): never {
    raiseError(this.#state, segment === Seg.SS ? Vector.SS : Vector.GP, 0);
  }

  /** Linear address of an operation's memory operand of `size` bytes, `plus` bytes further on. */
  operand(op: number, size: number, write: boolean, plus = 0): number {
    let offset = this.effectiveAddress(op);
    if (plus !== 0) {
      const width = this.#state.addressSize(op);
      offset = width === 8 ? offset + plus : width === 4 ? (offset + plus) >>> 0 : (offset + plus) & 0xffff;
    }
    return this.linear(this.#u8[op + OP.seg], offset, size, write);
  }

  /** True if the running code has user privilege (CPL 3). */
  get user(): boolean {
    return this.#state.cpl === 3;
  }

  // ---- debug registers and alignment

  /**
   * What an access of `size` bytes at hi:lo has to pass while F.careful is not 0: notes data breakpoints it touches, and says whether
   * it is aligned where that is checked.
   */
  careful(lo: number, hi: number, size: number, write: boolean, user: boolean, aligned = size): boolean {
    if (!this.#aligned(lo, aligned, user)) return false;
    if ((this.#u32[CAREFUL] & Careful.Data) !== 0) this.debugTrap(dataBreakpoints(this.#state, lo, hi, size, write));
    return true;
  }

  /** Natural alignment, 8 for 10 bytes, as on the reference CPU. Of larger operands the parts are looked at again. */
  #aligned(lo: number, size: number, user: boolean): boolean {
    if ((this.#u32[CAREFUL] & Careful.Alignment) === 0 || !user) return true;
    const natural = size === 10 ? 8 : size <= 16 && (size & (size - 1)) === 0 ? size : 2;
    return (lo & (natural - 1)) === 0;
  }

  /** Raises #AC if an operand that is read in parts is misaligned where that is checked. */
  requireAligned(linear: number, size: number, user: boolean): void {
    if (!this.#aligned(linear >>> 0, size, user)) raiseError(this.#state, Vector.AC, 0);
  }

  /** Makes a #DB with these bits of DR6 pending for the end of the instruction. */
  debugTrap(bits: number): void {
    if (bits === 0) return;
    this.#state.set32(F.pendingDebug, this.#state.get32(F.pendingDebug) | bits);
    this.#ctx.boundary?.();
  }

  #watch(linear: number, size: number, write: boolean, user: boolean): void {
    if (!this.careful(linear >>> 0, highHalf(linear), size, write, user)) raiseError(this.#state, Vector.AC, 0);
  }

  // ---- translation

  /**
   * WebAssembly address of a linear address that may be read (written, fetched) directly; or -1 if the access needs the slow way,
   * with the machine address in #slow. Raises #PF.
   */
  #locate(linear: number, access: number, user: boolean): number {
    const lo = linear >>> 0;
    const page = (lo & 0xffff_f000) | 0;
    const entry = (user ? TLB_USER : TLB_SUPERVISOR) + ((lo >>> 12) & (TLB_ENTRIES - 1)) * TLB_ENTRY_BYTES;
    const tag = (entry + TAG_OFFSET[access]) >>> 2;
    if (this.#i32[tag] === page && this.#i32[tag + 1] === highHalf(linear)) {
      return (lo + this.#u32[(entry + TLB_ADDEND) >>> 2]) >>> 0;
    }
    const maddr = this.translate(linear, access, user);
    if (maddr < this.#ctx.mem.ramBytes) {
      const flags = this.#u8[PAGE_FLAGS + (maddr >>> 12)];
      if ((flags & (access === Access.Write ? PAGE_WRITE_SLOW : PageFlag.Device)) === 0) return RAM_BASE + maddr;
    }
    this.#slow = maddr;
    return -1;
  }

  /** Machine address of a canonical linear address. Raises #PF, or leaves with a nested fault. */
  translate(linear: number, access: number, user: boolean): number {
    const walker = this.#walker;
    const lo = linear >>> 0;
    const hi = highHalf(linear);
    if (!walker.walk(lo, hi, access, user)) this.raiseWalk(lo, hi, access);
    return walker.frame * 4096 + (lo & 0xfff);
  }

  /** Raises what the last, failed walk found. */
  raiseWalk(lo: number, hi: number, access: number): never {
    const walker = this.#walker;
    if (walker.nestedFault) {
      const gpa = walker.nestedTable ? walker.nestedGpa : walker.nestedGpa + (lo & 0xfff);
      leave(this.#state, ExitCode.NestedFault, gpa >>> 0, highHalf(gpa), access | (walker.nestedTable ? 0x100 : 0));
    }
    this.#state.set64(F.cr2, lo, hi);
    raiseError(this.#state, Vector.PF, walker.errorCode);
  }

  /** Raises #AC or #PF if `size` bytes at a linear address cannot be accessed. */
  probe(linear: number, size: number, access: number, user: boolean): void {
    this.requireAligned(linear, size, user);
    this.#locate(linear, access, user);
    // a fault on the second page reports that page's first byte
    const room = 4096 - ((linear >>> 0) % 4096);
    if (room < size) this.#locate(this.#step(linear, room), access, user);
  }

  #step(linear: number, by: number): number {
    const next = linear + by;
    return this.#state.longModeActive ? next : next >>> 0;
  }

  // ---- reads

  read8(linear: number, user: boolean): number {
    if (this.#u32[CAREFUL] !== 0) this.#watch(linear, 1, false, user);
    const at = this.#locate(linear, Access.Read, user);
    return at >= 0 ? this.#u8[at] : this.#readSlow(this.#slow, 1);
  }

  read16(linear: number, user: boolean): number {
    if (this.#u32[CAREFUL] !== 0) this.#watch(linear, 2, false, user);
    if (((linear >>> 0) & 0xfff) > 0xffe) return this.#readBytes(linear, 2, user);
    const at = this.#locate(linear, Access.Read, user);
    if (at < 0) return this.#readSlow(this.#slow, 2);
    return (at & 1) === 0 ? this.#u16[at >>> 1] : this.#u8[at] | (this.#u8[at + 1] << 8);
  }

  read32(linear: number, user: boolean): number {
    if (this.#u32[CAREFUL] !== 0) this.#watch(linear, 4, false, user);
    if (((linear >>> 0) & 0xfff) > 0xffc) return this.#readBytes(linear, 4, user);
    const at = this.#locate(linear, Access.Read, user);
    if (at < 0) return this.#readSlow(this.#slow, 4);
    if ((at & 3) === 0) return this.#u32[at >>> 2];
    const u8 = this.#u8;
    return (u8[at] | (u8[at + 1] << 8) | (u8[at + 2] << 16) | (u8[at + 3] << 24)) >>> 0;
  }

  /** Reads 2, 4 or 8 bytes; the high half is left in `hi` (0 for the smaller sizes). */
  readSized(linear: number, size: number, user: boolean): number {
    this.hi = 0;
    if (size === 1) return this.read8(linear, user);
    if (size === 2) return this.read16(linear, user);
    if (size === 8 && this.#u32[CAREFUL] !== 0) this.#watch(linear, 8, false, user);
    const lo = this.read32(linear, user);
    if (size === 8) this.hi = this.read32(this.#step(linear, 4), user);
    return lo;
  }

  /** Reads 8 bytes as a signed number, for addresses. */
  readAddress(linear: number, user: boolean): number {
    const lo = this.readSized(linear, 8, user);
    return (this.hi | 0) * 0x1_0000_0000 + lo;
  }

  #readBytes(linear: number, size: number, user: boolean): number {
    let value = 0;
    for (let i = 0; i < size; i++) value |= this.read8(this.#step(linear, i), user) << (8 * i);
    return value >>> 0;
  }

  #readSlow(maddr: number, size: number): number {
    return this.#ctx.bus.mmioRead(maddr, size) >>> 0;
  }

  // ---- writes

  write8(linear: number, value: number, user: boolean): void {
    if (this.#u32[CAREFUL] !== 0) this.#watch(linear, 1, true, user);
    const at = this.#locate(linear, Access.Write, user);
    if (at >= 0) this.#u8[at] = value;
    else this.#writeSlow(this.#slow, 1, value);
  }

  write16(linear: number, value: number, user: boolean): void {
    if (this.#u32[CAREFUL] !== 0) this.#watch(linear, 2, true, user);
    if (((linear >>> 0) & 0xfff) > 0xffe) return this.#writeBytes(linear, 2, value, user);
    const at = this.#locate(linear, Access.Write, user);
    if (at < 0) this.#writeSlow(this.#slow, 2, value);
    else if ((at & 1) === 0) this.#u16[at >>> 1] = value;
    else {
      this.#u8[at] = value;
      this.#u8[at + 1] = value >>> 8;
    }
  }

  write32(linear: number, value: number, user: boolean): void {
    if (this.#u32[CAREFUL] !== 0) this.#watch(linear, 4, true, user);
    if (((linear >>> 0) & 0xfff) > 0xffc) return this.#writeBytes(linear, 4, value, user);
    const at = this.#locate(linear, Access.Write, user);
    if (at < 0) this.#writeSlow(this.#slow, 4, value);
    else if ((at & 3) === 0) this.#u32[at >>> 2] = value;
    else {
      for (let i = 0; i < 4; i++) this.#u8[at + i] = value >>> (8 * i);
    }
  }

  /** Writes 1, 2, 4 or 8 bytes. */
  writeSized(linear: number, size: number, lo: number, hi: number, user: boolean): void {
    if (size === 1) this.write8(linear, lo, user);
    else if (size === 2) this.write16(linear, lo, user);
    else if (size === 4) this.write32(linear, lo, user);
    else {
      if (this.#u32[CAREFUL] !== 0) this.#watch(linear, 8, true, user);
      this.probe(linear, 8, Access.Write, user);
      this.write32(linear, lo, user);
      this.write32(this.#step(linear, 4), hi, user);
    }
  }

  #writeBytes(linear: number, size: number, value: number, user: boolean): void {
    this.probe(linear, size, Access.Write, user);
    for (let i = 0; i < size; i++) this.write8(this.#step(linear, i), value >>> (8 * i), user);
  }

  #writeSlow(maddr: number, size: number, value: number): void {
    const mem = this.#ctx.mem;
    if (maddr >= mem.ramBytes || (this.#u8[PAGE_FLAGS + (maddr >>> 12)] & PageFlag.Device) !== 0) {
      this.#ctx.bus.mmioWrite(maddr, size, value);
    } else if (size === 1) mem.write8(maddr, value & 0xff);
    else if (size === 2) mem.write16(maddr, value & 0xffff);
    else mem.write32(maddr, value >>> 0);
  }
}
