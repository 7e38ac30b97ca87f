// Translation look-aside buffers and the slow paths of guest memory access: page walks, page-crossing and device accesses.
// Invariant: a TLB entry lets generated code do only what the page tables, the segment limits (F.flatLimit) and PAGE_FLAGS allow right now:
// no writes to frames that are write-slow, no access to device frames, no writes before the D bit is set.

import type { Bus } from './bus.ts';
import type { HostMemory } from './host-memory.ts';
import {
  Careful,
  F,
  NESTED,
  NESTED_GENERATION,
  NESTED_TLB,
  OP,
  PAGE_FLAGS,
  PAGE_WRITER,
  PAGE_WRITE_SLOW,
  PageFlag,
  RAM_BASE,
  SCRATCH,
  SEVERAL_WRITERS,
  SLOT_PAGE_BASE,
  STATE,
  Seg,
  TLB_ADDEND,
  TLB_BYTES,
  TLB_ENTRIES,
  TLB_ENTRY_BYTES,
  TLB_FLAGS,
  TLB_INVALID,
  TLB_SUPERVISOR,
  TLB_TAG_EXEC,
  TLB_TAG_READ,
  TLB_TAG_WRITE,
  TlbList,
} from './layout.ts';
import { mayCache } from './system/debug-registers.ts';
import { Access, type System } from './system/index.ts';

const STACK_ACCESS = 256;
const PAGE_MASK = ~0xfff;
/** One generation of NESTED_TLB's tags: they hold 20 bits of page below it. */
const GENERATION = 1 << 20;

export class Tlb {
  readonly #mem: HostMemory;
  readonly #bus: Bus;
  readonly #i32: Int32Array;
  readonly #u32: Uint32Array;
  readonly #u8: Uint8Array;
  #system: System | null = null;
  /** The part of a bounced write that goes to each machine address. */
  #bounceFirst = 0;
  #bounceSecond = 0;
  #bounceSplit = 0;
  /** For the statistics. */
  walks = 0;
  flushes = 0;
  /** Told when a write to a WriteIntercept frame is attempted; true = it was dealt with (dropped). */
  onProtectedWrite: ((maddr: number, bytes: Uint8Array) => void) | null = null;

  constructor(mem: HostMemory, bus: Bus) {
    this.#mem = mem;
    this.#bus = bus;
    this.#i32 = mem.i32;
    this.#u32 = mem.u32;
    this.#u8 = mem.u8;
    this.#u32[TlbList.ramFrames >> 2] = mem.ramBytes / 4096;
    this.#u32[NESTED_GENERATION >> 2] = GENERATION;
  }
  attach(system: System): void {
    this.#system = system;
  }

  // ---- flushing

