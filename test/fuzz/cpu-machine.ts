// A small machine for fuzzing the CPU core: 256 KiB of memory set up for one of the CPU's modes, random code and registers, a bus whose
// answers follow from the question, and guard regions around what generated code may write.
// Invariant: everything follows from the seed; page tables are not mapped, so that a guest cannot make a TLB stale unless it loads CR3 itself.

import { CpuCore, type CoreOptions } from '../../main/machine/cpu/core.ts';
import { HostMemory } from '../../main/machine/cpu/host-memory.ts';
import { PAGE_CODE, PAGE_FLAGS, RAM_BASE, Seg, VCPU_AREA, VCPU_STATE_BYTES } from '../../main/machine/cpu/layout.ts';
import type { Bus } from '../../main/machine/cpu/bus.ts';
import type { Vcpu, VcpuState } from '../../main/machine/cpu/vcpu.ts';
import type { Random } from './random.ts';
import { randomCode } from './random-code.ts';

export const RAM = 256 * 1024;
export const MODES = [
  'real',
  'vm86',
  'protected16',
  'protected32',
  'paging32',
  'pae',
  'compatibility',
  'long',
] as const;
export type Mode = (typeof MODES)[number];

const IDT = 0x1000;
const GDT = 0x2000;
const TSS = 0x3000;
const TABLES = 0x5000; // eight frames of page tables, never mapped
const TABLES_END = 0xd000;
const CODE = 0x10000;
const CODE_BYTES = 0x4000;
const DATA = 0x18000;
const STACK = 0x20000;
const HANDLERS = 0x30000;
const PATTERN = 0xa5;
/** Cycles that an access of a port waits at most. */
export const LONGEST_WAIT = 15;

/** Devices without memory: answers follow from addresses; an odd byte written to a port raises an interrupt. */
export class FuzzBus implements Bus {
  core: CpuCore | null = null;
  pending = false;
  /** What was written, folded into one number. */
  digest = 0;
  #fold(...values: number[]): void {
    for (const v of values) this.digest = (Math.imul(this.digest ^ v, 0x9e3779b1) ^ (this.digest >>> 15)) >>> 0;
  }
  #answer(a: number, size: number): number {
    const v = Math.imul(a ^ 0x5bd1e995, 0x9e3779b1) >>> 0;
    return size === 4 ? v : v & ((1 << (size * 8)) - 1);
  }
  ioRead(port: number, size: number): number {
    this.#fold(1, port, size);
    this.core!.wait(port & LONGEST_WAIT);
    return this.#answer(port, size);
  }
  ioWrite(port: number, size: number, value: number): void {
    this.#fold(2, port, size, value);
    this.core!.wait(port & LONGEST_WAIT);
    if (value & 1) {
      this.pending = true;
      this.core!.requestExit();
    }
  }
  mmioRead(maddr: number, size: number): number {
    this.#fold(3, maddr, size);
    return this.#answer(maddr, size);
  }
  mmioWrite(maddr: number, size: number, value: number): void {
    this.#fold(4, maddr, size, value);
  }
  readMsr(): { lo: number; hi: number } | null {
    return null;
  }
  writeMsr(): boolean {
    return false;
  }
  interruptPending(): boolean {
    return this.pending;
  }
  acknowledgeInterrupt(): number {
    this.pending = false;
    return 0x40;
  }
}

export interface Snapshot {
  state: VcpuState;
  ram: Uint8Array;
  pending: boolean;
  digest: number;
  /** Cycles since the case began. */
  time: number;
}

/** One core with its memory, used for case after case. */
export class FuzzMachine {
  readonly mem = new HostMemory(RAM);
  readonly bus = new FuzzBus();
  readonly core: CpuCore;
  readonly vcpu: Vcpu;
  /** Where this machine's clock stood when the case began. */
  #origin = 0;
  readonly #guards: [number, number][];

