// The generated events and privilege changes against the system routines from random states: same registers, memory and interrupts looked for.

import { describe, expect, it } from 'vitest';
import { readEflags } from '../../../../main/machine/cpu/flag-functions.ts';
import {
  ARENA,
  Clock,
  F,
  FlagKind,
  GPR,
  Next,
  OP,
  OpFlag,
  RAM_BASE,
  SLOT_ZERO,
  STATE,
  Seg,
} from '../../../../main/machine/cpu/layout.ts';
import { UNUSUAL } from '../../../../main/machine/cpu/fast-calls.ts';
import { Event, FAST_ROUTINES } from '../../../../main/machine/cpu/fast-events.ts';
import { Delivery } from '../../../../main/machine/cpu/system/index.ts';
import type { RoutineName } from '../../../../main/machine/cpu/system/index.ts';
import { Bench, RAM_BYTES, Random, difference } from './side-by-side.ts';

const GDT = 0x1000;
const IDT = 0x2000;
const TSS = 0x3000;
const CR3 = 0x1_0000;
const RSP = 4;
/** DPL goes into bits 13 and 14 of a descriptor's second word. */
const USER = 0x6000;

/** Now and then one bit of a word flips. */
const flip = (r: Random, word: number, odds: number): number => (r.once(odds) ? word ^ (1 << r.below(32)) : word) >>> 0;

function descriptors(b: Bench, r: Random, long: boolean): void {
  const code = (dpl: number): number => (long ? 0x00af_9b00 : 0x00cf_9b00) | dpl;
  const words = [0, code(0), 0x00cf_9300, code(USER), 0x00cf_9300 | USER];
  words.forEach((hi, n) => {
    if (n > 0) b.put32(GDT + n * 8, flip(r, 0xffff, 40), flip(r, hi, 25));
  });
  const selector = r.once(15) ? r.below(0x30) : 8;
  const offset = 0xc012_3400 + r.below(256);
  const gateHi = (offset & 0xffff_0000) | (r.once(2) ? 0x8e00 : 0x8f00) | (r.once(3) ? USER : 0);
  for (let vector = 0; vector < 32; vector++) {
    const gate = [(selector << 16) | (offset & 0xffff), flip(r, gateHi, 20)];
    if (long) b.put32(IDT + vector * 16, ...gate, r.once(2) ? 0xffff_ffff : r.once(20) ? 0x1_0000 : 0x7ff0, 0);
    else b.put32(IDT + vector * 8, ...gate);
  }
  const top = (r.once(8) ? 0x9008 : 0x9ff0) + r.below(4) * 4;
  if (long) b.put32(TSS + 4, top, 0);
  else b.put32(TSS + 4, top, r.once(15) ? r.below(0x30) : 0x10);
}

/** Maps the RAM to itself; now and then a page is absent, not writable, not accessed or not dirty. */
function tables(b: Bench, r: Random, long: boolean): void {
  const bits = (): number => flip(r, 0x67, 60);
  if (long) {
    b.put32(CR3, 0x1_1027, 0);
    b.put32(0x1_1000, 0x1_2027, 0);
    b.put32(0x1_2000, 0x1_3027, 0);
    for (let n = 0; n < RAM_BYTES / 4096; n++) b.put32(0x1_3000 + n * 8, (n * 4096) | (bits() & 0x1ff), 0);
  } else {
    b.put32(CR3, 0x1_1027);
    for (let n = 0; n < RAM_BYTES / 4096; n++) b.put32(0x1_1000 + n * 4, (n * 4096) | (bits() & 0x1ff));
  }
  b.set(F.cr3, CR3);
  b.set(F.cr0, 0x8000_0011 | (r.once(2) ? 0x1_0000 : 0));
  b.set(F.cr4, long ? 0x20 : 0);
  b.set(F.efer, long ? 0xd01 : 0);
}

