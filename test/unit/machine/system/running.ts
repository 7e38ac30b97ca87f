// A core with a flat 32-bit (or 64-bit) program: segments, an IDT whose handlers are HLT, paging that maps 4 MiB to themselves.

import { EMPTY_BUS, type Bus } from '../../../../main/machine/cpu/bus.ts';
import { CpuCore, type Exit } from '../../../../main/machine/cpu/core.ts';
import { HostMemory } from '../../../../main/machine/cpu/host-memory.ts';
import { F, Seg } from '../../../../main/machine/cpu/layout.ts';
import type { Vcpu } from '../../../../main/machine/cpu/vcpu.ts';

export const CODE = 0x10_0000;
export const DATA = 0x20_0000;
export const STACK = 0x30_0000;
const GDT = 0x1000;
const IDT = 0x2000;
const TSS = 0x3000;
const TABLES = 0x1_0000;
/** Handler of vector n: HLT at HANDLERS + n. */
export const HANDLERS = 0x8000;
const DPL3 = 0x60;

export interface Options {
  long?: boolean;
  user?: boolean;
  bus?: Partial<Bus>;
}

export class Running {
  readonly mem = new HostMemory(4 << 20);
  readonly core: CpuCore;
  readonly vcpu: Vcpu;
  readonly long: boolean;

  constructor(code: number[], options: Options = {}) {
    this.long = options.long ?? false;
    this.core = new CpuCore(this.mem, { ...EMPTY_BUS, ...options.bus });
    const v = (this.vcpu = this.core.createVcpu());
    this.core.select(v);
    this.mem.copyIn(CODE, Uint8Array.from(code));
    this.#tables();
    const dpl = options.user ? DPL3 : 0;
    const rpl = options.user ? 3 : 0;
    const flat = { base: 0n, limit: 0xffff_ffff };
    const data = options.user ? 0x23 : 0x10;
    for (const s of [Seg.ES, Seg.SS, Seg.DS, Seg.FS, Seg.GS])
      v.setSegment(s, { selector: data, attr: 0xc093 | dpl, ...flat });
    v.setSegment(Seg.CS, {
      selector: (options.user ? 0x18 : 8) | rpl,
      attr: (this.long ? 0xa09b : 0xc09b) | dpl,
      ...flat,
    });
    v.setSegment(Seg.TR, { selector: 0x28, base: BigInt(TSS), limit: 0x67, attr: 0x8b });
    v.set64(F.gdtBase, BigInt(GDT));
    v.set32(F.gdtLimit, 0xff);
    v.set64(F.idtBase, BigInt(IDT));
    v.set32(F.idtLimit, 0xfff);
    v.set32(F.cr0, 0x8005_0033);
    v.set32(F.cr4, this.long ? 0x628 : 0x618);
    if (this.long) v.set32(F.efer, 0xd01);
    v.set64(F.cr3, BigInt(TABLES));
    v.cpl = rpl;
    v.setReg(4, BigInt(STACK));
    v.rip = BigInt(CODE);
    v.rflags = 2;
  }

  #tables(): void {
    const { mem } = this;
    const access = this.long ? [0x00af_9b00, 0x00cf_9300, 0x00af_fb00, 0x00cf_f300] : [0x00cf_9b00, 0x00cf_9300, 0x00cf_fb00, 0x00cf_f300]; // prettier-ignore
    access.forEach((hi, n) => {
      mem.write32(GDT + 8 + n * 8, 0xffff);
      mem.write32(GDT + 12 + n * 8, hi);
    });
    for (let n = 0; n < 256; n++) {
      const at = IDT + n * (this.long ? 16 : 8);
      mem.write32(at, 0x8_0000 | (HANDLERS + n));
      mem.write32(at + 4, 0xee00);
      mem.write8(HANDLERS + n, 0xf4);
    }
    mem.write32(TSS + 4, 0x9000 + (this.long ? 0x800 : 0));
    if (!this.long) mem.write32(TSS + 8, 0x10);
    if (!this.long) {
      mem.write32(TABLES, (TABLES + 0x1000) | 7);
      for (let n = 0; n < 1024; n++) mem.write32(TABLES + 0x1000 + n * 4, (n << 12) | 7);
      return;
    }
    mem.write32(TABLES, (TABLES + 0x1000) | 7);
    mem.write32(TABLES + 0x1000, (TABLES + 0x2000) | 7);
    mem.write32(TABLES + 0x2000, 0x87);
    mem.write32(TABLES + 0x2008, 0x20_0087);
  }

  /** DR7 for breakpoint `n`: kind 0 execution, 1 writes, 2 ports, 3 reads and writes; length 1, 2, 4 or 8 bytes. */
  watch(n: number, address: number, kind: number, length: number): this {
    const len = { 1: 0, 2: 1, 8: 2, 4: 3 }[length]!;
    this.vcpu.set64(F.dr + n * 8, BigInt(address));
    const dr7 = this.vcpu.get32(F.dr + 56) | (2 << (n * 2)) | (((len << 2) | kind) << (16 + n * 4));
    this.vcpu.set64(F.dr + 56, BigInt(dr7 >>> 0));
    this.vcpu.onChanged?.();
    return this;
  }

  /** Exceptions leave run() instead of going through the IDT. */
  interceptAll(): this {
    this.vcpu.set32(F.interceptExceptions, 0xffff_ffff);
    return this;
  }

  run(budget = 1000): Exit {
    return this.core.run(this.vcpu, budget);
  }
  get dr6(): number {
    return this.vcpu.get32(F.dr + 48);
  }
  /** Address of the next instruction, relative to CODE. */
  get at(): number {
    return Number(this.vcpu.rip) - CODE;
  }
  /** Clears what a #DB left in DR6, as a debugger does. */
  clearDr6(): void {
    this.vcpu.set64(F.dr + 48, 0xffff_0ff0n);
  }
}
