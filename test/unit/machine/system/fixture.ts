// A vCPU without an interpreter: memory, a plain EFLAGS, a bus that records, and records of single operations.

import {
  ARENA,
  F,
  OP,
  OpFlag,
  RAM_BASE,
  SLOT_ZERO,
  STATE,
  Seg,
  TLB_ENTRIES,
  TLB_ENTRY_BYTES,
  TLB_INVALID,
  TLB_SUPERVISOR,
  TLB_TAG_EXEC,
  TLB_TAG_READ,
  TLB_TAG_WRITE,
  TLB_USER,
} from '../../../../main/machine/cpu/layout.ts';
import { DEFAULT_CPUID } from '../../../../main/machine/cpu/system/index.ts';
import type { CpuidPolicy, System, SystemContext } from '../../../../main/machine/cpu/system/index.ts';
import { createSystem } from '../../../../main/machine/cpu/system/index.ts';

export const RAM_BYTES = 4 * 1024 * 1024;

/** Descriptor attributes as the high byte pair of a descriptor: type, S, DPL, P | AVL, L, DB, G. */
export const CODE32 = 0xc09b;
export const DATA32 = 0xc093;
export const CODE16 = 0x009b;
export const CODE64 = 0xa09b;

export interface RecordOptions {
  modrm?: number;
  opcode?: number;
  rex?: number;
  size?: 2 | 4 | 8;
  length?: number;
  imm?: number;
  immHigh?: number;
  seg?: number;
  base?: number;
  index?: number;
  scale?: number;
  disp?: number;
  flags?: number;
}

export interface Io {
  port: number;
  size: number;
  value: number | null;
}

export class Fixture {
  readonly memory = new WebAssembly.Memory({ initial: (RAM_BASE + RAM_BYTES) / 65536 });
  readonly u8 = new Uint8Array(this.memory.buffer);
  readonly u32 = new Uint32Array(this.memory.buffer);
  readonly view = new DataView(this.memory.buffer);
  readonly system: System;
  readonly io: Io[] = [];
  readonly flushes: boolean[] = [];
  readonly invalidated: number[] = [];
  readonly noted: number[] = [];
  readonly busMsrs = new Map<number, { lo: number; hi: number }>();
  readonly inputs: number[] = [];
  opened = 0;
  cycles = 1000;
  nested: ((page: number, write: boolean) => number) | undefined;
  policy: CpuidPolicy = DEFAULT_CPUID;

  constructor() {
    const u8 = this.u8;
    const mem = {
      ramBytes: RAM_BYTES,
      u8,
      u16: new Uint16Array(this.memory.buffer),
      u32: this.u32,
      i32: new Int32Array(this.memory.buffer),
      write8: (m: number, v: number) => {
        this.noted.push(m);
        u8[RAM_BASE + m] = v;
      },
      write16: (m: number, v: number) => {
        this.noted.push(m);
        this.view.setUint16(RAM_BASE + m, v, true);
      },
      write32: (m: number, v: number) => {
        this.noted.push(m);
        this.view.setUint32(RAM_BASE + m, v, true);
      },
      noteWrite: (m: number) => void this.noted.push(m),
    };
    const eflags = (STATE + F.eflags) >>> 2;
    const context: SystemContext = {
      mem,
      bus: {
        ioRead: (port, size) => {
          this.io.push({ port, size, value: null });
          return this.inputs.shift() ?? 0xffff_ffff;
        },
        ioWrite: (port, size, value) => void this.io.push({ port, size, value }),
        mmioRead: () => 0x5a5a_5a5a,
        mmioWrite: (maddr, size, value) => void this.io.push({ port: maddr, size, value }),
        readMsr: (_vcpu, msr) => this.busMsrs.get(msr) ?? null,
        writeMsr: (_vcpu, msr, lo, hi) => {
          if (!this.busMsrs.has(msr)) return false;
          this.busMsrs.set(msr, { lo, hi });
          return true;
        },
      },
      readEflags: () => this.u32[eflags],
      writeEflags: (value, mask) => {
        this.u32[eflags] = (this.u32[eflags] & ~mask) | (value & mask) | 2;
      },
      flushTlb: (all) => void this.flushes.push(all),
      invlpg: (lo) => void this.invalidated.push(lo),
      retiredNow: () => this.cycles,
      nested: (page, write) => (this.nested === undefined ? -1 : this.nested(page, write)),
      interruptsEnabled: () => void this.opened++,
      cpuidPolicy: () => this.policy,
    };
    this.system = createSystem(context);
    for (const tlb of [TLB_SUPERVISOR, TLB_USER]) {
      for (let i = 0; i < TLB_ENTRIES; i++) {
        for (const tag of [TLB_TAG_READ, TLB_TAG_WRITE, TLB_TAG_EXEC]) {
          this.u32[(tlb + i * TLB_ENTRY_BYTES + tag) >>> 2] = TLB_INVALID;
        }
      }
    }
    this.set(F.flatLimit, 0xffff_ffff);
    this.set(F.eflags, 2);
    this.set(F.cr0, 0x10);
    this.set(F.faultVector, 0xffff_ffff);
    this.set(F.idtLimit, 0x3ff);
    for (let s = 0; s < 6; s++) this.system.state.setSegment(s, 0, 0, 0xffff, s === Seg.CS ? 0x9b : 0x93);
    this.system.state.setSegment(Seg.LDTR, 0, 0, 0xffff, 0x82);
    this.system.state.setSegment(Seg.TR, 0, 0, 0xffff, 0x8b);
    this.system.recomputeMode();
  }

