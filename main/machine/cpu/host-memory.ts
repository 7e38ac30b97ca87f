// A host's memory: one WebAssembly memory that holds the CPU's own structures (layout.ts) and, from RAM_BASE on, machine memory.
// It is reserved in full and committed by the operating system page by page as it is touched.
// Invariant: every write to machine memory that does not come from generated code passes noteWrite.

import {
  MAX_RAM,
  PAGE,
  PAGE_FLAGS,
  PAGE_WRITE_SLOW,
  PageFlag,
  RAM_BASE,
  TLB_ENTRIES,
  TLB_ENTRY_BYTES,
  TLB_INVALID,
  TLB_SUPERVISOR,
} from './layout.ts';
import { CodeCache } from './code-cache.ts';

export class HostMemory {
  readonly memory: WebAssembly.Memory;
  /** Bytes of machine memory. */
  readonly ramBytes: number;
  readonly u8: Uint8Array<ArrayBuffer>;
  readonly u16: Uint16Array<ArrayBuffer>;
  readonly u32: Uint32Array<ArrayBuffer>;
  readonly i32: Int32Array<ArrayBuffer>;
  readonly u64: BigUint64Array<ArrayBuffer>;
  readonly view: DataView<ArrayBuffer>;
  readonly code: CodeCache;
  /** First writes to frames with a dirty log, counted: each took the slow path once. */
  loggedWrites = 0;

  /** @param ramBytes machine memory in bytes, a multiple of 4 KiB and at most MAX_RAM. */
  constructor(ramBytes: number) {
    if (!Number.isInteger(ramBytes) || ramBytes <= 0 || ramBytes % PAGE !== 0 || ramBytes > MAX_RAM)
      throw hostMemoryError(ramBytes);
    this.ramBytes = ramBytes;
    const pages = Math.min(65536, Math.ceil((RAM_BASE + ramBytes) / 65536) + 1);
    this.memory = new WebAssembly.Memory({ initial: pages, maximum: 65536 });
    const b = this.memory.buffer as ArrayBuffer;
    this.u8 = new Uint8Array(b);
    this.u16 = new Uint16Array(b);
    this.u32 = new Uint32Array(b);
    this.i32 = new Int32Array(b);
    this.u64 = new BigUint64Array(b);
    this.view = new DataView(b);
    this.code = new CodeCache(this);
    for (let e = 0; e < 2 * TLB_ENTRIES; e++) {
      const at = (TLB_SUPERVISOR + e * TLB_ENTRY_BYTES) >> 2;
      this.i32[at] = this.i32[at + 2] = this.i32[at + 4] = TLB_INVALID;
    }
  }

  read8(maddr: number): number {
    return this.u8[RAM_BASE + maddr]!;
  }
  read16(maddr: number): number {
    return this.view.getUint16(RAM_BASE + maddr, true);
  }
  read32(maddr: number): number {
    return this.view.getUint32(RAM_BASE + maddr, true);
  }
  write8(maddr: number, v: number): void {
    this.noteWrite(maddr, 1);
    this.u8[RAM_BASE + maddr] = v;
  }
  write16(maddr: number, v: number): void {
    this.noteWrite(maddr, 2);
    this.view.setUint16(RAM_BASE + maddr, v, true);
  }
  write32(maddr: number, v: number): void {
    this.noteWrite(maddr, 4);
    this.view.setUint32(RAM_BASE + maddr, v, true);
  }
  /** A frame's 4,096 bytes. Whoever writes through it calls noteWrite first. */
  frame(mfn: number): Uint8Array<ArrayBuffer> {
    return this.u8.subarray(RAM_BASE + mfn * PAGE, RAM_BASE + (mfn + 1) * PAGE);
  }
  copyIn(maddr: number, bytes: Uint8Array): void {
    this.noteWrite(maddr, bytes.length);
    this.u8.set(bytes, RAM_BASE + maddr);
  }
  /** A copy of `length` bytes. */
  copyOut(maddr: number, length: number): Uint8Array<ArrayBuffer> {
    return this.u8.slice(RAM_BASE + maddr, RAM_BASE + maddr + length);
  }
  fill(maddr: number, value: number, length: number): void {
    this.noteWrite(maddr, length);
    this.u8.fill(value, RAM_BASE + maddr, RAM_BASE + maddr + length);
  }

  /** Says that [maddr, maddr + length) changes: decoded code there is forgotten and the dirty log marked. */
  noteWrite(maddr: number, length: number): void {
    let at = maddr;
    const end = maddr + length;
    while (at < end) {
      const frame = Math.floor(at / PAGE);
      const offset = at - frame * PAGE;
      const n = Math.min(PAGE - offset, end - at);
      const flags = this.u8[PAGE_FLAGS + frame]!;
      if (flags & PAGE_WRITE_SLOW) {
        if (flags & PageFlag.Code) this.code.invalidate(frame, offset, n);
        if (flags & PageFlag.LogDirty) {
          this.u8[PAGE_FLAGS + frame] = (flags & ~PageFlag.LogDirty) | PageFlag.Dirty;
          this.loggedWrites++;
        }
      }
      at += n;
    }
  }
}

function hostMemoryError(ramBytes: number): Error {
  return new RangeError(
    `A host cannot have ${ramBytes} bytes of memory: it takes whole pages of 4 KiB, from 4 KiB to ${MAX_RAM / 1048576} MiB.`,
  );
}
