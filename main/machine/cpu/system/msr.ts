// Model-specific registers (SDM vol. 4) and the time-stamp counter (vol. 3, 17.17).
// Invariant: what is not listed here and not known to the bus does not exist: #GP(0).

import { F, Intercept, Next, OP, Seg, STATE } from '../layout.ts';
import { requireCpl0 } from './control-registers.ts';
import { allowedEfer, policyOf } from './cpuid-policy.ts';
import { ExitCode } from './exit.ts';
import { leave, raiseGp, raiseUd } from './fault.ts';
import type { Routine, SystemParts } from './parts.ts';
import type { RoutineName } from './routine-names.ts';
import { Cr0, Cr4, Efer, Reg, isCanonical, toNumber } from './state.ts';

export const Msr = {
  TSC: 0x10,
  PLATFORM_ID: 0x17,
  APIC_BASE: 0x1b,
  EBL_CR_POWERON: 0x2a,
  FEATURE_CONTROL: 0x3a,
  BIOS_UPDT_TRIG: 0x79,
  BIOS_SIGN_ID: 0x8b,
  MTRRCAP: 0xfe,
  SYSENTER_CS: 0x174,
  SYSENTER_ESP: 0x175,
  SYSENTER_EIP: 0x176,
  MCG_CAP: 0x179,
  MCG_STATUS: 0x17a,
  MISC_ENABLE: 0x1a0,
  DEBUGCTL: 0x1d9,
  MTRR_PHYSBASE0: 0x200,
  MTRR_FIX64K: 0x250,
  MTRR_FIX16K: 0x258,
  MTRR_FIX4K: 0x268,
  PAT: 0x277,
  MTRR_DEF_TYPE: 0x2ff,
  EFER: 0xc000_0080,
  STAR: 0xc000_0081,
  LSTAR: 0xc000_0082,
  CSTAR: 0xc000_0083,
  FMASK: 0xc000_0084,
  FS_BASE: 0xc000_0100,
  GS_BASE: 0xc000_0101,
  KERNEL_GS_BASE: 0xc000_0102,
  TSC_AUX: 0xc000_0103,
} as const;

/** Eight variable ranges, fixed ranges, write combining. */
const MTRR_CAPABILITY = 0x508;
/** Microcode revision, as read in the high half of BIOS_SIGN_ID. */
const MICROCODE_REVISION = 0x107;
/** FEATURE_CONTROL is locked with VMX off. */
const FEATURE_CONTROL_LOCKED = 1;

/** MSRs that are nothing but a field: whether they hold addresses (which must be canonical). */
const PLAIN = new Map<number, { field: number; address: boolean }>([
  [Msr.SYSENTER_CS, { field: F.sysenterCs, address: false }],
  [Msr.SYSENTER_ESP, { field: F.sysenterEsp, address: true }],
  [Msr.SYSENTER_EIP, { field: F.sysenterEip, address: true }],
  [Msr.MISC_ENABLE, { field: F.miscEnable, address: false }],
  [Msr.PAT, { field: F.pat, address: false }],
  [Msr.MTRR_DEF_TYPE, { field: F.mtrrDefType, address: false }],
  [Msr.STAR, { field: F.star, address: false }],
  [Msr.LSTAR, { field: F.lstar, address: true }],
  [Msr.CSTAR, { field: F.cstar, address: true }],
  [Msr.FMASK, { field: F.sfmask, address: false }],
  [Msr.FS_BASE, { field: F.segBase + Seg.FS * 8, address: true }],
  [Msr.GS_BASE, { field: F.segBase + Seg.GS * 8, address: true }],
  [Msr.KERNEL_GS_BASE, { field: F.kernelGsBase, address: true }],
  [Msr.TSC_AUX, { field: F.tscAux, address: false }],
]);
for (let i = 0; i < 16; i++) PLAIN.set(Msr.MTRR_PHYSBASE0 + i, { field: F.mtrrVariable + i * 8, address: false });
[Msr.MTRR_FIX64K, Msr.MTRR_FIX16K, Msr.MTRR_FIX16K + 1].forEach((msr, i) =>
  PLAIN.set(msr, { field: F.mtrrFixed + i * 8, address: false }),
);
for (let i = 0; i < 8; i++) PLAIN.set(Msr.MTRR_FIX4K + i, { field: F.mtrrFixed + (3 + i) * 8, address: false });