  get state() {
    return this.system.state;
  }

  get(field: number): number {
    return this.u32[(STATE + field) >>> 2];
  }

  set(field: number, value: number): void {
    this.u32[(STATE + field) >>> 2] = value;
  }

  // ---- machine memory

  put32(maddr: number, ...values: number[]): void {
    values.forEach((v, i) => this.view.setUint32(RAM_BASE + maddr + i * 4, v >>> 0, true));
  }

  put16(maddr: number, ...values: number[]): void {
    values.forEach((v, i) => this.view.setUint16(RAM_BASE + maddr + i * 2, v, true));
  }

  peek32(maddr: number): number {
    return this.view.getUint32(RAM_BASE + maddr, true);
  }

  peek16(maddr: number): number {
    return this.view.getUint16(RAM_BASE + maddr, true);
  }

  // ---- tables

  /** Writes a segment descriptor into the table at `table`. `attr` as CODE32; `limit` in the units its G bit says. */
  descriptor(table: number, selector: number, base: number, limit: number, attr: number): void {
    const at = table + (selector & 0xfff8);
    this.put32(
      at,
      ((base & 0xffff) << 16) | (limit & 0xffff),
      (base & 0xff00_0000) | ((base >>> 16) & 0xff) | ((attr & 0xf0ff) << 8) | (limit & 0xf_0000),
    );
  }

  gate(idt: number, vector: number, selector: number, offset: number, type: number, dpl = 0, present = true): void {
    this.put32(
      idt + vector * 8,
      ((selector & 0xffff) << 16) | (offset & 0xffff),
      (offset & 0xffff_0000) | (present ? 0x8000 : 0) | (dpl << 13) | (type << 8),
    );
  }

  gate64(idt: number, vector: number, selector: number, offset: number, type = 0xe, ist = 0, dpl = 0): void {
    this.put32(
      idt + vector * 16,
      ((selector & 0xffff) << 16) | (offset & 0xffff),
      (offset & 0xffff_0000) | 0x8000 | (dpl << 13) | (type << 8) | ist,
      Math.floor(offset / 2 ** 32),
      0,
    );
  }

  // ---- running

  /** An operation record. */
  record(options: RecordOptions = {}): number {
    const op = ARENA;
    const size = options.size ?? 4;
    this.u8.fill(0, op, op + 32);
    this.u8[op + OP.length] = options.length ?? 2;
    this.u8[op + OP.seg] = options.seg ?? Seg.DS;
    this.u8[op + OP.base] = options.base === undefined ? SLOT_ZERO : options.base * 8;
    this.u8[op + OP.index] = options.index === undefined ? SLOT_ZERO : options.index * 8;
    this.u8[op + OP.scale] = options.scale ?? 0;
    this.u8[op + OP.flags] =
      (options.flags ?? 0) | (size === 2 ? OpFlag.OpSize16 : 0) | (size === 8 ? OpFlag.OpSize64 : 0);
    this.view.setInt32(op + OP.disp, options.disp ?? 0, true);
    this.view.setUint32(op + OP.imm, (options.imm ?? 0) >>> 0, true);
    this.view.setUint32(op + OP.imm + 4, (options.immHigh ?? 0) >>> 0, true);
    const bytes = (options.modrm ?? 0) | ((options.opcode ?? 0) << 8) | ((options.rex ?? 0) << 16);
    this.view.setUint32(op + OP.bytes, bytes, true);
    return op;
  }

