// A virtual CPU: its registers by name, whether it is running on the core (state at STATE) or parked (state in VCPU_AREA).
// Invariant: all accessors go through `base`, which the core moves; nobody keeps an address into a vCPU's state.

import type { HostMemory } from './host-memory.ts';
import { readEflags, writeEflags } from './flag-functions.ts';
import { F, GPR, STATE, STATE_BYTES, Seg, VCPU_AREA, VCPU_STATE_BYTES } from './layout.ts';

/** One segment register. `attr` as in F.segAttr. */
export interface SegmentState {
  selector: number;
  base: bigint;
  limit: number;
  attr: number;
}

/** An event to be delivered before the next instruction (SDM vol. 3, 24.8.3). */
export interface Injection {
  vector: number;
  error: number | null;
  kind: 'fault' | 'trap' | 'external' | 'software' | 'nmi';
  /** Bytes to skip for software events. */
  length: number;
}

/** The whole architectural state, named and versioned. Numbers are unsigned. */
export interface VcpuState {
  version: 1;
  registers: bigint[];
  rip: bigint;
  rflags: number;
  segments: SegmentState[];
  fields: Record<string, bigint>;
  dr: bigint[];
  /** Memory type range registers: eight pairs of base and mask, eleven fixed ranges, the default type. */
  mtrr: bigint[];
  fpr: { significand: bigint; signExponent: number }[];
  xmm: [bigint, bigint][];
}

/** Fields saved by name besides registers, segments and vectors. */
const FIELDS_64 = [
  'gdtBase',
  'idtBase',
  'cr2',
  'cr3',
  'star',
  'lstar',
  'cstar',
  'sfmask',
  'kernelGsBase',
  'sysenterCs',
  'sysenterEsp',
  'sysenterEip',
  'pat',
  'tscAux',
  'tscOffset',
  'apicBase',
  'miscEnable',
  'retired',
  'pdpte0',
  'pdpte1',
  'pdpte2',
  'pdpte3',
  'pdptesFrom',
  'fpIp',
  'fpDp',
] as const;
const FIELDS_32 = [
  'gdtLimit',
  'idtLimit',
  'cr0',
  'cr4',
  'cr8',
  'efer',
  'shadow',
  'pendingDebug',
  'nmiBlocked',
  'nmiPending',
  'halted',
  'fpTop',
  'fpStatus',
  'fpControl',
  'fpTags',
  'fpOpcode',
  'fpCs',
  'fpDs',
  'mxcsr',
] as const;

export class Vcpu {
  readonly index: number;
  readonly #mem: HostMemory;
  /** WebAssembly address of the state now. Moved by the core. */
  base: number;
  /** Delivered at the next run. */
  injection: Injection | null = null;
  /** It has stopped before the instruction at its breakpoint (linear address), which has not retired since: that runs next. */
  stoppedAt: bigint | null = null;
  /** Set by the owner: second-level translation. */
  onChanged: (() => void) | null = null;

  constructor(mem: HostMemory, index: number) {
    this.#mem = mem;
    this.index = index;
    this.base = VCPU_AREA + index * VCPU_STATE_BYTES;
  }

  get32(offset: number): number {
    return this.#mem.u32[(this.base + offset) >>> 2]!;
  }
  set32(offset: number, v: number): void {
    this.#mem.u32[(this.base + offset) >>> 2] = v;
  }
  get64(offset: number): bigint {
    return this.#mem.u64[(this.base + offset) >>> 3]!;
  }
  set64(offset: number, v: bigint): void {
    this.#mem.u64[(this.base + offset) >>> 3] = v;
  }