/** MSRs that read as a constant; writes are ignored where software writes them as a matter of course. */
const CONSTANT = new Map<number, { lo: number; hi: number; ignoreWrites: boolean }>([
  [Msr.PLATFORM_ID, { lo: 0, hi: 0, ignoreWrites: false }],
  [Msr.EBL_CR_POWERON, { lo: 0, hi: 0, ignoreWrites: true }],
  [Msr.FEATURE_CONTROL, { lo: FEATURE_CONTROL_LOCKED, hi: 0, ignoreWrites: false }],
  [Msr.BIOS_UPDT_TRIG, { lo: 0, hi: 0, ignoreWrites: true }],
  [Msr.BIOS_SIGN_ID, { lo: 0, hi: MICROCODE_REVISION, ignoreWrites: true }],
  [Msr.MTRRCAP, { lo: MTRR_CAPABILITY, hi: 0, ignoreWrites: false }],
  [Msr.MCG_CAP, { lo: 0, hi: 0, ignoreWrites: false }],
  [Msr.MCG_STATUS, { lo: 0, hi: 0, ignoreWrites: true }],
  [Msr.DEBUGCTL, { lo: 0, hi: 0, ignoreWrites: true }],
]);

const MEMORY_TYPES = new Set([0, 1, 4, 5, 6]);

/** Every byte of a PAT or fixed-range MTRR must be a memory type; PAT also knows 7 (UC-). */
function typesValid(lo: number, hi: number, pat: boolean): boolean {
  for (let i = 0; i < 8; i++) {
    const type = ((i < 4 ? lo : hi) >>> ((i & 3) * 8)) & 0xff;
    if (!MEMORY_TYPES.has(type) && !(pat && type === 7)) return false;
  }
  return true;
}

export interface MsrValue {
  lo: number;
  hi: number;
}

/** The TSC: the host's cycle count plus this vCPU's offset, modulo 2^64. */
export function readTsc(parts: SystemParts): MsrValue {
  const now = parts.ctx.retiredNow();
  const lo = (now >>> 0) + parts.state.get32(F.tscOffset);
  const carry = lo > 0xffff_ffff ? 1 : 0;
  const hi = Math.floor(now / 0x1_0000_0000) + parts.state.getHigh(F.tscOffset) + carry;
  return { lo: lo >>> 0, hi: hi >>> 0 };
}

function writeTsc(parts: SystemParts, lo: number, hi: number): void {
  const now = parts.ctx.retiredNow();
  const nowLo = now >>> 0;
  const borrow = lo < nowLo ? 1 : 0;
  parts.state.set64(F.tscOffset, lo - nowLo, hi - Math.floor(now / 0x1_0000_0000) - borrow);
}

/** Reads an MSR of the running vCPU; null if it does not exist. */
export function readMsr(parts: SystemParts, msr: number): MsrValue | null {
  const { state, ctx } = parts;
  const plain = PLAIN.get(msr);
  if (plain !== undefined) return { lo: state.get32(plain.field), hi: state.getHigh(plain.field) };
  if (msr === Msr.TSC) return readTsc(parts);
  if (msr === Msr.EFER) return { lo: state.get32(F.efer), hi: 0 };
  if (msr === Msr.APIC_BASE) return { lo: state.get32(F.apicBase), hi: state.getHigh(F.apicBase) };
  const constant = CONSTANT.get(msr);
  if (constant !== undefined) return { lo: constant.lo, hi: constant.hi };
  return ctx.bus.readMsr(state.get32(F.index), msr);
}

/** Writes an MSR of the running vCPU; false if it does not exist or refuses the value. */
export function writeMsr(parts: SystemParts, msr: number, lo: number, hi: number): boolean {
  const { state, ctx } = parts;
  const plain = PLAIN.get(msr);
  if (plain !== undefined) {
    if (plain.address && !isCanonical(toNumber(lo, hi))) return false;
    if (msr === Msr.PAT && !typesValid(lo, hi, true)) return false;
    if (msr >= Msr.MTRR_FIX64K && msr < Msr.PAT && !typesValid(lo, hi, false)) return false;
    if (msr === Msr.MTRR_DEF_TYPE && (hi !== 0 || (lo & ~0xcff) !== 0 || !MEMORY_TYPES.has(lo & 0xff))) return false;
    if ((msr === Msr.TSC_AUX || msr === Msr.FMASK) && hi !== 0) return false;
    state.set64(plain.field, lo, hi);
    return true;
  }
  if (msr === Msr.TSC) {
    writeTsc(parts, lo, hi);
    return true;
  }
  if (msr === Msr.EFER) return writeEfer(parts, lo, hi);
  if (msr === Msr.APIC_BASE) {
    // Bits 8 (this is the boot processor), 11 (enabled) and the base; the APIC itself lives on the bus
    if ((lo & 0x6ff) !== 0 || (hi & 0xffff_fff0) !== 0) return false;
    ctx.bus.writeMsr(state.get32(F.index), msr, lo, hi);
    state.set64(F.apicBase, lo, hi);
    return true;
  }
  const constant = CONSTANT.get(msr);
  if (constant !== undefined) return constant.ignoreWrites;
  return ctx.bus.writeMsr(state.get32(F.index), msr, lo, hi);
}