  #clear(entry: number): void {
    const at = entry >> 2;
    this.#i32[at] = this.#i32[at + 2] = this.#i32[at + 4] = TLB_INVALID;
  }
  /** Empties both TLBs; entries of global pages stay unless `all`. */
  flush(all: boolean): void {
    this.flushes++;
    this.#clearList(TlbList.localCount, TlbList.locals);
    if (!all) return;
    this.#clearList(TlbList.globalCount, TlbList.globals);
    this.#nextGeneration();
  }
  /** Forgets all second-level translations. */
  #nextGeneration(): void {
    const at = NESTED_GENERATION >> 2;
    this.#u32[at] = (this.#u32[at]! + GENERATION) >>> 0;
    if (this.#u32[at] !== 0) return;
    // tags of long ago would be valid again
    this.#u32.fill(0, NESTED_TLB >> 2, (NESTED_TLB + NESTED.entries * NESTED.entryBytes) >> 2);
    this.#u32[at] = GENERATION;
  }
  /** Remembers a second-level translation for the walks in WebAssembly, until the next full flush. @param page guest page below 2^20 */
  rememberNested(page: number, write: boolean, frame: number): void {
    const entry = (NESTED_TLB + (page & (NESTED.entries - 1)) * NESTED.entryBytes) >> 2;
    const tag = (this.#u32[NESTED_GENERATION >> 2]! | page) >>> 0;
    if (this.#u32[entry] !== tag) this.#u32[entry + (NESTED.write >> 2)] = 0;
    this.#u32[entry] = tag;
    if (write) this.#u32[entry + (NESTED.write >> 2)] = tag;
    this.#i32[entry + (NESTED.frame >> 2)] = frame;
  }
  #clearList(count: number, list: number): void {
    const n = this.#u32[count >> 2]!;
    for (let k = 0; k < n; k++) this.#clear(this.#u32[(list >> 2) + k]!);
    this.#u32[count >> 2] = 0;
  }
  /** Forgets one linear page (4 KiB part), global or not. */
  invlpg(lo: number, hi: number): void {
    void hi;
    const offset = ((lo >>> 12) & (TLB_ENTRIES - 1)) * TLB_ENTRY_BYTES;
    this.#clear(TLB_SUPERVISOR + offset);
    this.#clear(TLB_SUPERVISOR + TLB_BYTES + offset);
  }
  /** Takes write permission for every frame away, so that the next write of each passes the slow path (dirty logging starts). */
  dropAllWritable(): void {
    for (const [list, count] of [
      [TlbList.locals, TlbList.localCount],
      [TlbList.globals, TlbList.globalCount],
    ] as const)
      for (let n = 0; n < this.#u32[count >> 2]!; n++)
        this.#i32[(this.#u32[(list >> 2) + n]! + TLB_TAG_WRITE) >> 2] = TLB_INVALID;
  }

  // ---- filling

  #long(): boolean {
    return (this.#i32[(STATE + F.mode) >> 2]! & 2) !== 0;
  }
  #user(): boolean {
    return this.#i32[(STATE + F.cpl) >> 2] === 3;
  }

  /** Walks and fills the entry for a linear address; returns the machine address, or -1 with the fault pending in F. */
  #translate(lo: number, hi: number, access: number): number {
    const system = this.#system!;
    const user = this.#user();
    this.walks++;
    if (system.pageWalk(lo, hi, access, user) === 0) {
      system.guard(() => {
        system.access.raiseWalk(lo, hi, access);
      });
      return -1;
    }
    const walk = system.walk;
    const frame = walk.frame;
    const maddr = frame * 4096 + (lo & 0xfff);
    if (maddr >= this.#mem.ramBytes) return maddr;
    const flags = this.#u8[PAGE_FLAGS + frame]!;
    if (flags & PageFlag.Device) return maddr;
    if (!this.#long() && (lo | 0xfff) >>> 0 > this.#u32[(STATE + F.flatLimit) >> 2]! && access !== Access.Exec)
      return maddr;
    const page = lo & PAGE_MASK;
    const entry =
      (user ? TLB_SUPERVISOR + TLB_BYTES : TLB_SUPERVISOR) + ((lo >>> 12) & (TLB_ENTRIES - 1)) * TLB_ENTRY_BYTES;
    const at = entry >> 2;
    const i32 = this.#i32;
    const listed =
      (i32[at + (TLB_TAG_READ >> 2)]! & i32[at + (TLB_TAG_EXEC >> 2)]! & 1) === 0 &&
      i32[at + (TLB_FLAGS >> 2)] === (walk.global ? 1 : 0);
    const beyond = !this.#long() && (lo | 0xfff) >>> 0 > this.#u32[(STATE + F.flatLimit) >> 2]!;
    const tag = (field: number, on: boolean): void => {
      i32[at + (field >> 2)] = on ? page : TLB_INVALID;
      i32[at + (field >> 2) + 1] = on ? hi : 0;
    };
    const careful = i32[(STATE + F.careful) >> 2] !== 0;
    const may = (kind: number): boolean => !careful || mayCache(system.state, lo, hi, kind, user);
    tag(TLB_TAG_READ, !beyond && may(Access.Read));
    const writable = !beyond && walk.writeOk && walk.dirty && (flags & PAGE_WRITE_SLOW) === 0 && may(Access.Write);
    tag(TLB_TAG_WRITE, writable);
    if (writable) this.#noteWriter(frame, entry);
    tag(TLB_TAG_EXEC, walk.executable && may(Access.Exec));
    i32[at + (TLB_ADDEND >> 2)] = (RAM_BASE + frame * 4096 - page) | 0;
    i32[at + (TLB_FLAGS >> 2)] = walk.global ? 1 : 0;
    if (listed) return maddr;
    const [count, list] = walk.global ? [TlbList.globalCount, TlbList.globals] : [TlbList.localCount, TlbList.locals];
    if (this.#u32[count >> 2]! === TlbList.capacity) {
      // remember the entry just made: a flush clears it with the others
      this.#clearList(count, list);
      this.#clear(entry);
      return maddr;
    }
    this.#u32[(list >> 2) + this.#u32[count >> 2]!++] = entry;
    return maddr;
  }

  /** The entry lets a frame be written (PAGE_WRITER). */
  #noteWriter(frame: number, entry: number): void {
    const u16 = this.#mem.u16;
    const at = (PAGE_WRITER >> 1) + frame;
    const number = (entry - TLB_SUPERVISOR) / TLB_ENTRY_BYTES + 1;
    u16[at] = u16[at] === 0 || u16[at] === number ? number : SEVERAL_WRITERS;
  }

  #fault(vector: number): 0 {
    this.#i32[(STATE + F.faultVector) >> 2] = vector;
    this.#i32[(STATE + F.faultHasError) >> 2] = 1;
    this.#i32[(STATE + F.faultError) >> 2] = 0;
    return 0;
  }
  /** False (with #GP or #SS pending) if the access is not canonical or, beyond F.flatLimit, not within its segment. */
  #addressOk(op: number, lo: number, hi: number, info: number): boolean {
    const bytes = info & 255;
    if (this.#long()) {
      const last = (lo >>> 0) + bytes - 1;
      const lastHi = last > 0xffff_ffff ? hi + 1 : hi;
      if (hi === (hi << 16) >> 16 && (lastHi | 0) === (lastHi << 16) >> 16) return true;
      // a non-canonical address: #SS(0) for stack references, else #GP(0)
      const stack = (info & STACK_ACCESS) !== 0 || (op !== 0 && this.#u8[op + OP.seg] === Seg.SS);
      this.#fault(stack ? 12 : 13);
      return false;
    }
    const limit = this.#u32[(STATE + F.flatLimit) >> 2]!;
    if ((lo >>> 0) + bytes - 1 <= limit) return true;
    const segment = (info & STACK_ACCESS) !== 0 ? Seg.SS : this.#u8[op + OP.seg]!;
    const general = this.#u32[(STATE + F.segBase + segment * 8) >> 2] !== 0;
    // general forms have checked their segment already
    if (general || (this.#i32[(STATE + F.mode) >> 2]! & 8) === 0) return true;
    const segLimit = this.#u32[(STATE + F.segLimit + segment * 4) >> 2]!;
    if (segLimit === 0xffff_ffff || (lo >>> 0) + bytes - 1 <= segLimit) return true;
    this.#fault(segment === Seg.SS ? 12 : 13);
    return false;
  }

  /** False with #AC pending. Notes data breakpoints. */
  #careful(lo: number, hi: number, bytes: number, write: boolean, aligned = bytes): boolean {
    if (this.#i32[(STATE + F.careful) >> 2] === 0) return true;
    if (this.#system!.access.careful(lo, hi, bytes, write, this.#user(), aligned)) return true;
    this.#fault(17);
    return false;
  }

  #isDevice(maddr: number): boolean {
    return maddr >= this.#mem.ramBytes || (this.#u8[PAGE_FLAGS + Math.floor(maddr / 4096)]! & PageFlag.Device) !== 0;
  }

  #readInto(at: number, maddr: number, n: number): void {
    if (!this.#isDevice(maddr)) {
      for (let i = 0; i < n; i++) this.#u8[at + i] = this.#u8[RAM_BASE + maddr + i]!;
      return;
    }
    let i = 0;
    while (i < n) {
      const size = n - i >= 4 ? 4 : n - i >= 2 ? 2 : 1;
      const v = this.#bus.mmioRead(maddr + i, size);
      for (let k = 0; k < size; k++) this.#u8[at + i + k] = v >>> (8 * k);
      i += size;
    }
  }
  #writeFrom(at: number, maddr: number, n: number): void {
    if (!this.#isDevice(maddr)) {
      this.#mem.noteWrite(maddr, n);
      for (let i = 0; i < n; i++) this.#u8[RAM_BASE + maddr + i] = this.#u8[at + i]!;
      return;
    }
    let i = 0;
    while (i < n) {
      const size = n - i >= 4 ? 4 : n - i >= 2 ? 2 : 1;
      let v = 0;
      for (let k = 0; k < size; k++) v |= this.#u8[at + i + k]! << (8 * k);
      this.#bus.mmioWrite(maddr + i, size, v >>> 0);
      i += size;
    }
  }

  #nextPage(lo: number, hi: number): [number, number] {
    const next = ((lo | 0xfff) >>> 0) + 1;
    return next > 0xffff_ffff ? [0, this.#long() ? (hi + 1) | 0 : 0] : [next | 0, hi];
  }

  /** WebAssembly address to read `info & 255` bytes at hi:lo from, or 0 with a fault pending. */
  slowRead(op: number, lo: number, hi: number, info: number): number {
    if (!this.#addressOk(op, lo, hi, info)) return 0;
    const bytes = info & 255;
    if (!this.#careful(lo, hi, bytes, false)) return 0;
    const room = 4096 - (lo & 0xfff);
    const first = this.#translate(lo, hi, Access.Read);
    if (first < 0) return 0;
    if (bytes <= room) {
      if (!this.#isDevice(first)) return RAM_BASE + first;
      this.#readInto(SCRATCH, first, bytes);
      return SCRATCH;
    }
    const [nlo, nhi] = this.#nextPage(lo, hi);
    const second = this.#translate(nlo, nhi, Access.Read);
    if (second < 0) return 0;
    this.#readInto(SCRATCH, first, room);
    this.#readInto(SCRATCH + room, second, bytes - room);
    return SCRATCH;
  }

  /** WebAssembly address to write at; below RAM_BASE the caller stores there and then calls flushBounce. 0 with a fault pending. */
  slowWrite(op: number, lo: number, hi: number, info: number): number {
    return this.#slowWrite(op, lo, hi, info, info & 255);
  }
  #slowWrite(op: number, lo: number, hi: number, info: number, aligned: number): number {
    if (!this.#addressOk(op, lo, hi, info)) return 0;
    const bytes = info & 255;
    if (!this.#careful(lo, hi, bytes, true, aligned)) return 0;
    const room = 4096 - (lo & 0xfff);
    const first = this.#translate(lo, hi, Access.Write);
    if (first < 0) return 0;
    if (bytes <= room) {
      if (!this.#isDevice(first)) {
        this.#mem.noteWrite(first, bytes);
        return RAM_BASE + first;
      }
      this.#bounceFirst = first;
      this.#bounceSplit = bytes;
    } else {
      const [nlo, nhi] = this.#nextPage(lo, hi);
      const second = this.#translate(nlo, nhi, Access.Write);
      if (second < 0) return 0;
      this.#bounceFirst = first;
      this.#bounceSecond = second;
      this.#bounceSplit = room;
    }
    this.#u32[(STATE + F.bounceLen) >> 2] = bytes;
    return SCRATCH;
  }

  /** Like slowWrite, with the present contents at the returned address. */
  slowModify(op: number, lo: number, hi: number, info: number): number {
    // of 16 bytes only MASKMOVDQU may be misaligned, and it needs 8
    const h = this.#slowWrite(op, lo, hi, info, Math.min(info & 255, 8));
    if (h !== 0 && h < RAM_BASE) {
      const bytes = info & 255;
      this.#readInto(SCRATCH, this.#bounceFirst, Math.min(bytes, this.#bounceSplit));
      if (bytes > this.#bounceSplit)
        this.#readInto(SCRATCH + this.#bounceSplit, this.#bounceSecond, bytes - this.#bounceSplit);
    }
    return h;
  }

  flushBounce(): void {
    const bytes = this.#u32[(STATE + F.bounceLen) >> 2]!;
    this.#u32[(STATE + F.bounceLen) >> 2] = 0;
    this.#writeFrom(SCRATCH, this.#bounceFirst, Math.min(bytes, this.#bounceSplit));
    if (bytes > this.#bounceSplit)
      this.#writeFrom(SCRATCH + this.#bounceSplit, this.#bounceSecond, bytes - this.#bounceSplit);
  }

  /** Set by the run loop while it steps through a page with an instruction breakpoint. */
  stepping = false;
  /** The last fetch was refused for an instruction breakpoint in its page: the run loop has to step. */
  stepWanted = false;

  /**
   * Fills the entry for an instruction fetch; 0 with a fault pending, or with none (F.faultVector is negative) and stepWanted set.
   * The page of an instruction breakpoint gets an addend, but is never tagged as executable.
   */
  fetchFill(lo: number, hi: number): number {
    if ((this.#i32[(STATE + F.careful) >> 2]! & (Careful.Code | Careful.Debugger)) !== 0 && !this.stepping)
      if (!mayCache(this.#system!.state, lo, hi, Access.Exec, this.#user())) {
        this.stepWanted = true;
        return 0;
      }
    return this.#fetch(lo, hi);
  }
  #fetch(lo: number, hi: number): number {
    if (this.#long() && hi !== (hi << 16) >> 16) return this.#fault(13);
    const maddr = this.#translate(lo, hi, Access.Exec);
    if (maddr < 0) return 0;
    // Nothing answers a fetch outside RAM: all ones, and FF FF is undefined
    if (this.#isDevice(maddr)) {
      this.#fault(6);
      this.#i32[(STATE + F.faultHasError) >> 2] = 0;
      return 0;
    }
    return 1;
  }

  /** Makes the page behind the executing one fetchable; 0 with a fault pending. */
  fetchCross(): number {
    const base = (STATE + SLOT_PAGE_BASE) >> 2;
    const [lo, hi] = this.#nextPage(this.#i32[base]!, this.#i32[base + 1]!);
    return this.#fetch(lo, hi);
  }
}