  constructor(options: CoreOptions = {}) {
    this.core = new CpuCore(this.mem, this.bus, options);
    this.vcpu = this.core.createVcpu();
    this.bus.core = this.core;
    this.core.cycles = () => this.time;
    this.core.select(this.vcpu);
    this.#guards = [
      [0, 0x1000],
      [VCPU_AREA + VCPU_STATE_BYTES, VCPU_AREA + 4 * VCPU_STATE_BYTES],
      [PAGE_FLAGS + RAM / 4096 + 4096, PAGE_FLAGS + RAM / 4096 + 8192],
      [PAGE_CODE + (RAM / 4096) * 4, PAGE_CODE + (RAM / 4096) * 4 + 4096],
      [RAM_BASE + RAM, this.mem.u8.length],
    ];
    for (const [from, to] of [this.#guards[0]!, this.#guards[1]!, this.#guards[4]!])
      this.mem.u8.fill(PATTERN, from, to);
  }

  /** The first address outside what the CPU may write that has changed, or -1. */
  trespass(): number {
    for (const [n, [from, to]] of this.#guards.entries()) {
      const expected = n === 2 || n === 3 ? 0 : PATTERN;
      for (let at = from; at < to; at += 4) {
        if (this.mem.u32[at >> 2] !== (expected * 0x01010101) >>> 0) return at;
      }
    }
    return -1;
  }
  flush(): void {
    this.core.tlb.flush(true);
    this.mem.code.flush();
  }
  get time(): number {
    return this.core.busyNow() - this.#origin;
  }
  get ram(): Uint8Array {
    return this.mem.u8.subarray(RAM_BASE, RAM_BASE + RAM);
  }
  snapshot(): Snapshot {
    return {
      state: this.vcpu.saveState(),
      ram: this.ram.slice(),
      pending: this.bus.pending,
      digest: this.bus.digest,
      time: this.time,
    };
  }
  restore(s: Snapshot): void {
    this.mem.copyIn(0, s.ram);
    this.flush();
    this.vcpu.loadState(s.state);
    this.vcpu.injection = null;
    this.bus.pending = s.pending;
    this.bus.digest = s.digest;
    this.#origin = this.core.busyNow() - s.time;
  }
}

const descriptor = (base: number, limit: number, access: number, flags: number): bigint =>
  BigInt(limit & 0xffff) |
  (BigInt(base & 0xffffff) << 16n) |
  (BigInt(access) << 40n) |
  (BigInt(((limit >>> 16) & 15) | (flags << 4)) << 48n) |
  (BigInt(base >>> 24) << 56n);

/** The start of a case: memory and registers of a random program in `mode`. */
export function scene(r: Random, mode: Mode, user: boolean): Snapshot {
  const ram = new Uint8Array(RAM);
  const view = new DataView(ram.buffer);
  const long = mode === 'long' || mode === 'compatibility';
  const real = mode === 'real';
  const paged = long || mode === 'paging32' || mode === 'pae' || (mode === 'vm86' && r.chance(2));
  for (let at = DATA; at < RAM; at += 4) view.setUint32(at, r.chance(3) ? r.bits() : r.below(RAM), true);
  randomCode(r, ram.subarray(CODE, CODE + CODE_BYTES), mode === 'long');
  randomCode(r, ram.subarray(HANDLERS, HANDLERS + 0x1000), long);
  const cpl = mode === 'vm86' || user ? 3 : 0;

  // GDT: null, ring 0 code and data, ring 3 code and data, a TSS, 16-bit code, 64-bit code of both rings, then random descriptors
  const size = mode === 'protected16' ? 0 : 12; // G and D/B
  const limit = mode === 'protected16' ? 0xffff : 0xfffff;
  const gdt = [
    0n,
    descriptor(0, limit, 0x9b, long ? 10 : size),
    descriptor(0, limit, 0x93, size),
    descriptor(0, limit, 0xfb, mode === 'long' ? 10 : size),
    descriptor(0, limit, 0xf3, size),
    descriptor(TSS, 0x20ff, 0x8b, 0),
    0n,
    descriptor(0, 0xffff, 0x9b, 0),
  ];
  gdt.forEach((d, n) => view.setBigUint64(GDT + n * 8, d, true));
  for (let n = 8; n < 64; n++) view.setBigUint64(GDT + n * 8, (BigInt(r.bits()) << 32n) | BigInt(r.bits()), true);
  // Interrupt table: handlers are random code as well, and some gates are broken
  for (let n = 0; n < 256; n++) {
    const target = HANDLERS + r.below(0x800);
    const type = r.chance(8) ? r.below(256) : r.pick(mode === 'protected16' ? [0x86, 0xe7] : [0x8e, 0xef, 0xee]);
    const low = BigInt(target & 0xffff) | (8n << 16n) | (BigInt(type) << 40n) | (BigInt(target >>> 16) << 48n);
    if (long) {
      view.setBigUint64(IDT + n * 16, low | (r.chance(4) ? BigInt(r.below(8)) << 32n : 0n), true);
      view.setBigUint64(IDT + n * 16 + 8, 0n, true);
    } else if (!real) view.setBigUint64(IDT + n * 8, low, true);
    else view.setUint32(n * 4, (0x3000 << 16) | r.below(0x800), true);
  }
  if (long) for (let n = 0; n < 12; n++) view.setBigUint64(TSS + 4 + n * 8, BigInt(STACK + 0x4000 + n * 0x400), true);
  else {
    view.setUint32(TSS + 4, STACK + 0x6000, true);
    view.setUint32(TSS + 8, 0x10, true);
  }
  view.setUint16(TSS + 0x66, 0x68, true);

  // Identity mapping of all but the page tables; some pages read-only, not present, supervisor or not executable
  const wide = long || mode === 'pae';
  const table = (n: number) => TABLES + n * 0x1000;
  if (paged) {
    for (let frame = 0; frame < 1024; frame++) {
      if (wide && frame >= 512) break;
      const address = frame * 0x1000;
      let bits = 7;
      if (address >= RAM || (address >= TABLES && address < TABLES_END)) bits = 0;
      else if (address >= DATA && r.chance(8)) bits = r.below(8);
      let entry = bits ? BigInt(address | bits) : 0n;
      if (bits && address >= DATA && r.chance(12)) entry = BigInt((RAM + r.below(64) * 0x1000) | bits); // a device
      if (wide && bits && r.chance(16) && address >= DATA) entry |= 1n << 63n;
      if (wide) view.setBigUint64(table(3) + frame * 8, entry, true);
      else view.setUint32(table(1) + frame * 4, Number(entry & 0xffffffffn), true);
    }
    if (long) {
      view.setBigUint64(table(0), BigInt(table(1) | 7), true);
      view.setBigUint64(table(1), BigInt(table(2) | 7), true);
      view.setBigUint64(table(2), BigInt(table(3) | 7), true);
    } else if (mode === 'pae') {
      view.setBigUint64(table(0), BigInt(table(2) | 1), true);
      view.setBigUint64(table(2), BigInt(table(3) | 7), true);
    } else view.setUint32(table(0), table(1) | 7, true);
  }

  const m = (sharedMachine ??= new FuzzMachine());
  m.vcpu.reset();
  const s = m.vcpu.saveState();
  const full = (1n << 64n) - 1n;
  const value = (): bigint =>
    r.pick([
      () => BigInt(DATA + r.below(0x8000)),
      () => BigInt(r.below(64)),
      () => BigInt(r.bits()),
      () => ((BigInt(r.bits()) << 32n) | BigInt(r.bits())) & full,
      () => full - BigInt(r.below(256)),
    ])();
  s.registers = s.registers.map((_, n) => (mode === 'long' || n < 8 ? value() & (long ? full : 0xffffffffn) : 0n));
  s.registers[4] = BigInt(
    real || mode === 'vm86' || mode === 'protected16' ? 0x8000 : STACK + 0x2000 + r.below(0x400) * 4,
  );
  const flat = (selector: number, access: number, flags: number) => ({
    selector,
    base: 0n,
    limit: flags & 8 ? 0xffff_ffff : 0xffff,
    attr: access | (flags << 12),
  });
  if (real || mode === 'vm86') {
    const access = mode === 'vm86' ? 0xf3 : 0x93;
    for (const n of [Seg.ES, Seg.SS, Seg.DS, Seg.FS, Seg.GS]) {
      const selector = n === Seg.SS ? 0x2000 : 0x1800 + r.below(0x800);
      s.segments[n] = { selector, base: BigInt(selector * 16), limit: 0xffff, attr: access };
    }
    s.segments[Seg.CS] = {
      selector: CODE >> 4,
      base: BigInt(CODE),
      limit: 0xffff,
      attr: mode === 'vm86' ? 0xf3 : 0x9b,
    };
    s.rip = BigInt(r.below(0x1000));
  } else {
    const data = user ? 0x23 : 0x10;
    for (const n of [Seg.ES, Seg.SS, Seg.DS, Seg.FS, Seg.GS]) s.segments[n] = flat(data, user ? 0xf3 : 0x93, size);
    const codeFlags = mode === 'long' ? 10 : size;
    s.segments[Seg.CS] = {
      ...flat(user ? 0x1b : 8, user ? 0xfb : 0x9b, codeFlags),
      limit: size ? 0xffff_ffff : 0xffff,
    };
    s.rip = BigInt(CODE + r.below(0x1000));
    if (mode === 'protected16') {
      for (const n of [Seg.ES, Seg.SS, Seg.DS]) s.segments[n]!.base = BigInt(n === Seg.SS ? STACK : DATA);
      s.segments[Seg.CS]!.base = BigInt(CODE);
      s.rip = BigInt(r.below(0x1000));
    }
    if (r.chance(4)) {
      // not flat: a short segment somewhere
      const n = r.pick([Seg.ES, Seg.DS, Seg.FS, Seg.GS]);
      s.segments[n]!.limit = r.below(RAM);
      if (!long) s.segments[n]!.base = BigInt(r.below(DATA));
    }
  }
  if (!real) s.segments[Seg.TR] = { selector: 0x28, base: BigInt(TSS), limit: 0x20ff, attr: 0x8b };
  s.segments[Seg.LDTR] = { selector: 0, base: 0n, limit: 0, attr: 0x10000 };
  const f = s.fields;
  f.gdtBase = BigInt(GDT);
  f.gdtLimit = 0x1ffn;
  f.idtBase = BigInt(real ? 0 : IDT);
  f.idtLimit = real ? 0x3ffn : long ? 0xfffn : 0x7ffn;
  f.cr0 =
    BigInt((real ? 0x10 : 0x11) | (paged ? 0x80000000 : 0) | (r.chance(2) ? 0x10000 : 0) | (r.chance(4) ? 0x20 : 0)) &
    0xffffffffn;
  f.cr3 = BigInt(paged ? table(0) : 0);
  f.cr4 = BigInt(0x600 | (wide ? 0x20 : 0) | (mode === 'vm86' && r.chance(2) ? 1 : 0));
  f.efer = BigInt(long ? 0xd01 : wide ? 0x800 : 0);
  f.cpl = BigInt(cpl);
  f.lstar = BigInt(HANDLERS);
  f.cstar = BigInt(HANDLERS);
  f.star = 0x0013_0008_0000_0000n;
  f.sysenterCs = 8n;
  f.sysenterEip = BigInt(HANDLERS);
  f.sysenterEsp = BigInt(STACK + 0x1000);
  f.fpTop = BigInt(r.below(8));
  f.fpTags = BigInt(r.below(256));
  f.mxcsr = 0x1f80n | BigInt(r.below(4) << 13) | (r.chance(4) ? 0x8040n : 0n);
  s.fpr = s.fpr.map(() => ({
    significand: (BigInt(r.bits()) << 32n) | BigInt(r.bits()),
    signExponent: r.below(0x10000),
  }));
  s.xmm = s.xmm.map(() => [(BigInt(r.bits()) << 32n) | BigInt(r.bits()), (BigInt(r.bits()) << 32n) | BigInt(r.bits())]);
  let flags = 2 | (r.bits() & 0xed5);
  if (r.chance(16)) flags |= 0x100;
  // now and then breakpoints on code, data, stack and ports, alignment checks, and an NMI that waits
  if (r.chance(4)) {
    f.cr4! |= r.chance(2) ? 8n : 0n;
    s.dr = [CODE + r.below(0x1000), DATA + r.below(0x8000), STACK + 0x1ff0 + r.below(0x1000), r.below(0x100)].map(
      BigInt,
    );
    const kinds = [0, 1 + 2 * r.below(2), 1 + 2 * r.below(2), 2];
    const controls = kinds.reduce(
      (bits, kind, n) => bits | ((kind | (kind === 0 ? 0 : r.below(4) << 2)) << (16 + n * 4)),
      0,
    );
    s.dr.push(0n, 0n, 0xffff0ff0n, BigInt(((controls | (r.bits() & 0xff)) >>> 0) + 0x400));
  }
  if (r.chance(4)) f.cr0! |= 0x40000n;
  if (r.chance(3)) flags |= 0x40000;
  if (r.chance(8)) f.nmiPending = 1n;
  if (r.chance(8)) f.nmiBlocked = 1n;
  if (mode === 'vm86') flags |= 0x20000 | (r.chance(2) ? 0x3000 : 0);
  else if (r.chance(2)) flags |= 0x3000;
  s.rflags = flags;
  return { state: s, ram, pending: false, digest: 0, time: 0 };
}
let sharedMachine: FuzzMachine | null = null;

/** What differs between two machines after the same program, in words, or null. */
export function difference(a: Snapshot, b: Snapshot): string | null {
  const text = (s: VcpuState) =>
    JSON.stringify(s, (_, v: unknown) => (typeof v === 'bigint' ? v.toString(16) : v)).split(/(?<=[,:[{])/);
  const x = text(a.state);
  const y = text(b.state);
  const at = x.findIndex((v, n) => v !== y[n]);
  if (at >= 0)
    return `state: ${x.slice(Math.max(0, at - 4), at + 3).join('')} and ${y.slice(Math.max(0, at - 4), at + 3).join('')}`;
  if (Buffer.compare(a.ram, b.ram) !== 0) {
    const where = a.ram.findIndex((v, n) => v !== b.ram[n]);
    return `memory at ${where.toString(16)}: ${a.ram[where]!.toString(16)} and ${b.ram[where]!.toString(16)}`;
  }
  if (a.digest !== b.digest || a.pending !== b.pending) return 'device accesses';
  if (a.time !== b.time) return `time: ${a.time} and ${b.time}`;
  return null;
}