function writeEfer(parts: SystemParts, lo: number, hi: number): boolean {
  const { state, ctx } = parts;
  const allowed = allowedEfer(policyOf(ctx));
  if (hi !== 0 || (lo & ~allowed) !== 0) return false;
  const old = state.get32(F.efer);
  const paging = (state.get32(F.cr0) & Cr0.PG) !== 0;
  if (paging && ((old ^ lo) & Efer.LME) !== 0) return false;
  const value = (lo & ~Efer.LMA) | (old & Efer.LMA);
  state.set32(F.efer, value);
  if (((old ^ value) & Efer.NXE) !== 0) ctx.flushTlb(true);
  return true;
}

export function msrRoutines(parts: SystemParts): Partial<Record<RoutineName, Routine>> {
  const { state, ctx } = parts;
  const length = (op: number): number => state.u8[op + OP.length];

  const access = (op: number, write: boolean): number => {
    requireCpl0(parts);
    const msr = state.regLo(Reg.RCX);
    if ((state.get32(F.intercepts) & Intercept.Msr) !== 0) {
      leave(state, ExitCode.Msr, msr, write ? 1 : 0, 0, length(op));
    }
    return msr;
  };

  /** RDTSC and RDTSCP are refused at CPL > 0 with CR4.TSD. */
  const timeStamp = (op: number, withAux: boolean): number => {
    if (state.protectedMode && state.cpl !== 0 && (state.get32(F.cr4) & Cr4.TSD) !== 0) raiseGp(state, 0);
    if ((state.get32(F.intercepts) & Intercept.Rdtsc) !== 0) {
      leave(state, ExitCode.Rdtsc, withAux ? 1 : 0, 0, 0, length(op));
    }
    // Delay loops do little else: no object is made here
    const now = ctx.retiredNow();
    const lo = (now >>> 0) + state.get32(F.tscOffset);
    const hi = Math.floor(now / 0x1_0000_0000) + state.getHigh(F.tscOffset);
    state.setReg32(Reg.RAX, lo);
    state.setReg32(Reg.RDX, lo > 0xffff_ffff ? hi + 1 : hi);
    if (withAux) state.setReg32(Reg.RCX, state.get32(F.tscAux));
    return Next.Sequential;
  };

  const base = (op: number, segment: number, write: boolean): number => {
    if (!state.in64 || (state.get32(F.cr4) & Cr4.FSGSBASE) === 0) raiseUd(state);
    const field = F.segBase + segment * 8;
    const register = state.rmField(op);
    const wide = state.operandSize(op) === 8;
    if (!write) {
      state.setReg64(register, state.get32(field), wide ? state.getHigh(field) : 0);
      return Next.Sequential;
    }
    const lo = state.regLo(register);
    const hi = wide ? state.regHi(register) : 0;
    if (!isCanonical(toNumber(lo, hi))) raiseGp(state, 0);
    state.set64(field, lo, hi);
    return Next.Sequential;
  };

  return {
    rdmsr(op) {
      const value = readMsr(parts, access(op, false));
      if (value === null) raiseGp(state, 0);
      state.setReg32(Reg.RAX, value.lo);
      state.setReg32(Reg.RDX, value.hi);
      return Next.Sequential;
    },
    wrmsr(op) {
      const msr = access(op, true);
      const next = state.nextRip(op);
      if (!writeMsr(parts, msr, state.regLo(Reg.RAX), state.regLo(Reg.RDX))) raiseGp(state, 0);
      state.rip = next;
      return Next.Jump;
    },
    rdtsc: (op) => timeStamp(op, false),
    rdtscp: (op) => timeStamp(op, true),
    rdpmc() {
      // There are no performance counters, so every index is wrong, at any privilege
      raiseGp(state, 0);
    },
    rdfsbase: (op) => base(op, Seg.FS, false),
    rdgsbase: (op) => base(op, Seg.GS, false),
    wrfsbase: (op) => base(op, Seg.FS, true),
    wrgsbase: (op) => base(op, Seg.GS, true),
    swapgs() {
      if (!state.in64) raiseUd(state);
      requireCpl0(parts);
      const u32 = state.u32;
      const gs = (STATE + F.segBase + Seg.GS * 8) >>> 2;
      const kernel = (STATE + F.kernelGsBase) >>> 2;
      for (const half of [0, 1]) {
        const old = u32[gs + half];
        u32[gs + half] = u32[kernel + half];
        u32[kernel + half] = old;
      }
      return Next.Sequential;
    },
  };
}