  run(name: keyof System['routines'], options: RecordOptions = {}): number {
    return this.system.routines[name](this.record(options));
  }

  /** The pending fault as "vector" or "vector:error", and forgets it. */
  fault(): string {
    const vector = this.get(F.faultVector) | 0;
    const text = this.get(F.faultHasError) === 0 ? `${vector}` : `${vector}:${this.get(F.faultError).toString(16)}`;
    this.set(F.faultVector, 0xffff_ffff);
    return text;
  }

  // ---- modes

  /** Protected mode with a flat GDT at 0x1000, IDT at 0x2000, a 32-bit TSS at 0x3000; stack at 0x8000; CPL 0. */
  protectedMode(): this {
    const gdt = 0x1000;
    this.descriptor(gdt, 0x08, 0, 0xf_ffff, CODE32);
    this.descriptor(gdt, 0x10, 0, 0xf_ffff, DATA32);
    this.descriptor(gdt, 0x18, 0, 0xf_ffff, CODE32 | 0x60);
    this.descriptor(gdt, 0x20, 0, 0xf_ffff, DATA32 | 0x60);
    this.descriptor(gdt, 0x28, 0x3000, 0x67, 0x89);
    this.descriptor(gdt, 0x30, 0, 0xf_ffff, CODE64);
    this.descriptor(gdt, 0x38, 0, 0xf_ffff, CODE64 | 0x60);
    this.descriptor(gdt, 0x40, 0, 0xffff, CODE16);
    this.set(F.gdtBase, gdt);
    this.set(F.gdtLimit, 0xff);
    this.set(F.idtBase, 0x2000);
    this.set(F.idtLimit, 0x7ff);
    this.set(F.cr0, 0x11);
    this.put32(0x3004, 0x9000, 0x10);
    this.put16(0x3066, 0x68);
    const { state } = this;
    state.setSegment(Seg.CS, 0x08, 0, 0xffff_ffff, CODE32);
    for (const s of [Seg.ES, Seg.SS, Seg.DS, Seg.FS, Seg.GS]) state.setSegment(s, 0x10, 0, 0xffff_ffff, DATA32);
    state.setSegment(Seg.TR, 0x28, 0x3000, 0x67, 0x8b);
    state.setReg32(4, 0x8000);
    state.rip = 0x100;
    this.system.recomputeMode();
    return this;
  }

  /** CPL 3 with flat user segments, from protectedMode() or longMode(). */
  userMode(): this {
    const { state } = this;
    const long = state.in64;
    state.setSegment(Seg.CS, long ? 0x3b : 0x1b, 0, 0xffff_ffff, (long ? CODE64 : CODE32) | 0x60);
    for (const s of [Seg.ES, Seg.SS, Seg.DS, Seg.FS, Seg.GS]) state.setSegment(s, 0x23, 0, 0xffff_ffff, DATA32 | 0x60);
    this.set(F.cpl, 3);
    this.system.recomputeMode();
    return this;
  }

  /** Turns on PAE-less paging that maps the first 4 MiB to themselves. Directory at 0x10000, table at 0x11000. */
  pagedMode(): this {
    this.put32(0x1_0000, 0x1_1007);
    for (let i = 0; i < 1024; i++) this.put32(0x1_1000 + i * 4, i * 4096 + 7);
    this.set(F.cr3, 0x1_0000);
    this.set(F.cr0, 0x8000_0011);
    return this;
  }

  /** 64-bit mode, the first 4 MiB mapped to themselves through 4 KiB pages at 0x10000.., IDT at 0x2000, TSS at 0x3000. */
  longMode(): this {
    this.protectedMode();
    this.put32(0x1_0000, 0x1_1007, 0);
    this.put32(0x1_1000, 0x1_2007, 0);
    this.put32(0x1_2000, 0x1_3007, 0, 0x1_4007, 0);
    for (let i = 0; i < 1024; i++) this.put32(0x1_3000 + i * 8, i * 4096 + 7, 0);
    this.set(F.cr3, 0x1_0000);
    this.set(F.cr4, 0x20);
    this.set(F.cr0, 0x8000_0011);
    this.set(F.efer, 0xd01);
    this.set(F.idtLimit, 0xfff);
    this.put32(0x3004, 0x9000, 0);
    this.put32(0x3024, 0xa000, 0);
    this.state.setSegment(Seg.CS, 0x30, 0, 0xffff_ffff, CODE64);
    this.system.recomputeMode();
    return this;
  }
}