function randomState(b: Bench, r: Random, long: boolean): void {
  const { state } = b.core.system;
  for (let n = 0; n < 16; n++) state.setReg64(n, r.word(), long ? r.pick([0, 0x7fff, 0xffff_8000]) : 0);
  const user = r.once(2);
  const level = user ? 3 : 0;
  const code = long ? 0xa09b : 0xc09b;
  state.setSegment(Seg.CS, (user ? 0x18 : 8) | level, 0, 0xffff_ffff, code | (level << 5));
  const nullStack = long && !user && r.once(3);
  if (nullStack) state.setSegment(Seg.SS, 0, 0, 0, 0x1_0000);
  else state.setSegment(Seg.SS, (user ? 0x20 : 0x10) | level, 0, 0xffff_ffff, 0xc093 | (level << 5));
  for (const s of [Seg.ES, Seg.DS, Seg.FS, Seg.GS]) {
    if (long && r.once(2)) state.setSegment(s, 0, 0, 0, 0x1_0000);
    else if (!user && r.once(6)) state.setSegment(s, 0x10, 0, 0xffff_ffff, 0xc093);
    else state.setSegment(s, 0x23, s >= Seg.FS && r.once(2) ? 0x5000 : 0, 0xffff_ffff, 0xc0f3);
  }
  state.setSegment(Seg.LDTR, 0, 0, 0, 0x1_0000);
  state.setSegment(Seg.TR, 0x28, TSS, r.once(20) ? 8 : 0x67, 0x8b);
  state.set32(F.cpl, level);
  state.setReg64(RSP, 0x8000 + r.below(0x1000), 0);
  if (r.once(2)) state.setReg64(RSP, 0x8800 + r.below(64) * 4, 0);
  state.rip = 0x5000 + r.below(4096);
  // VM cannot be set in long mode
  const eflags = flip(r, 0x2 | (r.once(2) ? 0x200 : 0) | (r.once(4) ? 0x3000 : 0), 6);
  b.set(F.eflags, long ? eflags & ~0x2_0000 : eflags);
  b.set(F.ccOp, r.below(Object.keys(FlagKind).length));
  for (const field of [F.ccR, F.ccA, F.ccB]) state.set64(field, r.word(), r.once(2) ? r.word() : 0);
  if (b.get(F.ccOp) === FlagKind.Raw) state.set64(F.ccA, r.word() & 0x895, 0);
  b.set(F.gdtBase, GDT);
  b.set(F.gdtLimit, r.once(20) ? 0x17 : 0x27);
  b.set(F.idtBase, IDT);
  b.set(F.idtLimit, r.once(20) ? 0x80 : 0x7ff);
  b.set(F.intercepts, r.once(15) ? r.word() : 0);
  b.set(F.interceptExceptions, 0);
  b.set(F.shadow, r.below(2));
  b.set(F.faultVector, 0xffff_ffff);
  state.set64(F.star, 0, 0x0013_0008);
  state.set64(F.lstar, r.word(), 0xffff_ffff);
  b.set(F.sfmask, r.once(2) ? 0x4_7700 : r.word());
  b.set(F.sysenterCs, r.once(15) ? 0 : 8);
  b.set(F.sysenterEsp, r.word());
  b.set(F.sysenterEip, r.word());
  b.set(F.mode, 0);
  b.set(F.flatLimit, 0xffff_ffff);
  b.core.system.recomputeMode();
}

/** A time, as the run loop and the vCPU hold it. */
function clock(b: Bench, r: Random): void {
  const { state } = b.core.system;
  if (r.once(10)) b.set(F.cr4, b.get(F.cr4) | 4);
  const end = r.below(1 << 20) * 2 ** 32 + r.word();
  b.core.cycles = () => end - b.get(F.fuel);
  b.set(F.fuel, r.below(1 << 30));
  state.set64(F.tscOffset, r.word(), r.word());
  state.set64(F.tscAux, r.word(), 0);
  b.mem.u64[Clock.cycles >> 3] = BigInt(end);
  b.mem.u32[Clock.counted >> 2] = r.once(10) ? 0 : 1;
}

/** A stack that IRET or POPF may take something from. */
function frame(b: Bench, r: Random, long: boolean): void {
  const sp = b.get(GPR + RSP * 8);
  const user = r.once(2);
  const cs = r.once(15) ? r.below(0x30) : user ? 0x1b : 8;
  const ss = r.once(15) ? r.below(0x30) : user ? 0x23 : long && r.once(2) ? 0 : 0x10;
  const flags = flip(r, 0x2 | (r.word() & 0xcd5), 5);
  const words = [r.word() & 0x7fff_ffff, cs | (r.word() & 0xffff_0000), flags, r.word() & 0x7fff_ffff, ss];
  const view = b.mem.view;
  words.forEach((w, n) => {
    view.setUint32(RAM_BASE + sp + n * (long ? 8 : 4), w, true);
    if (long) view.setUint32(RAM_BASE + sp + n * 8 + 4, n === 0 && r.once(20) ? 0x8000_0000 : 0, true);
  });
}