  getReg(n: number): bigint {
    return this.get64(GPR + n * 8);
  }
  setReg(n: number, v: bigint): void {
    this.set64(GPR + n * 8, v);
  }
  regLo(n: number): number {
    return this.get32(GPR + n * 8);
  }
  regHi(n: number): number {
    return this.get32(GPR + n * 8 + 4);
  }
  /** Writes 64 bits from two halves. */
  setRegParts(n: number, lo: number, hi: number): void {
    this.set32(GPR + n * 8, lo);
    this.set32(GPR + n * 8 + 4, hi);
  }
  get rip(): bigint {
    return this.get64(F.rip);
  }
  set rip(v: bigint) {
    this.set64(F.rip, v);
  }
  get rflags(): number {
    return this.withState(() => readEflags(this.#mem.i32));
  }
  set rflags(v: number) {
    this.withState(() => writeEflags(this.#mem.i32, v, 0xffff_ffff | 0));
    this.onChanged?.();
  }
  get cpl(): number {
    return this.get32(F.cpl);
  }
  set cpl(v: number) {
    this.set32(F.cpl, v);
  }
  segment(n: number): SegmentState {
    return {
      selector: this.get32(F.selector + n * 4),
      base: this.get64(F.segBase + n * 8),
      limit: this.get32(F.segLimit + n * 4),
      attr: this.get32(F.segAttr + n * 4),
    };
  }
  setSegment(n: number, s: SegmentState): void {
    this.set32(F.selector + n * 4, s.selector);
    this.set64(F.segBase + n * 8, s.base);
    this.set32(F.segLimit + n * 4, s.limit);
    this.set32(F.segAttr + n * 4, s.attr);
  }
  get halted(): boolean {
    return this.get32(F.halted) !== 0;
  }
  set halted(v: boolean) {
    this.set32(F.halted, v ? 1 : 0);
  }
  /** Delivers an event through the guest's tables before its next instruction; an NMI as soon as none is being handled. */
  inject(vector: number, error: number | null, kind: Injection['kind'], length = 0): void {
    // an NMI waits while another is being handled; a second one behind it is lost (SDM vol. 3, 6.7.1)
    if (kind === 'nmi') this.set32(F.nmiPending, 1);
    else this.injection = { vector, error, kind, length };
  }

  /** Runs `body` with this vCPU's flags where flag-functions.ts looks for them. */
  private withState<T>(body: () => T): T {
    if (this.base === STATE) return body();
    const u8 = this.#mem.u8;
    const saved = u8.slice(STATE + F.ccR, STATE + F.fuel);
    u8.copyWithin(STATE + F.ccR, this.base + F.ccR, this.base + F.fuel);
    const result = body();
    u8.copyWithin(this.base + F.ccR, STATE + F.ccR, STATE + F.fuel);
    u8.set(saved, STATE + F.ccR);
    return result;
  }

  saveState(): VcpuState {
    const fields: Record<string, bigint> = {};
    for (const f of FIELDS_64) fields[f] = this.get64(F[f]);
    for (const f of FIELDS_32) fields[f] = BigInt(this.get32(F[f]));
    fields.cpl = BigInt(this.cpl);
    return {
      version: 1,
      registers: Array.from({ length: 16 }, (_, n) => this.getReg(n)),
      rip: this.rip,
      rflags: this.rflags,
      segments: Array.from({ length: 8 }, (_, n) => this.segment(n)),
      fields,
      dr: Array.from({ length: 8 }, (_, n) => this.get64(F.dr + n * 8)),
      mtrr: Array.from({ length: 28 }, (_, n) => this.get64(F.mtrrVariable + n * 8)),
      fpr: Array.from({ length: 8 }, (_, n) => ({
        significand: this.get64(F.fpr + n * 16),
        signExponent: this.get32(F.fpr + n * 16 + 8) & 0xffff,
      })),
      xmm: Array.from({ length: 16 }, (_, n) => [this.get64(F.xmm + n * 16), this.get64(F.xmm + n * 16 + 8)]),
    };
  }

  loadState(s: VcpuState): void {
    s.registers.forEach((v, n) => this.setReg(n, v));
    this.rip = s.rip;
    s.segments.forEach((v, n) => this.setSegment(n, v));
    // fields that came later are zero in older states
    for (const f of FIELDS_64) this.set64(F[f], s.fields[f] ?? 0n);
    for (const f of FIELDS_32) this.set32(F[f], Number(s.fields[f] ?? 0n));
    this.cpl = Number(s.fields.cpl);
    s.dr.forEach((v, n) => this.set64(F.dr + n * 8, v));
    s.mtrr.forEach((v, n) => this.set64(F.mtrrVariable + n * 8, v));
    s.fpr.forEach((v, n) => {
      this.set64(F.fpr + n * 16, v.significand);
      this.set64(F.fpr + n * 16 + 8, BigInt(v.signExponent));
    });
    s.xmm.forEach((v, n) => {
      this.set64(F.xmm + n * 16, v[0]);
      this.set64(F.xmm + n * 16 + 8, v[1]);
    });
    this.rflags = s.rflags;
    this.onChanged?.();
  }

  /** Power-on state (SDM vol. 3, table 9-1). */
  reset(): void {
    const u8 = this.#mem.u8;
    const keepIndex = this.index;
    u8.fill(0, this.base, this.base + STATE_BYTES);
    this.set32(F.index, keepIndex);
    this.rip = 0xfff0n;
    this.set32(F.eflags, 2);
    this.set64(F.ccR, 1n);
    this.setReg(2, 0x000106can); // EDX: processor signature, as CPUID leaf 1 has it
    const data = { selector: 0, base: 0n, limit: 0xffff, attr: 0x93 };
    for (const n of [Seg.ES, Seg.SS, Seg.DS, Seg.FS, Seg.GS]) this.setSegment(n, data);
    this.setSegment(Seg.CS, { selector: 0xf000, base: 0xffff0000n, limit: 0xffff, attr: 0x9b });
    this.setSegment(Seg.LDTR, { selector: 0, base: 0n, limit: 0xffff, attr: 0x82 });
    this.setSegment(Seg.TR, { selector: 0, base: 0n, limit: 0xffff, attr: 0x8b });
    this.set32(F.gdtLimit, 0xffff);
    this.set32(F.idtLimit, 0xffff);
    this.set32(F.cr0, 0x60000010);
    this.set64(F.dr + 6 * 8, 0xffff0ff0n);
    this.set64(F.dr + 7 * 8, 0x400n);
    this.set64(F.pat, 0x0007040600070406n);
    this.set64(F.apicBase, 0xfee00800n | (this.index === 0 ? 0x100n : 0n));
    this.set64(F.miscEnable, 1n);
    this.set32(F.fpControl, 0x37f);
    this.set32(F.mxcsr, 0x1f80);
    this.set32(F.faultVector, 0xffff_ffff);
    this.onChanged?.();
  }
}