function record(b: Bench, r: Random, long: boolean, name: string): number {
  const u8 = b.mem.u8;
  u8.fill(0, ARENA, ARENA + 32);
  u8[ARENA + OP.length] = 2;
  u8[ARENA + OP.seg] = r.pick([Seg.DS, Seg.DS, Seg.SS, Seg.FS]);
  u8[ARENA + OP.base] = r.below(16) * 8;
  u8[ARENA + OP.index] = SLOT_ZERO;
  u8[ARENA + OP.imm] = r.below(32);
  u8[ARENA + OP.bytes] = name === 'invlpg' ? (r.once(8) ? 0xc0 : 0x38) : 0;
  if (name === 'mov_from_cr') {
    // CR0 to CR7 into a register, with REX.R and REX.B now and then
    const rex = long ? r.pick([0x48, 0x48, 0x49, 0x4c]) : 0;
    const rm = r.below(8);
    u8[ARENA + OP.bytes] = 0xc0 | (r.pick([0, 2, 3, 4, r.below(8)]) << 3) | rm;
    u8[ARENA + OP.bytes + 2] = rex;
    u8[ARENA + OP.rm] = (rm | ((rex & 1) << 3)) * 8;
  }
  if (name === 'mov_to_sreg' || name === 'pop_sreg') {
    const segment = r.once(10) ? r.below(8) : r.pick([Seg.ES, Seg.DS, Seg.FS, Seg.GS]);
    const selector = r.pick([r.below(4), 0x10, 0x23, 0x23, r.below(0x40)]);
    const { state } = b.core.system;
    u8[ARENA + OP.bytes] = (r.once(8) ? 0 : 0xc0) | (segment << 3) | 3;
    if (name === 'mov_to_sreg') state.setReg64(3, selector | (r.word() & 0xffff_0000), 0);
    else {
      u8[ARENA + OP.bytes + 1] = (segment < Seg.FS ? 7 : 0x81) | (segment << 3);
      b.mem.view.setUint32(RAM_BASE + b.get(GPR + RSP * 8), selector | (r.word() & 0xffff_0000), true);
    }
  }
  u8[ARENA + OP.flags] = r.once(10) ? OpFlag.OpSize16 : long && !r.once(10) ? OpFlag.OpSize64 : 0;
  return ARENA;
}

/** Writes lazy flags as what they mean, so that two ways to hold the same flags compare equal. */
function settleFlags(b: Bench): void {
  const flags = readEflags(b.mem.i32);
  b.set(F.eflags, flags);
  for (const field of [F.ccR, F.ccA, F.ccB]) b.core.system.state.set64(field, 0, 0);
  b.set(F.ccOp, 0);
}

function compare(width: 32 | 64, name: string, cases: number, seed: number): { alone: number; refused: number } {
  const b = new Bench(width);
  const r = new Random(seed);
  const long = width === 64;
  const empty = b.take();
  const seen = { alone: 0, refused: 0 };
  for (let n = 0; n < cases; n++) {
    b.restore(empty);
    tables(b, r, long);
    descriptors(b, r, long);
    randomState(b, r, long);
    frame(b, r, long);
    if (name.startsWith('rdtsc')) clock(b, r);
    const op = record(b, r, long, name);
    const vector = r.below(32);
    const withError = r.once(2);
    const error = withError ? r.below(16) * 8 : 0;
    const before = b.take();
    const label = `${width} ${name} ${n}`;

    b.core.tlb.flush(true);
    b.asked = 0;
    const info = (withError ? Event.HasError : 0) | Event.Resume;
    const rip = b.mem.u64[(STATE + F.rip) >> 3]!;
    const fast =
      name === 'deliver'
        ? b.exports['fast_deliver']!(vector, info, error, BigInt.asIntN(64, rip))
        : b.exports[`fast_${name}`]!(op);
    const fastAsked = b.asked;
    if (fast === (name === 'deliver' ? 0 : UNUSUAL)) {
      seen.refused++;
      expect(`${label} ${difference(b.take(), before)}`).toBe(`${label} `);
      continue;
    }
    settleFlags(b);
    const afterFast = b.take();
    b.restore(before);
    b.asked = 0;
    const slow =
      name === 'deliver'
        ? b.core.system.deliver(vector, withError, error, 'fault', 0)
        : b.core.system.routines[name as RoutineName](op);
    const slowAsked = b.asked;
    settleFlags(b);
    expect(`${label} ${fast} ${fastAsked} ${difference(afterFast, b.take())}`).toBe(`${label} ${slow} ${slowAsked} `);
    expect(name === 'deliver' ? slow === Delivery.Done : slow === Next.Jump || slow === Next.Sequential).toBe(true);
    seen.alone++;
  }
  return seen;
}

const ONLY: Record<string, 32 | 64> = {
  syscall: 64,
  sysret: 64,
  sysenter: 32,
  sysexit: 32,
  swapgs: 64,
  mov_to_sreg: 32,
  pop_sreg: 32,
};

describe('generated events do what the system routines do', () => {
  const cases = [32, 64].flatMap((width) =>
    ['deliver', ...FAST_ROUTINES].filter((name) => (ONLY[name] ?? width) === width).map((name) => ({ width, name })),
  );
  it.each(cases)('$name, $width bits', ({ width, name }) => {
    const seen = compare(width as 32 | 64, name, 250, width * 7919 + name.length);
    expect(seen.alone).toBeGreaterThan(20);
    expect(seen.refused).toBeGreaterThan(4);
  });
});
